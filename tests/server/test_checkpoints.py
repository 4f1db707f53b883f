"""Plans, comparisons, loads and saves as a page asks for them."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nnwidgets import handle, history, undo
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.server.handlers.registry import handlers, is_long
from nnwidgets.server.notebook import folder as notebook_folder
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Dispatcher

WINDOW = {"start": 0, "count": 100}
PLAN = {"accept_all": False, "rename": {}, "keep": [], "text": "", **WINDOW}
DIFF = {"other": None, "fresh": True, "keep": [], "text": "", **WINDOW}
LOAD = {"accept_all": False, "rename": {}, "strict": True, "optimizer": False}
SAVE = {"overwrite": False, "verify": True, "optimizer": False}
WAIT = 60


class Net(nn.Module):
    def __init__(self, head="output"):
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.add_module(head, nn.Linear(3, 2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "notebooks"
    made.mkdir()
    monkeypatch.setattr(notebook_folder, "root", lambda: made)
    return made


@pytest.fixture
def net(monkeypatch):
    made = Net()
    monkeypatch.setattr(sys.modules["__main__"], "net", made, raising=False)
    return made


def ask(kind, **body):
    return handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "net", **body}})


def bits(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(module, before):
    return all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def old(folder, name="old.safetensors"):
    made = Net("out")
    save_file(made.state_dict(), folder / name)
    return made


# ---- plan ----


def test_a_plan_shows_problems_first_with_what_it_suggests(folder, net):
    old(folder)
    body = ask("plan", path="old.safetensors", **PLAN)["body"]
    assert [run["status"] for run in body["runs"]] == ["missing", "unexpected", "match"]
    assert {row["suggestion"]["source"] for row in body["rows"][:2]} == {"out.weight", "out.bias"}
    assert (body["n_loads"], body["n_model"], body["n_suggested"], body["is_complete"]) == (2, 4, 2, False)


def test_accepting_all_leaves_out_what_was_refused_and_keeps_the_reasons(folder, net):
    old(folder)
    body = ask("plan", path="old.safetensors", **{**PLAN, "accept_all": True, "rename": {"out.bias": None}})["body"]
    (renamed,) = [row for row in body["rows"] if row["status"] == "renamed"]
    assert (renamed["source"], renamed["path"]) == ("out.weight", "output.weight")
    assert "output" in renamed["suggestion"]["reason"]
    assert (body["n_renames"], body["n_suggested"], body["n_loads"]) == (1, 0, 3)


def test_a_typed_name_comes_before_a_suggested_one(folder, net):
    save_file({**Net("out").state_dict(), "other": torch.zeros(2)}, folder / "f.safetensors")
    body = ask("plan", path="f.safetensors", **{**PLAN, "accept_all": True, "rename": {"other": "output.bias"}})["body"]
    sources = {row["path"]: row["source"] for row in body["rows"] if row["status"] == "renamed"}
    assert sources == {"output.weight": "out.weight", "output.bias": "other"}


def test_a_typed_name_that_is_only_a_part_of_names_is_refused_with_the_closest(folder, net):
    old(folder)
    error = ask("plan", path="old.safetensors", **{**PLAN, "rename": {"out": "output.weight"}})["error"]
    assert error["code"] == "path-not-found"
    assert ask("plan", path="old.safetensors", **{**PLAN, "rename": {"out.weight": "nowhere"}})["error"]["hint"]


def test_a_plan_is_narrowed_by_status_and_by_text_and_comes_in_windows(folder, net):
    save_file({f"extra.{k}": torch.zeros(1) for k in range(1_000)}, folder / "f.safetensors")
    body = ask("plan", path="f.safetensors", **{**PLAN, "keep": ["unexpected"], "start": 990})["body"]
    assert (body["total"], len(body["rows"])) == (1_000, 10)
    body = ask("plan", path="f.safetensors", **{**PLAN, "text": "EXTRA.77"})["body"]
    assert [row["source"] for row in body["rows"]] == ["extra.77", *(f"extra.77{k}" for k in range(10))]
    assert body["runs"] == [{"status": "unexpected", "count": 11}]


def test_a_plan_follows_the_model_and_the_file(folder, net):
    old(folder)
    assert ask("plan", path="old.safetensors", **PLAN)["body"]["n_loads"] == 2
    net.output = nn.Identity()
    assert ask("plan", path="old.safetensors", **PLAN)["body"]["n_model"] == 2
    save_file({"x": torch.zeros(1)}, folder / "old.safetensors")
    assert ask("plan", path="old.safetensors", **PLAN)["body"]["n_loads"] == 0


# ---- diff ----


def test_a_file_is_compared_with_the_live_model_anew_only_when_asked(folder, net):
    nn.init.zeros_(net.body.bias)
    save_file(net.state_dict(), folder / "f.safetensors")
    assert ask("diff", path="f.safetensors", **DIFF)["body"]["is_equal"]
    with torch.no_grad():
        net.body.bias[0] += 2
    assert ask("diff", path="f.safetensors", **{**DIFF, "fresh": False})["body"]["is_equal"]
    body = ask("diff", path="f.safetensors", **DIFF)["body"]
    assert body["counts"] == {"values": 1, "equal": 3}
    assert (body["rows"][0]["path"], body["rows"][0]["max_abs_difference"]) == ("body.bias", 2.0)


def test_two_files_are_compared_and_neither_may_lie_outside(folder, net):
    old(folder, "a.safetensors")
    save_file({"body.weight": torch.zeros(9)}, folder / "b.safetensors")
    body = ask("diff", path="a.safetensors", **{**DIFF, "other": "b.safetensors"})["body"]
    assert (body["a"], body["b"], body["counts"]) == ("a.safetensors", "b.safetensors", {"shape": 1, "removed": 3})
    error = ask("diff", path="a.safetensors", **{**DIFF, "other": "../b.safetensors"})["error"]
    assert error["code"] == "outside-folder"


# ---- load ----


def test_differences_are_copied_as_a_table_whole_and_as_they_are_kept(folder, net):
    save_file({"<b>|x": torch.ones(2), "y": torch.ones(3)}, folder / "a.safetensors")
    save_file({"<b>|x": torch.full((2,), 1.5), "y": torch.ones(3)}, folder / "b.safetensors")
    sides = {**DIFF, "other": "b.safetensors", "count": 0}
    body = ask("diff", path="a.safetensors", **sides, copy="csv")["body"]
    assert body["rows"] == []
    assert [line.split(",")[:2] for line in body["copied"].splitlines()] == [
        ["kind", "path"], ["values", "<b>|x"], ["equal", "y"],
    ]  # fmt: skip
    assert body["copied"].splitlines()[1].endswith(",0.5,0.5,2")
    body = ask("diff", path="a.safetensors", **{**sides, "keep": ["values"]}, copy="markdown")["body"]
    assert body["copied"].splitlines()[2:] == ["| values | \\<b>\\|x | 2 → 2 | float32 → float32 | 0.5 | 0.5 | 2 |"]


def test_a_load_with_accepted_renames_is_one_verified_change_that_undo_takes_back(folder, net):
    source, before = old(folder), bits(net)
    body = ask("load", path="old.safetensors", **{**LOAD, "accept_all": True})["body"]
    assert (body["n_loaded"], body["verified"]) == (4, True)
    assert torch.equal(net.output.weight, source.out.weight)
    assert [change.label for change in history(net).changes] == ["load old.safetensors"]
    undo(net)
    assert same(net, before)


@pytest.mark.parametrize("damage", ["strict", "cut", "flipped"])
def test_a_load_that_fails_leaves_the_model_as_it_was(folder, net, damage):
    old(folder)
    before = bits(net)
    if damage == "cut":
        (folder / "old.safetensors").write_bytes((folder / "old.safetensors").read_bytes()[:-4])
    elif damage == "flipped":
        torch.save(net.state_dict(), folder / "old.safetensors")
        held = bytearray((folder / "old.safetensors").read_bytes())
        at = bytes(held).index(net.body.weight.detach().numpy().tobytes())
        held[at + 3] ^= 1
        (folder / "old.safetensors").write_bytes(held)
    error = ask("load", path="old.safetensors", **LOAD)["error"]
    assert error["code"] == ("checkpoint-mismatch" if damage == "strict" else "corrupt-checkpoint")
    assert same(net, before)
    assert not history(net).changes


def test_every_view_of_the_model_hears_of_a_load(folder, net):
    old(folder)
    heard = []
    view = Session(net, name="net", emit=lambda event, body: heard.append((event, body)))
    ask("load", path="old.safetensors", **{**LOAD, "accept_all": True})
    assert heard == [("changed", {"structure": True})]
    view.close()


# ---- save ----


def test_a_save_is_read_back_and_told_by_its_place_in_the_folder(folder, net):
    (folder / "runs").mkdir()
    body = ask("save", path="runs/net.safetensors", **SAVE)["body"]
    assert (body["paths"], body["n_tensors"], body["verified"]) == (["runs/net.safetensors"], 4, True)
    assert str(folder) not in str(body)
    assert same(net, load_file(folder / "runs" / "net.safetensors"))


def test_nothing_is_replaced_unless_told(folder, net):
    (folder / "net.pt").write_text("precious")
    assert ask("save", path="net.pt", **SAVE)["error"]["code"] == "file-exists"
    assert (folder / "net.pt").read_text() == "precious"
    assert ask("save", path="net.pt", **{**SAVE, "overwrite": True})["ok"]
    assert same(net, torch.load(folder / "net.pt", weights_only=True))


@pytest.mark.parametrize("path", ["../net.pt", "/tmp/net.pt", "way/out/net.pt"])  # noqa: S108 - refused
def test_nothing_is_saved_outside_of_the_folder(folder, net, path):
    (folder / "way").mkdir()
    (folder / "way" / "out").symlink_to(folder.parent)
    assert ask("save", path=path, **SAVE)["error"]["code"] == "outside-folder"
    assert not (folder.parent / "net.pt").exists()


def test_a_link_is_not_written_through_to_what_lies_outside(folder, net):
    (folder.parent / "precious.pt").write_text("precious")
    (folder / "net.pt").symlink_to(folder.parent / "precious.pt")
    assert ask("save", path="net.pt", **{**SAVE, "overwrite": True})["error"]["code"] == "outside-folder"
    assert (folder.parent / "precious.pt").read_text() == "precious"


# ---- cancelling ----


class Far:
    """The page's end of a channel on which long work runs in the background."""

    def __init__(self, module, *, at_progress):
        self.replies, self.done, self.at_progress = [], threading.Condition(), at_progress
        session = Session(module, name="net")
        self.dispatcher = Dispatcher(handlers(lambda _body: session), self.send, background=is_long)

    def send(self, message, _buffers):
        if "progress" in message:
            if self.at_progress is not None:
                self.at_progress(self)
            return
        with self.done:
            self.replies.append(message)
            self.done.notify_all()

    def ask(self, kind, body):
        self.dispatcher.receive({"v": 1, "id": "1", "kind": kind, "body": body})
        with self.done:
            assert self.done.wait_for(lambda: any(reply["id"] == "1" for reply in self.replies), WAIT)
        return next(reply for reply in self.replies if reply["id"] == "1")

    def cancel(self):
        self.dispatcher.receive({"v": 1, "id": "c", "kind": "cancel", "body": {"id": "1"}})


