"""%nn init, set, freeze, undo, redo, log and code in a real IPython shell."""

import inspect
import math
import re

import pytest
import torch
from torch import nn

from nnwidgets import edit
from tests.support.edited_models import bits, mlp, run
from tests.support.ipython_shell import shell


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        yield started


@pytest.fixture
def net(ip):
    before = set(ip.variables)
    made = ip.variables["net"] = mlp()
    ip.variables["torch"], ip.variables["nn"] = torch, nn
    yield made
    for name in set(ip.variables) - before:
        del ip.variables[name]


TORCHS = [name for name, each in edit.initializers().items() if each.kind == "torch"]
PASSED = {"constant_": {"val": 0.25}, "sparse_": {"sparsity": 0.5}, "uniform_": {"a": -2, "b": 3.5}}
SHAPES = {"dirac_": lambda: nn.Conv1d(3, 4, 5)}


@pytest.mark.parametrize("name", TORCHS)
def test_each_filler_gives_torchs_own_bits_for_the_same_seed(ip, net, name):
    layer = SHAPES.get(name, lambda: nn.Linear(5, 6))()
    ip.variables["net"] = nn.Sequential(layer)
    kwargs = PASSED.get(name, {})
    wanted = layer.weight.detach().clone()
    filler = getattr(nn.init, name)
    takes = "generator" in inspect.signature(filler).parameters
    with torch.random.fork_rng():
        torch.manual_seed(7)
        filler(wanted, **kwargs, **({"generator": torch.Generator().manual_seed(7)} if takes else {}))
    written = " ".join(f"{key}={value!r}" for key, value in kwargs.items())
    state = torch.get_rng_state()
    before = bits(ip.variables["net"])
    ip.nn(f"init net 0.weight {name} {written} --seed 7 --preview")
    assert bits(ip.variables["net"]) == before
    ip.nn(f"init net 0.weight {name.removesuffix('_')} {written} --seed 7")
    assert torch.equal(layer.weight.view(torch.int32), wanted.view(torch.int32))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_class_means_every_weight_of_it_and_reset_the_modules_own(ip, net):
    text = ip.nn("init net Linear.weight normal_ std=0.01 --seed 3")
    assert "0.weight" in text
    assert "2.weight" in text
    assert 0.005 < net[2].weight.std() < 0.02
    ip.nn("init net 0 reset --seed 3")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        assert torch.equal(nn.Linear(6, 8).weight, net[0].weight)


def test_the_output_says_seed_numbers_before_and_after_and_how_to_undo(ip, net):
    old = net[0].weight.detach().clone()
    ran = ip.run("%nn init net 0.weight xavier_uniform_ gain=2 --seed 7")
    lines = ran.text.splitlines()
    before = next(line.split() for line in lines if "before" in line)
    after = next(line.split() for line in lines if line.split()[:1] == ["after"])
    assert before[:2] == ["0.weight", "before"]
    assert [float(cell) for cell in before[2:]] == _close(old)
    assert [float(cell) for cell in after[1:]] == _close(net[0].weight.detach())
    assert "xavier_uniform_(gain=2)" in lines[0]
    assert "seed  7" in ran.text
    assert "%nn undo net" in ran.text
    assert "<table>" in ran.html[0]
    assert "<script" not in ran.html[0]


def _close(tensor):
    data = tensor.double()
    return [pytest.approx(float(each), rel=1e-4) for each in (data.mean(), data.std(), data.min(), data.max())]


def test_a_preview_shows_the_very_numbers_the_named_seed_writes(ip, net):
    shown = ip.nn("init net 0.weight normal_ --preview")
    seed = re.search(r"--seed (\d+)", shown)[1]
    made = ip.nn(f"init net 0.weight normal_ --seed {seed}")
    assert "Nothing was written." in shown
    assert [line for line in shown.splitlines() if "after" in line] == [
        line for line in made.splitlines() if line.split()[:1] == ["after"]
    ]


def test_words_are_text_where_an_initializer_takes_text(ip, net):
    ip.nn("init net 0.weight kaiming_uniform_ mode=fan_out nonlinearity='leaky_relu' a=0.1 --seed 1")
    wanted = torch.empty_like(net[0].weight)
    generator = torch.Generator().manual_seed(1)
    nn.init.kaiming_uniform_(wanted, a=0.1, mode="fan_out", nonlinearity="leaky_relu", generator=generator)
    assert torch.equal(net[0].weight, wanted)


