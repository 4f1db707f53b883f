"""%%nn_init in a real IPython shell: a cell as the body of fn(m)."""

import pytest
import torch

from nnwidgets import edit
from tests.support.edited_models import bits, mlp, run
from tests.support.ipython_shell import shell


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        started.run("import math, torch\nimport torch.nn.functional as F\nfrom torch import nn")
        yield started


@pytest.fixture
def net(ip):
    before = set(ip.variables)
    made = ip.variables["net"] = mlp()
    yield made
    for name in set(ip.variables) - before:
        del ip.variables[name]


def applied(ip, line, body):
    ran = ip.run(f"%%nn_init {line}\n{body}")
    assert ran.error is None, ran.printed
    return ran.text


def refused(ip, line, body):
    ran = ip.run(f"%%nn_init {line}\n{body}")
    assert not ran.outputs
    assert type(ran.error).__name__ == "UsageError", ran.printed
    assert len(ran.printed.strip().splitlines()) == 1
    return ran.printed.strip()


HOME_MADE = "nn.init.uniform_(m.weight, -10, 10)\nm.weight *= m.weight.abs() >= 5\n"


def test_the_cell_runs_on_each_match_as_one_undoable_change(ip, net):
    before, state = bits(net), torch.get_rng_state()
    text = applied(ip, "net Linear --seed 3", HOME_MADE)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for layer in (net[0], net[2]):
            wanted = torch.empty_like(layer.weight).uniform_(-10, 10)
            wanted *= wanted.abs() >= 5
            assert torch.equal(layer.weight, wanted)
    assert "0.weight" in text
    assert "2.weight" in text
    assert "seed  3" in text
    assert torch.equal(torch.get_rng_state(), state)
    assert len(edit.history(net).changes) == 1
    ip.nn("undo net")
    assert bits(net) == before


def test_its_code_runs_as_pasted_and_gives_equal_bits(ip, net):
    applied(ip, "net Linear", HOME_MADE)
    fresh = mlp()
    run(ip.nn("code net"), net=fresh)
    assert bits(fresh) == bits(net)


def test_a_preview_writes_nothing_and_shows_what_the_seed_gives(ip, net):
    before = bits(net)
    shown = applied(ip, "net 0 --seed 5 --preview", HOME_MADE)
    assert bits(net) == before
    made = applied(ip, "net 0 --seed 5", HOME_MADE)
    numbers = [
        [line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["after"]] for text in (shown, made)
    ]
    assert numbers[0][0] == numbers[1][0]


def test_names_are_the_users_and_the_code_brings_them_along(ip, net):
    ip.run("wide = 0.5\nnames = ['weight', 'bias']\ndef bound(t):\n    return wide / math.sqrt(t.shape[-1])")
    applied(
        ip,
        "net Linear",
        "for name in names:\n    t = getattr(m, name)\n    t.uniform_(-bound(t), bound(t))\n    F.relu_(t)",
    )
    assert "t" not in ip.variables
    assert "fn" not in ip.variables
    fresh = mlp()
    run(ip.nn("code net"), net=fresh)
    assert bits(fresh) == bits(net)


def test_a_text_over_several_lines_keeps_its_value(ip, net):
    body = 'said = """a\n  b\n"""\nm.bias.fill_(len(said))\n\nif True:\n    m.bias += 1'
    applied(ip, "net 0", body)
    assert net[0].bias[0].item() == len("a\n  b\n") + 1
    fresh = mlp()
    run(ip.nn("code net"), net=fresh)
    assert bits(fresh) == bits(net)


def test_a_cell_that_counts_in_a_variable_of_the_user_gives_code_that_runs(ip, net):
    ip.run("calls = 0\ndef words():\n    return '''a\n  b'''")
    applied(ip, "net Linear", "global calls\ncalls += 1\nm.bias.fill_(calls + len(words()))")
    assert ip.variables["calls"] == 2
    fresh = mlp()
    run(ip.nn("code net"), net=fresh, calls=0)
    assert bits(fresh) == bits(net)


def test_an_indented_cell_and_an_early_return_are_fine(ip, net):
    applied(ip, "net *", "    if not isinstance(m, nn.Linear):\n        return\n    m.bias.zero_()")
    assert not net[0].bias.any()