class Unwanted:
    """Cancels once, at the first progress."""

    def __init__(self):
        self.is_cancelled = False

    def __call__(self, far):
        if not self.is_cancelled:
            self.is_cancelled = True
            threading.Thread(target=far.cancel).start()
            threading.Event().wait(0.05)


def large():
    return nn.ParameterList(nn.Parameter(torch.full((512, 1024), float(k))) for k in range(24))


@pytest.mark.parametrize("name", ["f.pt", "f.safetensors"])
def test_a_cancelled_load_leaves_everything_as_it_was_or_was_done(folder, name):
    net = large()
    torch.save({f"{k}": torch.zeros(512, 1024) for k in range(24)}, folder / "f.pt")
    save_file({f"{k}": torch.zeros(512, 1024) for k in range(24)}, folder / "f.safetensors")
    before = bits(net)
    reply = Far(net, at_progress=Unwanted()).ask("load", {"path": name, **LOAD})
    if reply["ok"]:
        assert all(not parameter.any() for parameter in net)
    else:
        assert reply["error"]["code"] == "cancelled"
        assert same(net, before)
        assert not history(net).changes


def test_what_waits_for_who_else_has_the_model_is_cancelled_and_changes_nothing(folder):
    net = large()
    torch.save({"0": torch.zeros(512, 1024)}, folder / "f.pt")
    before = bits(net)
    far = Far(net, at_progress=None)
    bodies = {"init": {"path": "0", "how": "zeros_"}, "load": {"path": "f.pt", **LOAD, "strict": False}}
    with alone_with(net):
        for kind, body in bodies.items():
            far.dispatcher.receive({"v": 1, "id": kind, "kind": kind, "body": body})
        time.sleep(0.4)
        for kind in bodies:
            far.dispatcher.receive({"v": 1, "id": f"cancel {kind}", "kind": "cancel", "body": {"id": kind}})
        # Here, while both would still wait.
        with far.done:
            assert far.done.wait_for(lambda: len(far.replies) == 4, WAIT)
        assert [each["error"]["code"] for each in far.replies if not each["ok"]] == ["cancelled"] * 2
        while far.dispatcher.pending:
            time.sleep(0.01)
    assert same(net, before)
    assert not history(net).changes