def test_a_tied_name_is_told_and_changes_too(ip, net):
    net[2].weight = nn.Parameter(torch.ones(8, 6))
    net[0].weight = net[2].weight
    text = ip.nn("init net 2.weight zeros")
    assert "0.weight is tied" in text or "2.weight is tied" in text
    assert "the same tensor" in text
    assert not net[0].weight.any()


def test_a_constant_weight_is_warned_of(ip, net):
    told = " ".join(ip.nn("init net 0.weight constant_ val=1").split())
    assert "has the same weights. Unless biases, what follows or, in a last layer, the targets tell units apart" in told
    assert "the layer learns as one unit" in told
    told = " ".join(ip.nn("init net 2.weight zeros_").split())
    assert "All elements of 2.weight are 0. That is right for the last layer of a model, an adapter" in told
    assert "learns as one unit" not in told


def test_optimizers_among_the_variables_are_found_told_with_numbers_and_cleared(ip, net):
    adam = ip.variables["adam"] = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 6)).sum().backward()
    adam.step()
    kept = {name: each.clone() for name, each in adam.state[net[0].weight].items()}
    text = " ".join(ip.nn("init net 0.weight normal_ --seed 1").split())
    assert "Adam keeps moments of the old values of 0.weight (step 1, exp_avg of norm" in text
    assert "--clear-state clears them" in text
    assert "clear_state" not in text
    assert net[0].weight in adam.state
    text = " ".join(ip.nn("init net 0.weight normal_ --clear-state").split())
    assert "Adam's state is cleared" in text
    assert net[0].weight not in adam.state
    assert "adam.state.pop(net[0].weight, None)" in ip.nn("code net")
    ip.nn("undo net")
    assert all(torch.equal(adam.state[net[0].weight][name], each) for name, each in kept.items())
    assert "Adam keeps moments of the old values of 2.bias" in " ".join(ip.nn("set net 2.bias = 0").split())


SET = {
    "0.weight[0,0] = 42": ("0.weight", lambda w: w[0, 0].fill_(42)),
    "0.weight[0, 1:3]=[1.5, -2]": ("0.weight", lambda w: w[0, 1:3].copy_(torch.tensor([1.5, -2]))),
    "0.bias = -1e-3": ("0.bias", lambda w: w.fill_(-1e-3)),
    "2.bias = some_tensor": ("2.bias", lambda w: w.copy_(torch.arange(4.0))),
    "2.bias = held['b']": ("2.bias", lambda w: w.copy_(torch.arange(4.0) * 2)),
    "2.bias[-1] = inf": ("2.bias", lambda w: w[-1].fill_(math.inf)),
}


@pytest.mark.parametrize("line", SET)
def test_set_writes_a_number_a_list_or_a_variable(ip, net, line):
    ip.variables["some_tensor"] = torch.arange(4.0)
    ip.variables["held"] = {"b": torch.arange(4.0) * 2}
    path, change = SET[line]
    wanted = net.get_parameter(path).detach().clone()
    change(wanted)
    text = ip.nn(f"set net {line}")
    assert torch.equal(net.get_parameter(path), wanted)
    assert "before" in text
    assert "–" not in text


def test_freeze_and_unfreeze_set_the_flag_of_every_match(ip, net):
    assert "frozen" in ip.nn("freeze net 0.*")
    assert [each.requires_grad for each in net.parameters()] == [False, False, True, True]
    assert "trainable" in ip.nn("unfreeze net 0.bias 2.bias")
    assert [each.requires_grad for each in net.parameters()] == [False, True, True, True]
    ip.nn("undo net")
    ip.nn("undo net")
    assert all(each.requires_grad for each in net.parameters())


def test_undo_and_redo_go_through_the_same_bits_both_ways(ip, net):
    states = [bits(net)]
    for line in ("init net Linear.weight normal_", "set net 0.bias[0] = 3", "freeze net 2", "init net ** zeros"):
        ip.nn(line)
        states.append(bits(net))
    for wanted in states[-2::-1]:
        assert "undone" in ip.nn("undo net")
        assert bits(net) == wanted
    for wanted in states[1:]:
        ip.nn("redo net")
        assert bits(net) == wanted


