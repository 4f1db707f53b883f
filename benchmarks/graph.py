"""The graph of a forward: from the click to the drawing, what a page gets, 100,000 calls, and what following costs.

GPT-2 is drawn in a real JupyterLab; where ``torchvista`` can be imported there, so is its drawing in the same run.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, report
from benchmarks.lab import PAINTED, cells, jupyterlab, settle
from nnwidgets.introspect.data_flow.flow_view import FlowView
from nnwidgets.introspect.tracing import trace as tracing

if TYPE_CHECKING:
    from lab_driver import Lab

GPT2 = """from transformers import GPT2Config, GPT2LMHeadModel
net = GPT2LMHeadModel(GPT2Config()).eval()
X = torch.randint(50_257, (1, 16))"""
VIEWS = 3
ROUNDS = 15
MOST_OPENED = 12
CLICK = """async (root) => {
  const tab = [...root.querySelectorAll('[role=tab]')].find(({ textContent }) => textContent.includes('Graph'));
  const start = performance.now();
  tab.click();
  return await PAINTED(() => root.querySelector('svg.nnw-graph [role=button]') !== null) - start;
}""".replace("PAINTED", PAINTED)
OPENED = "(root) => root.querySelectorAll('svg.nnw-graph [role=button]').length"
THEIRS = "import torchvista\ntorchvista.trace_model(net, X)"
_SPEC = importlib.util.find_spec("torchvista")
BESIDE = f"import sys\nsys.path.append({str(Path(str(_SPEC.origin)).parents[1])!r})\n" if _SPEC else ""


def rows() -> Iterator[Row]:
    """The table."""
    with jupyterlab() as lab:
        yield from drawn(lab)
    yield from many("100,000 calls of a loop", lambda n: (Loop(n // 4), torch.randn(2, 4)), 100_000)
    yield from many("a mixture of 79,000 modules", lambda n: (mixture(n // 16), torch.randn(8, 4)), 79_000)
    for name, net, x, limit in (
        ("GPT-2", gpt2(), torch.randint(50_257, (1, 16)), 1.2),
        ("20,000 small layers", nn.Sequential(*map(layer, range(20_000))), torch.randn(1, 4), 1.2),
    ):
        yield followed(name, net, x, limit)


def drawn(lab: Lab) -> Iterator[Row]:
    """GPT-2 on the screen."""
    shown = ["%nn net", "%nn graph net X"]
    notebook = lab.open(
        [
            cells.LOAD,
            GPT2,
            *shown * VIEWS,
            *([BESIDE + THEIRS] if BESIDE else []),
        ]
    )
    notebook.run(0, 1)
    taken, nodes, sent = [], 0, 0
    for view in range(VIEWS):
        at = 2 + 2 * view
        notebook.run(at, at + 1)
        explorer = notebook.explorer(at)
        settle(lab)
        before = lab.bytes_of("comm_msg")
        taken.append(explorer.root.evaluate(CLICK))
        nodes = max(nodes, explorer.root.evaluate(OPENED))
        settle(lab)
        sent = lab.bytes_of("comm_msg") - before if view else sent
    note = f"first {taken[0]:.0f} with the page's part of it to load; {theirs(lab, notebook, 2 + 2 * VIEWS)}"
    yield Row("graph of GPT-2 on screen after the click", statistics.median(taken), "ms", 500.0, note)
    yield Row("first messages to the page for it", sent / 1e3, "kB", 64.0, f"{nodes} nodes in the page")


def theirs(lab: Lab, notebook: Any, at: int) -> str:
    """What torchvista takes for the same model, its forward included."""
    if not BESIDE:
        return "torchvista isn't there"
    before = lab.bytes_of("display_data")
    start = time.perf_counter()
    notebook.run(at)
    seconds = time.perf_counter() - start
    return f"torchvista's cell ran for {seconds:.1f} s and sent {(lab.bytes_of('display_data') - before) / 1e3:,.0f} kB"


class Loop(nn.Module):
    """A small net, called over and over, of which each output is kept."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n, self.cell = n, nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        kept = [x]
        for _ in range(self.n):
            kept.append(kept[-1] + self.cell(kept[-1]))
        return torch.stack(kept)


