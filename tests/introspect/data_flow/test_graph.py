"""The graph of a forward: what is shown, what stands for what, and that it tells of no other ways than there are."""

import re
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from tests.introspect.data_flow.test_edges import Block, By, line, told


def names(graph):
    return [(node.name, node.n_repeats) for node in graph.nodes]


def test_boxes_are_closed_below_a_depth_and_blocks_alike_are_one():
    found = nnw.trace(nn.Sequential(line(), *(Block() for _ in range(12)), line()), torch.randn(2, 4))
    graph = found.graph(1)
    assert names(graph) == [
        ("0", 1), ("0", 1), ("1", 12), ("1.norm", 1), ("1.inner", 1), ("1.drop", 1), ("add", 1), ("13", 1), ("", 1),
    ]  # fmt: skip
    assert names(found.graph(0)) == [("0", 1), ("0", 1), ("1", 12), ("13", 1), ("", 1)]
    block = found.graph(0).nodes[2]
    assert (block.last, block.class_name, block.n_calls, block.is_open) == ("12", "Block", 3, False)
    assert found.calls[block.call].path == "1"
    assert [(edge.source, edge.target, edge.is_to_next) for edge in found.graph(0).edges] == [
        (0, 1, False), (1, 2, False), (2, 2, True), (2, 3, False), (3, 4, False),
    ]  # fmt: skip
    assert len(found.graph(1, fold=False).nodes) == 4 + 12 * 5


@pytest.mark.parametrize("how", ["another class", "another width", "another way in", "another way out"])
def test_what_differs_is_not_folded(how):
    blocks = [Block() for _ in range(6)]
    if how == "another class":
        blocks[3].inner = nn.Sequential(line())
    elif how == "another width":
        blocks[3].inner = By(lambda self, x: self.b(self.a(x)), a=nn.Linear(4, 5), b=nn.Linear(5, 4))

    def forward(self, x):
        kept = first = x = self.start(x)
        for at, block in enumerate(self.blocks):
            x = block(x + first if how == "another way in" and at == 3 else x)
            kept = kept + x if how == "another way out" and at == 3 else kept
        return self.end(x) + kept

    net = By(forward, start=line(), blocks=nn.ModuleList(blocks), end=line())
    graph = nnw.trace(net, torch.randn(2, 4)).graph(0)
    shown = [node for node in graph.nodes if node.name.startswith("blocks")]
    stood_for = [(node.name, node.last) for node in shown]
    assert sum(node.n_repeats for node in shown) == 6
    assert not any(node.name < "blocks.3" < node.last for node in shown), stood_for


def test_what_repeats_with_operators_between_is_a_row():
    def forward(self, x):
        total = torch.zeros(())
        for _ in range(40):
            x = torch.relu(self.cell(x)) * 2
        return x + total

    graph = nnw.trace(By(forward, cell=line()), torch.randn(2, 4)).graph()
    assert [(node.kind, node.name, node.n_repeats) for node in graph.nodes] == [
        ("input", "0", 1), ("row", "", 40), ("module", "cell", 1), ("operator", "relu", 1), ("operator", "mul", 1),
        ("operator", "add", 1), ("output", "", 1),
    ]  # fmt: skip
    row = graph.nodes[1]
    assert [node.parent for node in graph.nodes] == [None, None, row.id, row.id, row.id, None, None]


@pytest.mark.parametrize("how", ["to many and from many", "each to all behind it"])
def test_of_many_that_differ_there_are_ranges_and_edges_with_their_count(how):
    def forward(self, x):
        values = [x]
        for layer in self.layers:
            values.append(layer(torch.stack(values).sum(0) if how == "each to all behind it" else x))
        return torch.stack(values[1:])

    net = By(forward, layers=nn.ModuleList(nn.Dropout(at / 120) for at in range(120)))
    found = nnw.trace(net, torch.randn(2, 4))
    graph, whole = found.graph(), found.graph(1)
    assert (len(whole.nodes) > 120, len(graph.nodes) <= 60, len(graph.edges) <= 400) == (True, True, True)
    ranges = [node for node in graph.nodes if node.kind == "range"]
    assert sum(node.n_calls for node in ranges) == 120
    if how == "to many and from many":
        (stack,) = [node.id for node in graph.nodes if node.name == "stack"]
        assert sum(edge.n_tensors for edge in graph.edges if edge.target == stack) == 120
        assert len(graph.to_mermaid().splitlines()) == 1 + len(graph.nodes) + len(graph.edges)


