"""Clicks are answered while a cell trains: over a subshell, whatever the kernel last published."""

from __future__ import annotations

import pytest

ROWS = {"expanded": None, "picked": {}, "unfolded": [], "filter": "", "chips": [], "start": 0, "count": 50}


@pytest.fixture
def busy(kernel):
    """Start a cell that runs until it is told to stop, which only another thread can do."""
    kernel.run("import threading\nstop = threading.Event()\nstarted = False")

    def begin(body="pass"):
        run = kernel.start(f"print('started', flush=True)\nwhile not stop.wait(0.01):\n    {body}")
        kernel.wait(lambda m: m["msg_type"] == "stream" and "started" in m["content"]["text"], run)
        return run

    subshell = kernel.subshell()
    runs = []
    yield lambda body="pass": runs.append(begin(body)) or runs[-1]
    session = kernel.client.session
    for run in runs:
        message = session.msg(
            "execute_request",
            {
                "code": "stop.set()",
                "silent": True,
                "store_history": False,
                "user_expressions": {},
                "allow_stdin": False,
            },
        )
        message["header"]["subshell_id"] = subshell
        kernel.client.shell_channel.send(message)
        kernel.finish(run)


def is_busy(kernel, run):
    """Whether the cell of ``run`` still runs."""
    return not any(
        m["msg_type"] == "status"
        and m["content"]["execution_state"] == "idle"
        and m["parent_header"].get("msg_id") == run
        for m in kernel.heard
    )


def test_a_click_over_a_subshell_is_answered_during_a_busy_cell(kernel, busy):
    kernel.run("net = nn.Linear(20, 20)\nview = nnw.explore(net)", cell="busy")
    comm = kernel.explorers()[-1]
    subshell = kernel.subshell()
    run = busy()
    for _ in range(3):
        assert kernel.answer(comm, "rows", ROWS, subshell)["total"] == 3
        assert kernel.answer(comm, "stats", {"path": "weight", "exact": False}, subshell)["n"] == 400
        assert kernel.answer(comm, "stats", {"path": "weight"}, subshell)["is_exact"] is True
    assert is_busy(kernel, run)


def test_ticks_and_traits_set_by_the_cell_do_not_draw_the_clicks_to_it(kernel, busy):
    kernel.run("net = nn.Linear(20, 20)\nview = nnw.explore(net)", cell="busy")
    comm = kernel.explorers()[-1]
    subshell = kernel.subshell()
    run = busy("view.tick(); view.filter = '' if view.filter else 'x'")
    kernel.wait(lambda m: kernel.wire(m).get("event") == "changed" and m["parent_header"].get("msg_id") == run)
    for _ in range(5):
        assert kernel.answer(comm, "stats", {"path": "weight", "exact": False}, subshell)["n"] == 400
    assert is_busy(kernel, run)


TRAIN = """from nnwidgets.widgets import training_ticks
training_ticks.SHARE_OF_TIME = 1  # however slow the machine
net = nn.Linear(20, 20)
view = nnw.explore(net)
view.selected = 'weight'
def step(broken=False):
    net.zero_grad()
    loss = net(torch.ones(4, 20)).square().mean() * (float('nan') if broken else 1)
    loss.backward()
    if not broken:
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    view.tick()"""


def ticked(kernel, comm):
    return [event["body"] for event in kernel.events(comm) if event["event"] == "ticked"]


def test_a_training_tells_norms_and_steps_of_what_is_in_sight_without_being_asked(kernel):
    kernel.run(TRAIN, cell="train")
    comm = kernel.explorers()[-1]
    kernel.run(
        "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end:\n    step()\n    time.sleep(0.02)"
    )
    told = ticked(kernel, comm)
    assert 2 <= len(told) <= 5, "no more than four a second"
    assert "export default" in told[0]["part"]["code"]
    assert all("part" not in body for body in told[1:])
    assert [body["step"] for body in told] == sorted(body["step"] for body in told)
    assert set(told[-1]["beats"]) == {"", "weight", "bias"}
    norm, gradient, update = told[-1]["beats"]["weight"]
    assert min(norm, gradient, update) > 0
    assert update < 1
    kernel.run("step(broken=True); time.sleep(0.3); step(broken=True); step(broken=True)")
    assert ticked(kernel, comm)[-1]["beats"]["weight"][1] == "NaN"
    broken = ticked(kernel, comm)[-1]["broken"]
    assert (broken["path"], broken["of"], broken["n_tensors"]) == ("weight", "gradient", 2)
    assert broken["last_clean"] < broken["step"]


