"""Tab after %nn, through IPython's own completer."""

from typing import ClassVar

import pytest
import torch
from IPython.core import completer
from torch import nn

from nnwidgets.edit import initializers
from nnwidgets.magics.completion.complete import MOST, complete
from nnwidgets.magics.subcommands.table import SUBCOMMANDS
from tests.support.ipython_shell import shell


class Encoder(nn.Module):
    """With what is hard to complete: a list, keys that need quotes, a key that is a module, arguments by name."""

    ran: ClassVar[list] = []

    def __init__(self):
        super().__init__()
        self.h = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
        block = nn.Sequential(nn.Linear(2, 2))
        self._modules[block] = block
        self._modules["a b"] = nn.ReLU()
        self._modules["c.d"] = nn.ReLU()
        self.register_buffer("mean", torch.ones(2))
        self.scale = torch.ones(2)

    def __getattr__(self, name):
        self.ran.append(name)
        return super().__getattr__(name)

    @property
    def hot(self):
        self.ran.append("hot")
        return self.h

    def forward(self, x, *, mask=None):
        return x


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
        started.variables.update(net=net, encoder=Encoder(), nets=[net], X=torch.rand(2, 20), number=3)
        Encoder.ran.clear()
        yield started
        assert Encoder.ran == []


def offered_initializers():
    """Asked for when a test runs: what other tests register is offered as well."""
    names = set(initializers())
    return names | {name.removesuffix("_") for name in names}


OFFERED = {
    "%nn ": {*SUBCOMMANDS, "net", "encoder"},
    "%nn t": {"tree", "tied", "trace"},
    "%nn n": {"net"},
    "a = 1\n%nn tr": {"tree", "trace"},
    "found = %nn tre": {"tree"},
    "%nn tree ": {"net", "encoder"},
    "%nn nets[": {"nets[0]"},
    "%nn tree encoder.": {"encoder.h"},
    "%nn show net ": {"0", "1", "2"},
    "%nn show net 0.": {"0.weight", "0.bias"},
    "%nn tree net 0": {"0"},
    "%nn net 2.": {"2.weight", "2.bias"},
    "%nn explore net --f": {"--filter"},
    "%nn net --filter Lin": {"Linear"},
    "%nn show net 2.b": {"2.bias"},
    "%nn show encoder ": {"h", "[1]", '"a b"', '["c.d"]', "mean", "scale"},
    "%nn show encoder h.": {"h.0", "h.1", "h.2"},
    "%nn show encoder [1].": {"[1].0"},
    '%nn show encoder "a': {'"a b"'},
    '%nn show encoder ["': {'["c.d"]'},
    "%nn show net *.b": {"0.bias", "2.bias"},
    "%nn show net Lin": {"Linear"},
    "%nn show net Linear.": {"Linear.weight", "Linear.bias"},
    "%nn tree net --": {"--depth"},
    "%nn summary net --": {"--input", "--depth"},
    "%nn summary net --input 2,20 --": {"--input", "--depth"},
    "%nn summary net --input 2,20:int": {f"2,20:int{bits}" for bits in (8, 16, 32, 64)},
    "%nn tree net --depth=": {f"--depth={depth}" for depth in range(1, 10)},
    "%nn auto ": {"on", "off"},
    "%nn auto of": {"off"},
    "%nn trace encoder ": {"X", "x=", "mask="},
    "%nn trace encoder X mask=": {"mask=X"},
    "%nn u": {"undo", "unfreeze"},
    "%nn init ": {"net", "encoder"},
    "%nn init net 0.": {"0.weight", "0.bias"},
    "%nn init net Linear.": {"Linear.weight", "Linear.bias"},
    "%nn init net 0.weight ": offered_initializers,
    "%nn init net 0.weight xavier_u": {"xavier_uniform_", "xavier_uniform"},
    "%nn init net 0.weight res": {"reset"},
    "%nn init net 0.weight trunc_normal_ ": {"mean=", "std=", "a=", "b="},
    "%nn init net 0.weight trunc_normal std=1 ": {"mean=", "a=", "b="},
    "%nn init net 0.weight kaiming_uniform_ mode=": {"mode=fan_in", "mode=fan_out"},
    "%nn init net 0.weight xavier_uniform_ gain=": {"gain=1.0"},
    "%nn init net 0.weight normal_ --": {"--seed", "--preview", "--clear-state"},
    "%nn init net 0.weight normal_ --preview --": {"--seed", "--clear-state"},
    "%nn init --seed 7 net 2.": {"2.weight", "2.bias"},
    "%nn inits net ": lambda: {"X", "input=", '"as it is"', *initializers()},
    "%nn inits net X kaiming_u": {"kaiming_uniform_"},
    "%nn inits net X trunc_normal_ std=1 a": {"a="},
    "%nn inits net X normal_ --": {"--target", "--loss", "--seeds", "--steps", "--input"},
    "%nn inits net X normal_ --target 0.": {"0.weight", "0.bias"},
    "%nn set net 2.b": {"2.bias"},
    "%nn set net 2.bias ": {"="},
    "%nn set net 2.bias = ": {"X"},
    "%nn freeze net 2.": {"2.weight", "2.bias"},
    "%nn freeze net 2.bias 0.w": {"0.weight"},
    "%nn undo ": {"net", "encoder"},
    "%nn undo net --": {"--force"},
    "%nn log n": {"net"},
    "%%nn_init ": {"net", "encoder"},
    "%%nn_init net ": {"0", "1", "2"},
    "%%nn_init net Lin": {"Linear"},
    "%%nn_init encoder h.": {"h.0", "h.1", "h.2"},
    "%%nn_init net 0 --": {"--seed", "--preview", "--clear-state"},
}


