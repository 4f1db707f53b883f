"""%nn in a real IPython shell: what each line shows, and what a line that can't be followed says."""

import re

import pytest
import torch
from torch import nn

from nnwidgets.magics.subcommands.table import SUBCOMMANDS
from nnwidgets.server.session.open_views import views_of
from tests.support.ipython_shell import shell


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        yield started


@pytest.fixture(autouse=True)
def variables(ip):
    names = {"net": nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)), "X": torch.rand(2, 20), "n": 3}
    ip.variables.update(names)
    yield names
    for name in [name for name in ip.variables if not name.startswith("_") and name not in _KEPT]:
        del ip.variables[name]


_KEPT = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def test_tree_shows_names_classes_shapes_and_counts(ip):
    text = ip.nn("tree net")
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["net", "Sequential"]
    assert any(line.split()[:2] == ["0", "Linear"] and "20 → 256" in line for line in lines)
    assert any("weight" in line and "256 × 20" in line and "f32" in line for line in lines)
    assert re.search(r"7\s946 parameters", lines[-1])


def test_tree_can_begin_at_a_path_and_stop_at_a_depth(ip):
    assert "256 → 10" in ip.nn("tree net 2")
    assert "20 → 256" not in ip.nn("tree net 2")
    assert "weight" not in ip.nn("tree net --depth 1")
    assert "Linear" in ip.nn("tree net --depth 1")
    assert "Linear" not in ip.nn("tree net --depth 0")


def test_show_gives_the_statistics_torch_gives(ip, variables):
    bias = variables["net"][2].bias.detach().double()
    words = ip.nn("show net 2.bias").split()
    for name, value in (("mean", bias.mean()), ("std", bias.std()), ("min", bias.min()), ("norm", bias.norm())):
        assert float(words[words.index(name) + 1]) == pytest.approx(float(value), rel=1e-5)


def test_show_takes_a_glob_or_class_that_means_one_thing(ip, variables):
    variables["net"][0].register_parameter("bias", None)
    assert "2.bias" in ip.nn("show net *.bias")
    assert "2.bias" in ip.nn("show net Linear.bias")


def test_show_gives_a_module_and_what_is_in_it(ip):
    text = ip.nn("show net 0")
    assert "Linear" in text
    assert re.search(r"5\s376", text)
    assert "256 × 20" in text


def test_show_says_why_a_tensor_has_no_statistics(ip):
    ip.variables["net"] = nn.Linear(2, 2, device="meta")
    assert "meta" in ip.nn("show net weight")
    ip.variables["net"] = nn.LazyLinear(3)
    assert "not known yet" in ip.nn("show net weight")


def test_tied_names_both_places(ip, variables):
    variables["net"][0].weight = nn.Parameter(torch.ones(10, 256))
    variables["net"][2].weight = variables["net"][0].weight
    text = ip.nn("tied net")
    assert "0.weight" in text
    assert "2.weight" in text
    assert "one tensor, several names" in text


def test_check_gives_the_fix_in_the_variables_own_name(ip):
    mlp = nn.Sequential(nn.Linear(4, 4))
    mlp.scale = torch.ones(4)
    ip.variables["mlp"] = mlp
    text = ip.nn("check mlp")
    assert "unregistered-tensor" in text
    assert "mlp.register_buffer('scale'" in text


def test_a_fix_runs_as_pasted(ip):
    ip.variables["mlp"] = nn.Sequential(nn.Linear(4, 4))
    ip.variables["mlp"].scale = torch.ones(4)
    fix = [line.strip() for line in ip.nn("check mlp").splitlines() if line.startswith("    ")]
    assert ip.run("\n".join(fix)).error is None
    assert "unregistered-tensor" not in ip.nn("check mlp")


def test_trace_says_shapes_call_by_call(ip):
    text = ip.nn("trace net X")
    assert "2 × 20 f32" in text
    assert "2 × 256 f32" in text
    assert "4 calls" in text


def test_trace_of_a_forward_that_raises_names_the_module_and_the_shapes_it_got(ip):
    ip.variables["X"] = torch.rand(2, 21)
    text = ip.nn("trace net X")
    assert "error 0" in text
    assert "2 × 21 f32" in text
    assert "never called: 1, 2" in text


def test_trace_passes_keywords_and_constants(ip):
    class Masked(nn.Module):
        def forward(self, x, *, mask=None, scale=1):
            assert mask is not None
            assert scale == 2
            return x * mask * scale

    ip.variables["net"] = Masked()
    ip.variables["M"] = torch.ones(2, 20)
    assert "✗" not in ip.nn("trace net X mask=M scale=2")