def test_a_fold_in_sight_hears_of_its_members_and_nan_in_any_of_them_names_the_tensor_and_can_stop_the_loop(kernel):
    kernel.run(
        "torch.manual_seed(1)  # a net whose units aren't all silent\n"
        "net = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(6)])\n"
        "view = nnw.explore(net)\n"
        "import time\n"
        "from nnwidgets.widgets import training_ticks\n"
        "training_ticks.SHARE_OF_TIME = 1  # however slow the machine\n"
        "def step(broken=False, **kwargs):\n"
        "    net.zero_grad()\n"
        "    net(torch.ones(2, 4)).sum().backward()\n"
        "    if broken:\n"
        "        net[4][0].bias.grad[1] = float('inf')\n"
        "    view.tick(**kwargs)",
        cell="fold",
    )
    comm = kernel.explorers()[-1]
    kernel.run("for _ in range(8):\n    step(); time.sleep(0.1)")
    assert min(ticked(kernel, comm)[-1]["beats"]["f:0"][:2]) > 0
    kernel.run("step(stop_on_nan=True)\nstep(broken=True)")
    kernel.run(
        "for _ in range(8):\n    step(broken=True); time.sleep(0.1)\n"
        "try:\n    step(broken=True, stop_on_nan=True)\nexcept FloatingPointError as error:\n    said = str(error)\n"
        "step(stop_on_nan=True)"
    )
    told = ticked(kernel, comm)
    assert next(body["broken"] for body in told if body["broken"])["path"] == "4.0.bias"
    assert "Infinity" in {body["beats"]["f:0"][1] for body in told if body["broken"] and body["beats"]}
    kernel.run("assert said.startswith('The gradient of 4.0.bias has NaN or infinities after step '), said")


def test_the_signal_of_some_steps_is_told_of_what_is_in_sight_and_nothing_stays_hooked(kernel):
    kernel.run(
        "net = nn.Sequential(nn.Linear(4, 8), *[nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(6)])\n"
        "view = nnw.explore(net)\n"
        "import time\n"
        "from nnwidgets.widgets import training_ticks\n"
        "training_ticks.SHARE_OF_TIME = 1  # however slow the machine\n"
        "hooks, n_hooked, n_forwards = nn.modules.module._global_forward_hooks, 0, 0\n"
        "def step(**kwargs):\n"
        "    global n_hooked\n"
        "    net.zero_grad()\n"
        "    n_hooked += len(hooks)\n"
        "    out = net(torch.randn(16, 4))\n"
        "    assert not hooks\n"
        "    out.square().mean().backward()\n"
        "    view.tick(**kwargs)",
        cell="signal",
    )
    comm = kernel.explorers()[-1]
    kernel.run("for _ in range(12):\n    step(); time.sleep(0.05)\nassert n_hooked == 0")
    assert not any("signals" in body for body in ticked(kernel, comm))
    kernel.run(
        "began = time.monotonic()\nfor _ in range(24):\n    step(activations=True); time.sleep(0.05)\n"
        "most = 2 + 4 * (time.monotonic() - began)\nassert 2 <= n_hooked <= most, (n_hooked, most)"
    )
    kernel.run("assert not hooks")
    told = [body for body in ticked(kernel, comm) if "signals" in body]
    assert len(told) >= 2
    kernel.run(f"assert {len(told)} <= most, most")
    assert all(body["beats"] == {} for body in told)
    assert set(told[-1]["signals"]) >= {"", "0", "f:1"}
    for _, std, gradient in told[-1]["signals"].values():
        assert std > 0
        assert gradient > 0
    assert any(body["beats"] for body in ticked(kernel, comm))
    kernel.run("time.sleep(0.3)\nstep(activations=True)\nassert len(hooks) == 1\nview.close()\nassert not hooks")