def test_a_forward_that_raised_has_its_end_marked():
    graph = nnw.trace(nn.Sequential(line(), nn.Linear(5, 2)), torch.randn(2, 4)).graph()
    assert [(node.name, node.failed) for node in graph.nodes] == [("0", False), ("0", False), ("1", True)]
    assert "2  1 ✗ raised  Linear  1 2 × 4" in str(graph)


def test_a_box_in_which_a_forward_raised_is_marked_where_it_is_closed():
    inner = nn.Sequential(line(), nn.Linear(5, 2))
    graph = nnw.trace(nn.Sequential(line(), inner), torch.randn(2, 4)).graph(0)
    assert [(node.name, node.failed) for node in graph.nodes] == [("0", False), ("0", False), ("1", True)]


def test_each_edge_ends_at_nodes_that_are_closed():
    class Called(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.utils.parametrizations.weight_norm(line())

        def __call__(self, x):
            return self.a(x) * 2

    for net in (Called(), nn.Sequential(nn.utils.parametrizations.weight_norm(line()), nn.ReLU())):
        for depth in (0, 1, 2, None):
            graph = nnw.trace(net, torch.randn(2, 4)).graph(depth)
            closed = {node.id for node in graph.nodes if not node.is_open}
            assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= closed


class Attention(nn.Module):
    """Heads that only an attribute tells of, and where it stands among its like."""

    def __init__(self, n_heads, layer_idx):
        super().__init__()
        self.n_heads, self.layer_idx, self.prefix = n_heads, layer_idx, f"layers.{layer_idx}"

    def forward(self, x):
        heads = x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)


class Configured(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.config = SimpleNamespace(norm={"eps": settings})

    def forward(self, x):
        return x + 1

    def extra_repr(self):
        raise AssertionError("code of the model's")


def of_function(function):
    module = Configured()
    module.act = function
    return module


SET = {
    "kernel": lambda at: nn.Conv1d(4, 4, 3 + 2 * at, padding=1 + at),
    "dilation": lambda at: nn.Conv1d(4, 4, 3, padding=1 + at, dilation=1 + at),
    "groups": lambda at: nn.Conv1d(4, 4, 1, groups=1 + at, bias=False),
    "padding mode": lambda at: nn.Conv1d(4, 4, 3, padding=1, padding_mode=("zeros", "circular")[at]),
    "dropout": lambda at: nn.Dropout(at / 4),
    "epsilon": lambda at: nn.LayerNorm(8, 1e-5 + at),
    "slope": lambda at: nn.LeakyReLU(0.1 + at),
    "bias": lambda at: nn.Linear(8, 8, bias=bool(at)),
    "training": lambda at: nn.BatchNorm1d(4).train(bool(at)),
    "heads": lambda at: Attention(1 + at, 0),
    "configuration": lambda at: Configured(theta=[0, (10_000.0, at)]),
    "long": lambda at: Configured(theta="x" * 2_000 + str(at)),
    "function": lambda at: of_function((torch.relu, nn.functional.gelu)[at]),
}


@pytest.mark.parametrize("how", SET)
def test_calls_in_a_row_that_are_set_otherwise_are_not_one(how):
    net = nn.Sequential(*(SET[how](at) for at in (0, 0, 0, 0, 1, 1, 1)))
    graph = nnw.trace(net, torch.randn(2, 4, 8)).graph()
    assert names(graph) == [("0", 1), ("0", 4), ("4", 3), ("", 1)]


def test_calls_that_only_know_their_place_are_one():
    net = nn.Sequential(*(Attention(2, at) for at in range(5)))
    assert names(nnw.trace(net, torch.randn(2, 4, 8)).graph()) == [("0", 1), ("0", 5), ("", 1)]


def test_mermaid_and_dot_hold_no_sign_of_a_names_own():
    net = nn.Sequential()
    net.add_module('a"]; click n0 <b>&\\', line())
    graph = nnw.trace(net, torch.randn(2, 4)).graph()
    mermaid = graph.to_mermaid()
    assert mermaid.count('"') == 2 * (len(graph.nodes) + len(graph.edges))
    assert not re.search(r"[<&\\;](?!\d)", re.sub(r"#\d+;", "", mermaid))
    (label,) = re.findall(r'^  n1 \[label="((?:[^"\\]|\\.)*)"\]$', graph.to_dot(), re.MULTILINE)
    assert re.sub(r"\\(.)", r"\1", label) == f"{graph.nodes[1].name} Linear"


@pytest.mark.parametrize("n", [10, 3_000])
def test_a_loop_of_any_length_is_a_few_nodes(n):
    def forward(self, x):
        for _ in range(n):
            x = self.cell(x)
        return x

    with torch.no_grad():
        graph = nnw.trace(By(forward, cell=Block()), torch.randn(1, 4)).graph()
    assert len(graph.nodes) == 7
    assert graph.nodes[1].n_repeats == n


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=4)