def test_a_load_cancelled_at_its_first_progress_never_writes(folder):
    net = large()
    torch.save({f"{k}": torch.zeros(512, 1024) for k in range(24)}, folder / "f.pt")
    before = bits(net)
    far = Far(net, at_progress=Far.cancel)
    reply = far.ask("load", {"path": "f.pt", **LOAD})
    assert reply["error"]["code"] == "cancelled"
    assert same(net, before)


def test_a_save_cancelled_leaves_the_old_file_and_no_litter(folder):
    (folder / "f.safetensors").write_text("old")
    net = large()
    reply = Far(net, at_progress=Far.cancel).ask("save", {"path": "f.safetensors", **SAVE, "overwrite": True})
    assert reply["error"]["code"] == "cancelled"
    assert (folder / "f.safetensors").read_text() == "old"
    assert [each.name for each in folder.iterdir()] == ["f.safetensors"]


def test_a_view_that_closes_ends_its_load(folder):
    net = large()
    torch.save({f"{k}": torch.zeros(512, 1024) for k in range(24)}, folder / "f.pt")
    before = bits(net)
    far = Far(net, at_progress=lambda far: threading.Thread(target=far.dispatcher.close).start())
    assert far.ask("load", {"path": "f.pt", **LOAD})["error"]["code"] == "view-closed"
    threading.Event().wait(0.2)
    assert same(net, before)