class Mixture(nn.Module):
    """Experts that each take a few rows of what comes in."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        weights, out = self.gate(x), torch.zeros_like(x)
        for at, expert in enumerate(self.experts):
            rows = torch.arange(1 + at * 7 % 5)
            out.index_add_(0, rows, expert(x[rows]) * weights[rows])
        return out


def mixture(n: int) -> nn.Module:
    """Four blocks of so many experts."""
    return nn.Sequential(*(Mixture(n) for _ in range(4)))


def many(name: str, make: Callable[[int], tuple[nn.Module, torch.Tensor]], n: int) -> Iterator[Row]:
    """Seconds to open the graph, its boxes, and what is deep in it; and its memory against that of half as many."""
    held = []
    for n_calls in (n // 2, n):
        net, x = make(n_calls)
        with torch.no_grad():
            trace = nnw.trace(net, x)
        del net
        gc.collect()
        tracemalloc.start()
        view, first = timed(lambda trace=trace: first_look(trace))
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        view, first = timed(lambda trace=trace: first_look(trace))
    note = f"{len(trace.calls):,} calls, {len(trace.edges):,} edges"
    yield Row(f"graph of {name}, opened", first, "s", 1.0, note)
    slowest, opened = 0.0, list(view.show_few(100).opened)
    for _ in range(MOST_OPENED):
        shown, seconds = timed(partial(view.show, opened, 100))
        _, more = timed(shown.graph)
        slowest = max(slowest, seconds + more)
        boxes = zip(shown.keys, shown.nodes, shown.can_open, strict=True)
        closed = [key for key, node, can_open in boxes if can_open and not node.is_open]
        opened += closed[len(closed) // 2 :][:1]
    yield Row(f"its boxes, opened one by one in {name}", slowest, "s", 1.0, f"the slowest of {MOST_OPENED}")
    last = len(view.tree) - 2
    _, seconds = timed(lambda: view.show([*opened, *view.boxes_around(last, opened, 100)], 100).graph())
    yield Row(f"its last call, shown in {name}", seconds, "s", 1.0, "what it is in opened")
    yield Row(
        f"memory of it for {name} against half as many", held[1] / held[0], "x", 2.2, f"{held[1] / 2**20:.0f} MiB"
    )


def first_look(trace: nnw.Trace) -> FlowView:
    """What answering a page's first request does."""
    view = FlowView(trace.calls, trace.operators, trace.edges, trace.failed_at)
    graph = view.show_few(100).graph()
    json.dumps(graph.to_dict())
    return view


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gave, and how long it took one core."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def followed(name: str, net: nn.Module, x: torch.Tensor, limit: float) -> Row:
    """A trace with edges against one without, by the processor's time, each the least of many rounds."""
    recorder = tracing.FlowRecorder
    taken: dict[bool, list[float]] = {True: [], False: []}
    rounds = ROUNDS if len(list(net.modules())) < 1_000 else 5
    try:
        with torch.no_grad():
            for at in range(2 * rounds + 2):
                has_edges = bool(at % 2)
                tracing.FlowRecorder = recorder if has_edges else lambda: None  # type: ignore[assignment, misc, return-value]
                gc.collect()
                start = time.process_time()
                nnw.trace(net, x)
                taken[has_edges].append(time.process_time() - start)
    finally:
        tracing.FlowRecorder = recorder  # type: ignore[misc]
    ours, bare = (min(taken[side][1:]) for side in (True, False))
    note = f"{ours * 1e3:.0f} ms against {bare * 1e3:.0f} ms of one core"
    return Row(f"trace of {name} with edges against one without", ours / bare, "x", limit, note)


def gpt2() -> nn.Module:
    """The small one."""
    from benchmarks import models

    return models.gpt2().eval()


def layer(at: int) -> nn.Module:
    """A small one."""
    return nn.Linear(4, 4) if at % 2 else nn.ReLU()


if __name__ == "__main__":
    sys.exit(report("The graph of a forward", rows()))