def test_a_raise_half_way_shows_the_users_line_and_leaves_every_bit(ip, net):
    before = bits(net)
    body = "m.weight.zero_()\nm.bias.add_(1)\nif m.out_features == 4:\n    raise ValueError('no such luck')\n"
    line = refused(ip, "net Linear", body)
    assert "raised on 2 in line 4 of the cell, \"raise ValueError('no such luck')\": ValueError: no such luck" in line
    assert "Nothing was changed." in line
    assert bits(net) == before
    assert edit.history(net).changes == ()


def test_a_raise_below_the_cell_names_the_line_of_the_cell_that_led_there(ip, net):
    ip.run("def helper(m):\n    m.bias.zero_()\n    return 1 / 0")
    before = bits(net)
    assert "line 2 of the cell, 'helper(m)': ZeroDivisionError" in refused(ip, "net 0", "\nhelper(m)\n")
    assert bits(net) == before


def test_an_interrupt_half_way_leaves_every_bit(ip, net):
    before = bits(net)
    ran = ip.run("%%nn_init net Linear\nm.weight.zero_()\nif m.out_features == 4:\n    raise KeyboardInterrupt")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert bits(net) == before


REFUSED = {
    ("net Linear", "m.weight.zero_(\n"): "line 1 of the cell: '(' was never closed",
    ("net Linear", "m.bias.zero_()\nx = = 2\n"): "in line 2 of the cell",
    ("net Linear", "# nothing\n"): "the cell is empty",
    ("net Linear", "def fn(m):\n    m.bias.zero_()\n"): "write its body alone",
    ("net Linear", "yield m\n"): "yield or await",
    ("net Linear", "nonlocal x\nx = 1\n"): "line 1 of the cell",
    ("net Linear", "m.weight = nn.Parameter(torch.ones(2))\n"): "m.weight.copy_(values)",
    ("net Linear", "m.weight.data = torch.ones(2)\n"): "other memory",
    ("net Linear", "m.bias.requires_grad_(False)\n"): "%nn freeze",
    ("net Linear", "undefined(m)\n"): "NameError",
    ("net Linaer", "m.bias.zero_()\n"): "'Linear'",
    ("net 0.weight", "m.bias.zero_()\n"): "is a tensor, expected a module",
    ("net ReLU", "pass\n"): "no tensors to change",
    ("nett Linear", "m.bias.zero_()\n"): "did you mean net?",
    ("net", "m.bias.zero_()\n"): "no module is named",
    ("", "m.bias.zero_()\n"): "no model is named",
    ("net Linear --sede 3", "m.bias.zero_()\n"): "did you mean --seed",
    ("net [0", "m.bias.zero_()\n"): "is never closed",
}


@pytest.mark.parametrize(("line", "body"), REFUSED)
def test_what_cannot_be_run_is_said_in_one_line_and_nothing_is_changed(ip, net, line, body):
    before = bits(net)
    parameters = [id(each) for each in net.parameters()]
    assert REFUSED[line, body] in refused(ip, line, body)
    assert bits(net) == before
    assert [id(each) for each in net.parameters()] == parameters


def test_it_documents_itself(ip):
    assert "fn(m)" in ip.ip.find_cell_magic("nn_init").__doc__
    assert "the body of fn(m)" in ip.run("%%nn_init --help\npass").text


def test_state_of_an_optimizer_is_cleared_and_comes_back(ip, net):
    adam = ip.variables["adam"] = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 6)).sum().backward()
    adam.step()
    applied(ip, "net 0 --clear-state", "m.weight.zero_()")
    assert net[0].weight not in adam.state
    ip.nn("undo net")
    assert net[0].weight in adam.state


def test_the_log_tells_cells_apart_by_their_first_line_and_counts_what_changed(ip, net):
    ip.run("%%nn_init net Linear\nm.weight *= 2")
    ip.run("%%nn_init net 0\n# the bias\n\nm.bias += 1\nm.weight += 0")
    lines = ip.nn("log net").splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["fn(m): m.weight *= 2", "fn(m): m.bias += 1"]
    of_weights = net[0].weight.numel() + net[2].weight.numel()
    assert [change.n_elements for change in edit.history(net).changes] == [of_weights, net[0].bias.numel()]