def test_undo_over_the_users_own_edits_wants_force(ip, net):
    ip.variables["mlp"] = net
    old = net[0].bias.detach().clone()
    ip.nn("init mlp 0.bias zeros")
    with torch.no_grad():
        net[0].bias += 1
    line = ip.refused("undo mlp")
    assert "0.bias was changed by other code" in line
    assert "%nn undo mlp --force" in line
    assert bool((net[0].bias == 1).all())
    ip.nn("undo mlp --force")
    assert torch.equal(net[0].bias, old)


def test_the_log_lists_what_was_done_and_undone(ip, net):
    assert "No changes of net yet." in ip.nn("log net")
    ip.nn("init net 0.weight normal_ std=0.5 --seed 11")
    ip.nn("set net 0.bias[0] = 3")
    ip.nn("undo net")
    head, first, second, *rest = ip.nn("log net").splitlines()
    assert head.split() == ["change", "#", "time", "tensors", "elements", "seed"]
    assert first.startswith("normal_(std=0.5)")
    assert "11" in first.split()
    assert second.endswith("undone")
    assert head.index("#") == first.index(" 1 ") + 1 == second.index(" 2 ") + 1
    assert any("Undo copies" in line for line in rest)


def test_the_code_runs_as_pasted_and_gives_equal_bits(ip, net):
    fresh = mlp()
    ip.nn("init net Linear.weight xavier_uniform_ gain=2")
    ip.nn("init net 0.weight sparse_ sparsity=0.5")
    ip.nn("init net 2 reset")
    ip.nn("set net 0.weight[0,0] = 0.1")
    ip.nn("freeze net 2.*")
    ip.nn("init net 0.bias ones")
    ip.nn("undo net")
    code = ip.run("%nn code net").text
    run(code.removesuffix("What was undone is left out."), net=fresh)
    assert bits(fresh) == bits(net)
    one = mlp()
    run(ip.nn("code net 4"), net=one)
    assert one[0].weight[0, 0].item() == pytest.approx(0.1)


def test_code_of_long_values_is_whole_or_says_that_it_is_not_shown(ip, net):
    ip.variables["values"] = torch.randn(8, 6)
    ip.nn("set net 0.weight = values")
    fresh = mlp()
    run(ip.nn("code net"), net=fresh)
    assert torch.equal(fresh[0].weight, ip.variables["values"])
    ip.variables["net"] = nn.Linear(500, 400)
    ip.variables["values"] = torch.randn(400, 500)
    ip.nn("set net weight = values")
    assert "too many to show" in ip.nn("code net")


def test_code_of_a_model_in_a_list_names_it_first(ip, net):
    ip.variables["nets"] = [net]
    ip.nn("init nets[0] 0.bias ones")
    code = ip.nn("code nets[0]")
    fresh = mlp()
    run(code, nets=[fresh], net="mine")
    assert bits(fresh) == bits(net)
    assert "net = " not in code.replace("model = nets[0]", "")


def test_code_before_any_change_says_so(ip, net):
    assert ip.nn("code net") == "No changes yet, so no code."