@pytest.mark.parametrize("line", OFFERED)
def test_tab_offers_what_can_stand_there(ip, line):
    if "*" in line and not hasattr(completer, "context_matcher"):
        pytest.skip("before IPython 8.6 what stands before a star can't be replaced")
    expected = OFFERED[line]
    assert set(ip.completions(line)) == (expected() if callable(expected) else expected)


@pytest.mark.parametrize("line", [line for line in OFFERED if line.startswith("%nn show") and "*" not in line])
def test_every_path_that_is_offered_can_be_shown(ip, line):
    before = line.rsplit(" ", 1)[0] if not line.endswith('"a') else "%nn show encoder"
    for text in ip.completions(line):
        if not text.startswith("Linear"):
            assert ip.run(f"{before} {text}").error is None


@pytest.mark.parametrize(
    "line",
    [
        "%nn log net 0",
        "%nn set net 0.bias = X ",
        "%nn zzz",
        "%nn encoder.hot.",
        "%nn tied net 0",
        "%nn show missing ",
        "%nn show net 9.",
    ],
)
def test_where_nothing_can_stand_nobody_else_is_asked(ip, line):
    assert ip.completions(line) in ([], [line.rsplit(" ", 1)[-1]])


def test_other_lines_complete_as_ever(ip):
    assert "number" in ip.completions("numb")
    assert any("nn" in text for text in ip.completions("%n"))


def test_the_older_way_of_asking_works_too(ip):
    line = "%nn show net 2.b"
    assert ip.ip.complete("", line, len(line))[1] == ["2.bias"]


def test_a_wide_model_offers_at_most_so_many():
    wide = nn.Module()
    for index in range(MOST + 50):
        wide.add_module(f"block{index}", nn.Identity())
    assert len(complete("tree wide ", {"wide": wide}).candidates) == MOST
    assert {each.text for each in complete("tree wide block34", {"wide": wide}).candidates} == {
        "block34", *(f"block34{digit}" for digit in range(10))
    }  # fmt: skip


def test_one_level_is_read_however_large_the_model(monkeypatch):
    deep = nn.Linear(2, 2)
    for _ in range(3_000):
        deep = nn.Sequential(deep)
    monkeypatch.setattr("nnwidgets.magics.line.path_completion.tree", lambda _: pytest.fail("reads the whole model"))
    monkeypatch.setattr("nnwidgets.magics.line.path_completion.read", lambda _: pytest.fail("reads the whole model"))
    assert [each.text for each in complete("show deep 0.0.", {"deep": deep}).candidates] == ["0.0.0"]


def test_an_index_is_offered_only_where_it_can_be_followed():
    held = {"by_key": nn.ModuleDict({"a": nn.ReLU()}), "row": nn.ModuleList([nn.ReLU()]), "own": nn.Transformer(8, 2)}
    offered = [each.text for name in held for each in complete(f"tree {name}[", held).candidates]
    assert offered == ["by_key['a']", "row[0]"]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("freeze encoder !h.1", ["!h.1"]),
        ("freeze encoder h.{0,", ["h.{0,0", "h.{0,1", "h.{0,2"]),
        ("freeze encoder {mean,h.2.w", ["{mean,h.2.weight"]),
        ("freeze encoder h.{0…", ["h.{0…0", "h.{0…1", "h.{0…2"]),
        ("freeze encoder h.{0,2}.w", ["h.0.weight", "h.2.weight"]),
        ("init encoder h.[1-2].b", ["h.1.bias", "h.2.bias"]),
        ("init encoder mean h.0.w", ["h.0.weight"]),
        ("init encoder mean h.0.weight norm", ["normal_", "normal"]),
        ("init encoder mean h.0.weight normal_ ", ["mean=", "std="]),
    ],
)
def test_several_targets_choices_ranges_and_what_is_left_out_complete(ip, line, wanted):
    assert [each.text for each in complete(line, {"encoder": ip.variables["encoder"]}).candidates] == wanted