def test_a_bare_line_explores_the_only_model_and_lists_several(ip):
    assert "application/vnd.jupyter.widget-view+json" in ip.run("%nn").outputs[0].data
    ip.variables["also"] = ip.variables["net"]
    assert "application/vnd.jupyter.widget-view+json" in ip.run("%nn").outputs[0].data
    ip.variables["other"] = nn.ReLU()
    text = ip.nn("")
    assert "other" in text
    assert "ReLU" in text
    assert "Usage" in text


def test_a_name_alone_explores(ip, variables):
    from nnwidgets import Explorer
    from nnwidgets.server.session.open_views import open_models

    ran = ip.run("%nn net")
    assert "application/vnd.jupyter.widget-view+json" in ran.outputs[0].data
    assert "Linear" in ran.text
    assert "<details" in ran.html[0]
    assert any(model is variables["net"] for model in open_models())
    assert Explorer


def test_trace_is_shown_on_the_open_explorers_of_the_model(ip, variables):
    from nnwidgets import explore

    view = explore(variables["net"], name="net")
    other = explore(nn.ReLU(), name="other")
    shown = []
    view.show_trace = shown.append
    other.show_trace = lambda _: pytest.fail("this one shows another model")
    try:
        assert "Explorer" in ip.nn("trace net X")
        assert [call.path for call in shown[0].calls] == ["", "0", "1", "2"]
    finally:
        view.close()
        other.close()


def test_activations_are_shown_on_the_open_explorers_of_the_model(ip, variables):
    from nnwidgets import explore

    view = explore(variables["net"], name="net")
    shown = []
    view.show_activations = shown.append
    try:
        assert "Shown in the open Explorer of net too." in ip.nn("activations net X --loss noise")
        assert [call.path for call in shown[0].calls] == ["", "0", "1", "2"]
    finally:
        view.close()


def test_a_model_may_be_named_as_a_subcommand(ip):
    ip.variables["tree"] = nn.Tanh()
    assert "Tanh" in ip.run("%nn tree").text
    assert "Linear" in ip.nn("tree net")
    assert "Tanh" in ip.nn("tree tree")


def test_local_variables_of_a_function_are_found(ip):
    ran = ip.run("def inside():\n    hidden = net[0]\n    %nn tree hidden\ninside()")
    assert ran.error is None, ran.printed
    assert "20 → 256" in ran.text


def test_braces_and_dollars_on_the_line_are_text_and_run_nothing(ip):
    ip.variables["made"] = []
    line = ip.refused("show net {made.append(1)} $n")
    assert ip.variables["made"] == []
    assert "Usage" in line or "No module" in line


