"""From a name on the line to the live object, running nothing."""

import types
from typing import ClassVar

import pytest
import torch
from torch import nn

from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.resolve import model_names, resolve, resolve_model


class Armed(nn.Module):
    """Any of its own code that runs leaves a trace."""

    ran: ClassVar[list] = []

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self._modules["kept"] = nn.ReLU()

    @property
    def computed(self):
        self.ran.append("property")
        return self.inner

    @property
    def __class__(self):
        self.ran.append("__class__")
        return Armed

    def __getattr__(self, name):
        self.ran.append(f"__getattr__ {name}")
        return super().__getattr__(name)

    def __getitem__(self, index):
        self.ran.append("__getitem__")
        return self.inner

    def __getattribute__(self, name):
        if name in {"inner", "kept", "computed"}:
            Armed.ran.append(f"__getattribute__ {name}")
        return super().__getattribute__(name)

    def __eq__(self, other):
        Armed.ran.append("__eq__")
        return False

    def __hash__(self):
        Armed.ran.append("__hash__")
        return 0


@pytest.fixture
def armed():
    module = Armed()
    Armed.ran.clear()
    yield module
    assert Armed.ran == []


def found(expression, namespace):
    return resolve_model(expression, namespace)


def test_attributes_items_and_negative_indices_are_followed():
    net = nn.Sequential(nn.Linear(2, 3), nn.ModuleDict({"a b": nn.ReLU()}), nn.ModuleList([nn.Tanh()]))
    trainer = types.SimpleNamespace(model=net, nets=[net, {"x": net}])
    names = {"net": net, "trainer": trainer}
    assert found("net", names) is net
    assert found("trainer.model", names) is net
    assert found("trainer.nets[-1]['x']", names) is net
    assert found("net[0]", names) is net[0]
    assert found("net[-1][0]", names) is net[2][0]
    assert found("net[1]['a b']", names) is net[1]["a b"]


def test_no_code_of_the_model_runs(armed):
    names = {"net": armed}
    assert found("net.kept", names) is object.__getattribute__(armed, "__dict__")["_modules"]["kept"]
    assert found("net.inner", names) is object.__getattribute__(armed, "__dict__")["_modules"]["inner"]
    for expression, said in (("net.computed", "computed"), ("net[0]", "run"), ("net.missing", "no missing in net")):
        with pytest.raises(LineError, match=said):
            found(expression, names)
    assert model_names(names) == ["net"]


@pytest.mark.parametrize(
    "expression",
    ["net()", "net.forward(1)", "net + net", "[net][0]", "net if net else net", "net[net]", "(lambda: net)()",
     "net; net",
     "net[0:1]", "f'{net}'", "__import__('os').system('true')", "net.", "1net", "", "(" * 5_000, "a" * 20_000],
)  # fmt: skip
def test_what_is_not_a_plain_name_is_refused_unrun(expression):
    with pytest.raises(LineError) as caught:
        found(expression, {"net": nn.ReLU()})
    assert len(str(caught.value)) < 400


def test_a_missing_name_suggests_variables_that_hold_models():
    names = {"network": nn.ReLU(), "netwrk_data": 3}
    with pytest.raises(LineError, match=r"^No variable 'netwrk'; did you mean network\?$"):
        found("netwrk", names)
    with pytest.raises(LineError, match="models here: network"):
        found("zzz", names)
    with pytest.raises(LineError, match="no model yet"):
        found("zzz", {})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "x is an int"),
        (torch.zeros(2), "x is a Tensor"),
        ({"a": 1}, "x is a dict"),
        (nn.Linear, r"x is a class, expected a module made from it: net = x\(…\)"),
        (None, "x is a NoneType"),
        (nn, "x is a module, expected a torch.nn.Module"),
    ],
)
def test_a_value_that_is_no_module_is_said_to_be_what_it_is(value, said):
    with pytest.raises(LineError, match=said):
        found("x", {"x": value})


def test_a_tensor_of_a_module_is_pointed_to_show():
    with pytest.raises(LineError, match=r"are two words: net weight\.$"):
        found("net.weight", {"net": nn.Linear(2, 2)})


def test_items_that_are_not_there_say_what_is():
    names = {"nets": [nn.ReLU()], "by": {"left": nn.ReLU()}}
    with pytest.raises(LineError, match=r"nets has 1 item, no \[3\]"):
        found("nets[3]", names)
    with pytest.raises(LineError, match="did you mean left"):
        found("by['lefd']", names)


def test_constants_are_allowed_where_values_are():
    assert resolve("None", {}, among=(), kind="tensor") is None
    assert resolve("-2", {}, among=(), kind="tensor") == -2
    assert resolve("'a'", {}, among=(), kind="tensor") == "a"


def test_hidden_results_of_ipython_are_no_models():
    assert model_names({"_": nn.ReLU(), "_3": nn.ReLU(), "__": nn.ReLU(), "net": nn.ReLU()}) == ["net"]