REFUSED = {
    "init net 0.wieght normal_": "'0.weight'",
    "init net 7 normal_": "No module or tensor at '7'",
    "init nett 0.weight normal_": "did you mean net?",
    "init net 0.weight normel_": "normal_",
    "init net 0.weight nn.init.nope_": "No initializer is named",
    "init net normal_ 0.weight": "the target comes before the initializer: %nn init net 0.weight normal_",
    "init net 0.weight normal_ sdt=2": "normal_(mean=0.0, std=1.0)",
    "init net 0.weight constant_": "needs 'val'",
    "init net 0.weight normal_ std=wide": "'std=wide' is no plain value",
    "init net 0.weight normal_ std=made.append(1)": "is no plain value",
    "init net 0.weight normal_ std='wide'": "takes a number for 'std'",
    "init net 0.weight normal_ seed=3": "seed is written --seed 7",
    "init net 0.weight normal_ --seed 99999999999999999999": "at most 64 bits",
    "init net 0.weight kaiming_uniform_ mode=sideways": "one of fan_in, fan_out",
    "init net 0.bias xavier_uniform_": "can't fill 0.bias",
    "init net Linear xavier_uniform_": "can't fill 0.bias",
    "init net 0.weight dirac_": "can't fill 0.weight",
    "init net 1 zeros": "has no parameters",
    "set net 0.weight[9,9] = 1": "doesn't fit 0.weight",
    "set net 0.weight[made.append(1)] = 1": "can't be read",
    "set net 0.weight[0] = made.append(1)": "can't be read",
    "set net 0.bias = [1, 2]": "has shape 2, expected 8",
    "set net 0.bias = nothing": "No variable 'nothing'",
    "set net 0.bias = 'text'": "no number, tensor or list",
    "set net 0.bais = 1": "'0.bias'",
    "freeze net 0.wieght": "'0.weight'",
    "unfreeze net 1": "has no parameters",
    "undo net": "nothing to undo",
    "redo net": "nothing to redo",
    "code net 3": "no change has the number 3",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_changed(ip, net, line):
    ip.variables["made"] = []
    before, state = bits(net), torch.get_rng_state()
    assert REFUSED[line] in ip.refused(line)
    assert bits(net) == before
    assert ip.variables["made"] == []
    assert torch.equal(torch.get_rng_state(), state)
    assert edit.history(net).changes == ()


def test_hostile_names_are_inert_in_the_output_and_the_log(ip, net):
    hostile = "<img src=x onerror=alert(1)>\u202e"
    odd = ip.variables["net"] = nn.Module()
    odd.add_module(hostile, nn.Linear(2, 2))
    for line in ("%nn init net Linear.weight zeros", "%nn log net", "%nn code net", "%nn freeze net *"):
        ran = ip.run(line)
        assert ran.error is None
        assert "<img" not in "".join(ran.html)
        assert "\u202e" not in ran.text + "".join(ran.html)


@pytest.mark.parametrize("asked", ["%nn init?", "%nn init --help", "%nn init net -h", "  %nn init ??"])
def test_a_subcommand_documents_itself(ip, asked):
    text = ip.run(asked).text
    assert "%nn init net 0.weight xavier_uniform_" in text
    assert "--clear-state" in text
    assert "a=0, mode='fan_in', nonlinearity='leaky_relu'" in text


def test_a_question_inside_a_text_or_another_cell_magic_is_left_alone(ip):
    ip.run('said = """\n%nn init?\n"""')
    assert ip.variables.pop("said") == "\n%nn init?\n"


def test_every_subcommand_has_documentation(ip):
    from nnwidgets.magics.subcommands.table import SUBCOMMANDS

    for name in SUBCOMMANDS:
        assert f"%nn {name}" in ip.run(f"%nn {name}?").text


def test_several_targets_stand_before_the_initializer_and_commas_between_parameters_do_no_harm(ip, net):
    ip.nn("init net 0.weight 2.weight normal_ mean=3, std=0.01 --seed 7")
    assert [round(net[at].weight.mean().item()) for at in (0, 2)] == [3, 3]
    ip.nn("init net ** !0 uniform_ a=5,b=6")
    assert float(net[2].bias.min()) >= 5
    assert round(net[0].weight.mean().item()) == 3
    ip.nn("freeze net {0,2}.weight !2")
    assert [net[at].weight.requires_grad for at in (0, 2)] == [False, True]
    assert "'0.01' is one word too many" in ip.refused("init net 0.weight normal_ 0.01")
    assert "No initializer is named '2.weight'" in ip.refused("init net 0.weight 2.weight")


def test_a_function_of_the_notebook_stands_in_place_of_an_initializer(ip, net):
    ip.run("def init_fn(m):\n    nn.init.constant_(m.bias, 5)\ndef other(t, generator):\n    t.fill_(7)")
    ip.nn("init net Linear init_fn")
    assert float(net[2].bias.min()) == 5
    ip.nn("init net 0.bias other")
    assert float(net[0].bias.min()) == 7
    assert "init_fn" in ip.completions("%nn init net Linear ini")
    assert "No initializer is named 'missing'" in ip.refused("init net Linear missing")