REFUSED = {
    "nett": "No variable 'nett'; did you mean net?",
    "tree nett": "did you mean net?",
    "n": "n is an int, expected a torch.nn.Module",
    "show net 0.wieght": "'0.weight'",
    "tree net 7": "No module or tensor at '7'",
    "show net *.weight": "'*.weight' is ambiguous, it means 0.weight, 2.weight; name one of them.",
    "show net Linear.weight": "0.weight, 2.weight",
    "tree net --depth x": "'x' is not a whole number",
    "trace net Y": "No variable 'Y'",
    "trace net X Z=W": "No variable 'W'",
    "net()": "can't be read",
    "summary net --input 2,21": "The forward raised at 0 when given 2 × 21 f32: RuntimeError",
    "inot net 0.weight xavier_uniform_": "did you mean 'init'?",
    "auto perhaps": "'perhaps'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_line_that_cannot_be_followed_says_so_in_one_line_and_changes_nothing(ip, variables, line):
    before = {name: value.clone() for name, value in variables["net"].state_dict().items()}
    assert REFUSED[line] in ip.refused(line)
    assert all(torch.equal(value, before[name]) for name, value in variables["net"].state_dict().items())
    assert variables["net"].training


def test_hostile_names_in_a_message_are_inert(ip):
    line = ip.refused("tree \u202e\x1b[31mnet")
    assert "\x1b[31m" not in line.replace("\x1b[0m", "")
    assert "\u202e" not in line


def test_the_magic_documents_itself(ip):
    documentation = ip.ip.find_line_magic("nn").__doc__
    for subcommand in SUBCOMMANDS:
        assert f"%nn {subcommand}" in documentation


def test_lines_on_a_model_that_torch_cannot_name(ip):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            block = nn.Linear(3, 3)
            self._modules[block] = block

        def extra_repr(self):
            raise RuntimeError("never called")

        def forward(self, x):
            for block in self._modules.values():
                x = block(x)
            return x

    ip.variables["chain"] = Chain()
    ip.variables["Z"] = torch.rand(1, 3)
    assert "[0]" in ip.nn("tree chain")
    assert "[0].weight" in ip.nn("show chain [0].weight")
    assert "nnwidgets' own table" in ip.nn("summary chain --input 1,3")
    assert "1 × 3 f32" in ip.nn("trace chain Z")
    assert "non-string-key" in ip.nn("check chain")


def test_a_line_opens_the_explorer_at_a_path_and_with_a_filter(ip):
    net = ip.variables["net"] = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for line, selected, filtered in (
        ("net 0.weight", "0.weight", ""),
        ("net --filter bias", "", "bias"),
        ("net Linear.bias", "", "Linear.bias"),
    ):
        ip.nn(line)
        (view,) = views_of(net)
        assert (view.selected, view.filter) == (selected, filtered)
        view.close()
    assert "Did you mean '0.weight'" in ip.refused("net 0.wieght")
    assert not views_of(net)


def test_what_is_written_in_one_word_is_answered_with_the_two_that_were_meant(ip):
    ip.variables["net"] = nn.Sequential(nn.Linear(2, 2))
    assert "%nn set net 0.weight[0,0] = 42" in ip.refused("set net[0].weight[0,0] = 42")
    assert "two words: net 0.weight." in ip.refused("show net[0].weight")


def test_a_trace_without_an_input_says_what_forward_takes_and_which_tensors_there_are(ip):
    ip.variables.update(net=nn.Sequential(nn.Linear(2, 2)), X=torch.rand(3, 2), fixed=NoInput())
    said = ip.refused("trace net")
    assert "takes input, and no input is named. Tensors here: X. %nn trace net X" in said
    assert "1 call" in ip.nn("trace fixed")


class NoInput(nn.Module):
    def forward(self, scale=1.0):
        return torch.ones(1) * scale


def test_help_lists_all_lines_and_explains_one(ip):
    listed = ip.nn("help")
    assert all(f"%nn {name}" in listed for name in SUBCOMMANDS)
    assert "%nn init net 0.weight" in ip.nn("help init")
    assert ip.completions("%nn help fre") == ["freeze"]


def test_show_tells_of_a_gradient_beside_its_tensor_and_as_a_place_of_its_own(ip, variables):
    net = variables["net"]
    net(variables["X"]).sum().backward()
    net[0].weight.grad[0, 0] = float("nan")
    net[0].weight.grad[0, 1] = -float("inf")
    assert re.search(r"gradient +std \S+ · 1 NaN · 1 inf", ip.nn("show net 0.weight"))
    text = ip.nn("show net 0.weight.grad")
    assert text.startswith("0.weight.grad")
    assert re.search(r"NaN +1 +infinite +1", text)
    assert ip.nn("stats net 2.bias.grad").startswith("2.bias.grad")
    listed = ip.nn("stats net 0 2.bias !0.weight")
    assert [line.split()[0] for line in listed.splitlines()[1:-1]] == ["0.bias", "2.bias"]
    net[2].bias.grad = None
    assert "2.bias has no gradient" in ip.refused("show net 2.bias.grad")
    assert "%nn tree net lists them" in ip.refused("show net xxxxxxxx")


def test_trace_makes_its_input_from_a_size(ip):
    text = ip.nn("trace net --input 2,20")
    assert "2 × 20 f32" in text
    assert "15.36 K mult-adds" in text
    assert "autograd keeps 2.21 kB" in text
    assert "no dtype 'float31'; did you mean float32?" in ip.refused("trace net --input 2,20:float31")


def test_a_graph_says_what_takes_from_what_as_a_table_or_for_others(ip):
    assert "2  1        ReLU    1 2 × 256" in ip.nn("graph net X")
    assert 'n1 -->|"2 × 256"| n2' in ip.nn("graph net --input 2,20 --mermaid")
    assert 'n1 -> n2 [label="2 × 256"]' in ip.nn("graph net X --dot")
    assert "raised: RuntimeError" in ip.nn("graph net --input 2,21")


def test_activations_take_a_target_a_function_or_noise_as_the_loss(ip, variables):
    ip.variables["y"] = torch.zeros(len(variables["X"]), dtype=torch.int64)
    ip.variables["half"] = lambda output: output.mean() / 2
    assert "gradient's std" not in ip.nn("activations net X")
    for line in ("activations net X --loss y", "activations net X --loss half", "activations net input=X --loss half"):
        text = ip.nn(line)
        assert "gradient : weight" in text
        assert re.search(r"^net +Sequential .*\n  0 +Linear +2 × 256 ", text, re.MULTILINE)
        assert "2 calls" not in text
    assert "loss" not in ip.nn("activations net --input 2,20 --loss noise").splitlines()[-1]
    assert "%nn activations: the forward of net takes input" in ip.refused("activations net")
    assert "noise" in ip.refused("activations net X --loss nois")


def test_inits_compares_what_is_named_and_leaves_the_model(ip, variables):
    before = variables["net"][0].weight.clone()
    ip.variables["y"] = torch.zeros(len(variables["X"]), dtype=torch.int64)
    ip.variables["mine"] = lambda tensor: tensor.fill_(0.5)
    line = 'inits net X mine xavier_normal_ gain=2 "normal_ std=0.01" "as it is" --loss y --seeds 2 --steps 2'
    found = ip.ip.run_line_magic("nn", line)
    assert [each.name for each in found.candidates] == ["mine", "xavier_normal_ gain=2", "normal_ std=0.01", "as it is"]
    assert [each.seeds for each in found.candidates] == [(0, 1), (0, 1), (0, 1), (0,)]
    assert len(found.candidates[0].losses) == 2
    assert found.targets == ("0.weight", "2.weight")
    assert torch.equal(variables["net"][0].weight, before)
    ip.variables["ones"] = torch.ones(3, 20)
    for line, names in (
        ("ones xavier_normal_", ["xavier_normal_"]),
        ("X ones", ["ones"]),
        ("input=X ones", ["ones"]),
        ("--input 4,20 ones", ["ones"]),
    ):
        found = ip.ip.run_line_magic("nn", f"inits net {line} --seeds 1")
        assert [each.name for each in found.candidates] == names
    text = ip.nn("inits net --input 4,20 kaiming_normal_ --target 0.weight --seeds 1")
    assert re.search(r"^0 +Linear +[0-9.]+$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "1 run on stand-ins of 1 tensor; the model is as it was"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("inits net X", "no initializer is named. Usage: %nn inits net X"),
        ("inits net xavier_uniform_", "%nn inits: the forward of net takes input"),
        ("inits net X xavier_unifrm", "Did you mean xavier_uniform_"),
        ("inits net X normal_ sdt=1", "has no parameter 'sdt'"),
        ("inits net X normal_ std=n", "nothing is computed here"),
        ("inits net X normal_ --seeds many", "--seeds 'many' is not a whole number"),
        ("inits net X normal_ --steps 3", "--steps needs --loss"),
        ("inits net X orthogonal_ --target Linear.bias", "orthogonal_ can't fill 0.bias"),
    ],
)
def test_inits_says_what_is_wrong_with_a_line(ip, line, said):
    assert said in ip.refused(line)


