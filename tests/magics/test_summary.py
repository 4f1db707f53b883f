"""%nn summary: torchinfo's table or ours, and a model that is afterwards bit for bit what it was."""

import contextlib
import random
from collections import OrderedDict
from typing import ClassVar

import pytest
import torch
from torch import nn

from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.tracing.inputs import InputSize
from nnwidgets.magics.line.grammar import LineError
from nnwidgets.magics.subcommands.summary import summary_page
from nnwidgets.text.document import Note, Preformatted
from nnwidgets.text.pages.summary_table import summary_table


def summarize(module, *sizes, depth=None):
    """Return the table and the sentence below it."""
    page = summary_page(module, [InputSize(*size) if isinstance(size[0], tuple) else InputSize(size) for size in sizes],
                        depth=depth)  # fmt: skip
    (table,) = [block.text for block in page if isinstance(block, Preformatted)]
    (note,) = [block.text for block in page if isinstance(block, Note)]
    return table, note


class Messy(nn.Module):
    """A forward that touches all that a forward can."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(1))
        self.linear.eval()

    def forward(self, x):
        self.calls += 1
        self.cache = x
        with torch.no_grad():
            self.linear.weight.mul_(2)
        random.random()  # noqa: S311 - a generator a forward may draw from
        return self.linear(self.drop(self.norm(x)))


def everything(module):
    """All that may not change: bytes, versions, flags, hooks, attributes, gradients, random generators."""
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    return {
        "bytes": state,
        "versions": [tensor._version for tensor in (*module.parameters(), *module.buffers())],
        "objects": [id(tensor) for tensor in (*module.parameters(), *module.buffers())],
        "flags": [part.training for part in module.modules()],
        "attributes": [list(part.__dict__) for part in module.modules()],
        "hooks": [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in module.modules()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "rng": torch.get_rng_state(),
        "random": random.getstate(),
    }


def same(before, after):
    for name, value in before.items():
        if isinstance(value, dict):
            assert value.keys() == after[name].keys()
            assert all(torch.equal(value[key], after[name][key]) for key in value)
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, after[name])
        elif name == "gradients":
            assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(value, after[name], strict=True))
        else:
            assert value == after[name], name


@pytest.mark.parametrize("sizes", [[], [(3, 4)]])
def test_the_model_is_afterwards_what_it_was_with_torchinfo(sizes):
    net = Messy()
    net.linear.weight.grad = torch.ones(4, 4)
    net.norm.register_forward_hook(lambda *_: None)
    before = everything(net)
    _, note = summarize(net, *sizes)
    assert note.startswith("torchinfo's table")
    same(before, everything(net))


def test_the_model_is_afterwards_what_it_was_with_our_table():
    net = Messy()
    net.train = net.train  # an own attribute in place of a method: torchinfo would call it
    before = everything(net)
    table, note = summarize(net, (3, 4))
    assert note.startswith("nnwidgets' own table: torchinfo would run the train of Messy")
    assert "[3, 4]" in table
    after = everything(net)
    same({key: value for key, value in before.items() if key not in {"attributes", "bytes", "versions"}}, after)


def test_the_model_is_afterwards_what_it_was_when_the_forward_raises():
    net = Messy()
    before = everything(net)
    with pytest.raises(LineError, match="The forward raised at norm when given 3 × 5 f32"):
        summarize(net, (3, 5))
    same(before, everything(net))


def test_torchinfo_keeps_no_model_alive():
    import gc
    import weakref

    net = nn.Sequential(nn.Linear(2, 2))
    gone = weakref.ref(net)
    summarize(net, (1, 2))
    del net
    gc.collect()
    assert gone() is None


def test_counts_and_shapes_are_those_of_torchinfo():
    import torchinfo

    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    table, _ = summarize(net, (2, 3, 8, 8))
    theirs = str(torchinfo.summary(net, input_data=torch.rand(2, 3, 8, 8), verbose=0))
    assert table == theirs.replace("Units.MEGABYTES", "M")


@pytest.mark.parametrize("with_input", [False, True])
def test_our_table_has_torchinfos_columns_and_numbers(with_input):
    import torchinfo

    net = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.LayerNorm(8), nn.Linear(8, 2))
    net[2].requires_grad_(False)
    x = torch.rand(3, 4)
    from nnwidgets.introspect.tracing.trace import trace

    ours = summary_table(tree(net), trace(net, x) if with_input else None).splitlines()
    theirs = str(torchinfo.summary(net, input_data=x if with_input else None, verbose=0)).splitlines()
    n_rows = 3 + 6
    assert [line.split() for line in ours[:n_rows]] == [line.split() for line in theirs[:n_rows]]
    assert [line for line in ours if "params:" in line] == [line for line in theirs if "params:" in line]


class OddKeys(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.Linear(4, 4)
        self._modules[block] = block

    def forward(self, x):
        return next(iter(self._modules.values()))(x)


class Cyclic(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.again = nn.Sequential()
        self.again._modules["up"] = self

    def forward(self, x):
        return self.inner(x)


class Overriding(nn.Module):
    ran: ClassVar[list] = []

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def train(self, mode=True):
        self.ran.append("train")
        return super().train(mode)

    @property
    def kernel_size(self):
        self.ran.append("kernel_size")
        return 3

    def forward(self, x):
        return self.inner(x)


class OddOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        self.inner(x)
        return object()


def diamonds():
    part = nn.Linear(4, 4)
    for _ in range(40):
        part = nn.Sequential(part, part)
    return part


DECLINED = {
    "a key that is a module": (OddKeys, "key is not a string"),
    "a cycle": (Cyclic, "would never end"),
    "own code in place of a method": (Overriding, "would run the train of Overriding"),
    "an output torchinfo can't read": (OddOutput, "raised TypeError"),
    "a compiled model": (lambda: torch.compile(nn.Linear(4, 4)), "would run"),
}


@pytest.mark.parametrize("case", DECLINED)
def test_where_torchinfo_cannot_ours_does_and_says_why(case):
    make, said = DECLINED[case]
    net = make()
    Overriding.ran.clear()
    flags = [part.training for part in tree_modules(net)]
    table, note = summarize(net, (2, 4))
    assert "nnwidgets' own table: torchinfo" in note
    assert said in note
    assert "Layer (type:depth-idx)" in table
    assert "[2, 4]" in table
    assert Overriding.ran == []
    assert [part.training for part in tree_modules(net)] == flags


def tree_modules(module):
    from nnwidgets.introspect.safe_access.scan import read

    return read(module).modules


def test_shared_modules_that_double_at_each_level_end():
    table, note = summarize(diamonds(), depth=1)
    assert "own table" in note
    assert "(recursive)" in table


@pytest.mark.parametrize("depth", [30, 2_000])
def test_a_deep_nest_ends(depth):
    net = nn.Linear(2, 2)
    for _ in range(depth):
        net = nn.Sequential(net)
    _, note = summarize(net)
    assert "torchinfo would take too long" in note


def test_what_a_forward_leaves_on_a_module_is_taken_away():
    class Caches(nn.Module):
        def __init__(self):
            super().__init__()
            self.ordered = OrderedDict(a=1, b=2)

        def forward(self, x):
            self.seen = self.ordered["c"] = x
            self.ordered.move_to_end("a")
            self.extra = nn.ReLU()
            self.register_buffer("late", x)
            return x

    net = Caches()
    before = everything(net)
    _, note = summarize(net, (2, 3))
    assert note.startswith("torchinfo's table")
    same(before, everything(net))
    assert list(net.ordered.items()) == [("a", 1), ("b", 2)]


def test_a_lazy_model_stays_lazy():
    net = nn.Sequential(nn.LazyLinear(3))
    table, note = summarize(net)
    assert "lazy" in note
    assert "(not known yet)" in table
    assert isinstance(net[0].weight, nn.parameter.UninitializedParameter)


def test_a_meta_model_is_summarized_without_data():
    table, _ = summarize(nn.Sequential(nn.Linear(4, 3, device="meta")), (2, 4))
    assert "[2, 3]" in table


def test_inputs_take_the_dtype_of_the_parameters_or_the_one_asked_for():
    assert "[2, 3]" in summarize(nn.Sequential(nn.Linear(4, 3, dtype=torch.float64)), (2, 4))[0]
    assert "[2, 5, 4]" in summarize(nn.Sequential(nn.Embedding(9, 4)), ((2, 5), "int64"))[0]


def test_several_inputs_are_passed_in_order():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(4, 3), nn.Linear(5, 3)

        def forward(self, a, b):
            return self.left(a) + self.right(b)

    table, _ = summarize(Two(), (2, 4), (2, 5))
    assert table.count("[2, 3]") == 3


def test_a_forward_that_writes_a_parameter_and_raises_leaves_it():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            self.weight.data.zero_()
            raise ValueError("after the write")

    net = Writes()
    with contextlib.suppress(LineError):
        summarize(net, (1,))
    assert torch.equal(net.weight, torch.ones(3))


def test_torchinfos_units_are_letters():
    table, said = summarize(nn.Linear(20, 256), (2, 20))
    assert said.startswith("torchinfo's")
    assert "Total mult-adds (M):" in table
    assert "Units" not in table