class Drawn(nn.Module):
    """A net of blocks in rows, each wired by drawn steps: which earlier value goes in, which kind, whether added."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows
        self.units = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(Block() if kind % 2 else line() for _, kind, _ in steps) for _ in range(n))
            for n, steps in rows
        )

    def forward(self, x):
        values = [x]
        for units, (_, steps) in zip(self.units, self.rows, strict=True):
            for unit in units:
                for module, (back, _, is_added) in zip(unit, steps, strict=True):
                    made = module(values[-1 - back % len(values)])
                    values.append(made + values[-1] if is_added else made)
        return values[-1]


def reach(graph, stands_for=None):
    """Which ends are reached from which, by the names in a graph."""
    stands_for = stands_for or {node.id: node.id for node in graph.nodes}
    after = defaultdict(set)
    for edge in graph.edges:
        after[stands_for[edge.source]].add(stands_for[edge.target])
    found = {}
    for start in {*stands_for.values()}:
        seen, waiting = set(), [start]
        while waiting:
            new = after[waiting.pop()] - seen
            seen |= new
            waiting += new
        found[start] = seen
    return found


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 5), STEPS), min_size=1, max_size=3))
def test_folded_and_unfolded_graphs_tell_the_same_ways(rows):
    found = nnw.trace(Drawn(rows), torch.randn(2, 4))
    whole, folded = found.graph(0, fold=False), found.graph(0)
    rep = representatives(whole, folded)
    edges = {(rep[edge.source], rep[edge.target]) for edge in whole.edges}
    assert {(edge.source, edge.target) for edge in folded.edges} == edges
    alone = reach(whole)
    ways = {(rep[one], rep[other]) for one, others in alone.items() for other in others}
    assert {(one, other) for one, others in reach(folded).items() for other in others} == ways


def representatives(whole, folded):
    """For each node of a graph with nothing folded, the one that stands for it."""
    rep, at = {}, 0
    shown = [node for node in folded.nodes if node.kind != "row"]
    rows = {node.id: node.n_repeats for node in folded.nodes if node.kind == "row"}
    while shown:
        node = shown[0]
        unit = [each for each in shown if node.parent is not None and each.parent == node.parent] or [node]
        for _ in range(rows.get(node.parent, node.n_repeats)):
            for each in unit:
                assert whole.nodes[at].class_name == each.class_name
                rep[whole.nodes[at].id] = each.id
                at += 1
        shown = shown[len(unit) :]
    assert at == len(whole.nodes)
    return rep


def test_edges_are_told_in_words():
    assert told(nnw.trace(nn.Sequential(line()), torch.ones(1, 4))) == ["input 0 > 0", "0 > output"]