def test_a_state_dict_of_several_is_listed_chosen_and_told(folder, net):
    raw, average = Net(), Net()
    torch.save({"model": raw.state_dict(), "ema": average.state_dict()}, folder / "x.pt")
    header = ask("peek", path="x.pt", expanded=None, text="", **WINDOW)["body"]
    assert [(each["name"], each["n_tensors"], each["n_elements"]) for each in header["entries"]] == [
        ("model", 4, 23), ("ema", 4, 23),
    ]  # fmt: skip
    plan = ask("plan", path="x.pt", **PLAN)["body"]
    assert plan["entry"]["name"] == "model"
    assert "'ema' fits as well" in plan["entry"]["why"]
    assert ask("plan", path="x.pt", entry="ema", **PLAN)["body"]["entry"]["why"] == "asked for"
    assert ask("load", path="x.pt", entry="ema", **LOAD)["ok"]
    assert same(net, average.state_dict())
    assert ask("diff", path="x.pt", **{**DIFF, "entry": "ema"})["body"]["is_equal"]
    assert not ask("diff", path="x.pt", **{**DIFF, "entry": None})["body"]["is_equal"]
    assert ask("load", path="x.pt", **LOAD)["ok"]
    assert same(net, raw.state_dict())


def test_state_dicts_that_fit_equally_are_refused_and_still_listed(folder, net):
    before = bits(net)
    torch.save({"a": Net().state_dict(), "b": Net().state_dict()}, folder / "x.pt")
    for kind, body in (("plan", PLAN), ("load", LOAD)):
        error = ask(kind, path="x.pt", **body)["error"]
        assert error["code"] == "checkpoint-mismatch"
        assert "'a', 'b'" in error["message"]
    assert same(net, before)
    header = ask("peek", path="x.pt", expanded=None, text="", **WINDOW)["body"]
    assert [each["name"] for each in header["entries"]] == ["a", "b"]
    assert ask("plan", path="x.pt", entry="c", **PLAN)["error"]["code"] == "path-not-found"


def test_renames_of_a_chosen_state_dict_are_of_its_names(folder, net):
    other = Net("out")
    torch.save({"big": nn.Linear(50, 50).state_dict(), "net": other.state_dict()}, folder / "x.pt")
    rename = {"out.weight": "output.weight", "out.bias": "output.bias"}
    assert ask("load", path="x.pt", **{**LOAD, "rename": rename})["ok"]
    assert torch.equal(net.output.weight, other.out.weight)