def test_a_closed_view_hears_of_no_training_and_keeps_nothing_of_it(kernel):
    kernel.run(TRAIN, cell="train")
    comm = kernel.explorers()[-1]
    kernel.run("import gc, time, weakref\nfor _ in range(3):\n    step(); time.sleep(0.3)\nview.close()")
    n_told = len(ticked(kernel, comm))
    assert n_told > 0
    kernel.run("for _ in range(3):\n    step(); time.sleep(0.3)")
    assert len(ticked(kernel, comm)) == n_told
    kernel.run("held = weakref.ref(net); del net; gc.collect(); assert held() is None")


def test_the_same_request_id_may_come_from_another_subshell(kernel, busy):
    kernel.run("net = nn.Linear(20, 20)\nview = nnw.explore(net)", cell="busy")
    comm = kernel.explorers()[-1]
    kernel.reply(kernel.ask(comm, "models", {}, request_id="again"))
    subshell = kernel.subshell()
    run = busy()
    kernel.ask(comm, "models", {}, subshell, request_id="again")
    kernel.wait(lambda m: kernel.wire(m).get("id") == "again" and m["parent_header"].get("subshell_id") == subshell)
    assert is_busy(kernel, run)


def test_a_comm_of_an_extension_is_answered_during_a_busy_cell_too(kernel, busy):
    kernel.run("from nnwidgets.server.comm import register\nregister(get_ipython())\nnet = nn.Linear(20, 20)")
    kernel.send("mine", {"model": "net"}, message_type="comm_open", target_name="nnwidgets")
    subshell = kernel.subshell()
    kernel.answer("mine", "open", {}, as_widget=False)
    run = busy()
    assert kernel.answer("mine", "stats", {"path": "weight"}, subshell, as_widget=False)["n"] == 400
    assert is_busy(kernel, run)


def test_exact_statistics_are_cancelled_on_the_same_comm(kernel):
    kernel.run("net = nn.Linear(8192, 8192)\nview = nnw.explore(net)", cell="big")
    comm = kernel.explorers()[-1]
    asked = kernel.ask(comm, "stats", {"path": "weight"})
    cancel = kernel.ask(comm, "cancel", {"id": asked})
    first, second = (kernel.wire(kernel.reply(each)) for each in (asked, cancel))
    assert second["body"]["found"] is (not first["ok"])
    if not first["ok"]:
        assert first["error"]["code"] == "cancelled"
    kernel.run("view.close(); del net")


def test_a_run_from_the_page_that_waits_for_a_save_keeps_no_cell_waiting_and_is_cancelled(kernel):
    kernel.run(
        "import threading\nfrom nnwidgets.introspect.safe_access.exclusion import alone_with\n"
        "net = nn.Linear(20, 20)\nview = nnw.explore(net)\nis_had, is_saved = threading.Event(), threading.Event()\n"
        "def save():\n    with alone_with(net):\n        is_had.set()\n        is_saved.wait(20)\n"
        "threading.Thread(target=save).start()\nis_had.wait()",
        cell="waits",
    )
    comm = kernel.explorers()[-1]
    runs = [("activations", {"size": "2,20", "loss": "none"}), ("forward", {"size": "2,20"})]
    asked = [kernel.ask(comm, kind, body) for kind, body in runs]
    for each in asked:
        assert kernel.answer(comm, "cancel", {"id": each}) == {"found": True}
        assert kernel.wire(kernel.reply(each))["error"]["code"] == "cancelled"
    asked = kernel.ask(comm, *runs[0])
    kernel.run("is_saved.set()")
    assert kernel.wire(kernel.reply(asked))["body"]["n_calls"] == 1