def test_costs_count_the_optimizers_among_the_variables_and_what_a_forward_keeps(ip, variables):
    net = variables["net"]
    adam = torch.optim.Adam(net.parameters())
    net(variables["X"]).sum().backward()
    adam.step()
    assert "for want of one" in ip.nn("costs net")
    ip.variables["adam"] = adam
    for line in ("costs net X", "costs net --input 2,20", "costs net input=X"):
        text = ip.nn(line)
        assert re.search(r"^net +31\.78 kB +31\.78 kB +63\.58 kB +2\.21 kB +30\.72 K +15\.36 K$", text, re.MULTILINE)
        assert "Not in it" not in text
    assert ip.nn("costs net --depth 0").count("\n") == 3


def test_optimizer_shows_those_among_the_variables_or_the_one_named(ip, variables):
    net = variables["net"]
    assert "No variable holds an optimizer of net" in ip.refused("optimizer net")
    ip.variables["adam"] = torch.optim.Adam(net[0].parameters(), weight_decay=0.5)
    ip.variables["sgd"] = torch.optim.SGD(net[2].parameters(), lr=0.25)
    both = ip.nn("optimizer net")
    assert re.search(r"adam · Adam +2 +5\s376 +0\.001 +0\.5 ", both)
    assert "in no group" not in both
    assert "in no group here: 0.weight, 0.bias" in ip.nn("optimizer net sgd")


def test_the_help_of_init_has_each_parameter_whole(ip):
    text = ip.nn("init --help")
    table = text[text.index("fills with") :]
    assert "a=0, mode='fan_in', nonlinearity='leaky_relu'" in table
    assert "mean=0.0, std=1.0, a=-2.0, b=2.0" in table
    assert not {"…", "`", ":math:"} & set(re.findall(r"…|`|:math:", table))


def test_check_looks_at_the_optimizers_among_the_variables_and_knows_of_other_models(ip, variables):
    net = variables["net"]
    ip.variables["head"] = nn.Linear(10, 2)
    ip.variables["adam"] = torch.optim.Adam([*net.parameters(), *ip.variables["head"].parameters()])
    assert "stale-optimizer" not in ip.nn("check net")
    assert "stale-optimizer" not in ip.nn("check head")
    net[2] = nn.Linear(256, 10)
    assert "stale-optimizer" in ip.nn("check net")
