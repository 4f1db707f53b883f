"""A training step in a real JupyterLab with an Explorer open and idle, against the same with none open.

Rounds take turns: none open, one open, none open again. A round is a cell of many steps, and its figure their median.
Each open round is held against the closed ones on either side of it, so that a machine that grows slower or faster
slows all alike. A closed round held so against its closed neighbours says what this machine can't tell from nothing.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.common import Row, report
from benchmarks.lab import cells, jupyterlab, settle

if TYPE_CHECKING:
    from lab_driver import Lab, Notebook

LIMIT_PERCENT = 1.0

MLP = """net = nn.Sequential(
    nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
x, y = torch.randn(128, 784), torch.randint(10, (128,))
def loss_of():
    return nn.functional.cross_entropy(net(x), y)"""
GPT2 = """from transformers import GPT2Config, GPT2LMHeadModel
net = GPT2LMHeadModel(GPT2Config())
x = torch.randint(50_257, (1, 64))
def loss_of():
    return net(x, labels=x).loss"""
MODELS = {"an MLP of 1.9M parameters, batch 128": (MLP, 100, 11), "GPT-2 small, 64 tokens": (GPT2, 5, 7)}
"""Model, steps of a round, rounds."""

OPTIMIZER = "optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)"
STEPS = """import statistics, time
taken = []
for _ in range({steps} + 2):
    start = time.perf_counter()
    optimizer.zero_grad()
    loss_of().backward()
    optimizer.step()
    taken.append(time.perf_counter() - start)
median = statistics.median(taken[2:])"""
OPEN = "import nnwidgets as nnw\nview = nnw.explore(net, optimizer=optimizer)\nview"
CLOSE = "view.close()"
STEPS_CELL, OPEN_CELL, CLOSE_CELL = 3, 4, 5


def rows() -> Iterator[Row]:
    """One row per model."""
    for name, (model, steps, rounds) in MODELS.items():
        with jupyterlab() as lab:
            yield slower(lab, name, [cells.LOAD, model, OPTIMIZER, STEPS.format(steps=steps), OPEN, CLOSE], rounds)


def slower(lab: Lab, name: str, cells: list[str], rounds: int) -> Row:
    """By how many percent a step takes longer while an Explorer is open."""
    notebook = lab.open(cells)
    notebook.run(0, 1, 2, STEPS_CELL)
    _round(lab, notebook)  # the first rounds of a process are slower, whatever is open
    closed = [_round(lab, notebook)]
    opened = []
    for _ in range(rounds):
        notebook.run(OPEN_CELL)
        explorer = notebook.explorer(OPEN_CELL)
        explorer.select("")
        opened.append(_round(lab, notebook))
        notebook.run(CLOSE_CELL)
        closed.append(_round(lab, notebook))
    ratio = _ratio(opened, list(itertools.pairwise(closed)))
    floor = _ratio(closed[1:-1], list(zip(closed, closed[2:], strict=False)))
    ours, theirs = statistics.median(opened) * 1e3, statistics.median(closed) * 1e3
    note = (
        f"{ours:.2f} ms against {theirs:.2f} ms in {rounds} rounds; "
        f"none open against none open the same way {(floor - 1) * 100:+.2f} %"
    )
    return Row(f"training step of {name}, Explorer open and idle", (ratio - 1) * 100, "% more", LIMIT_PERCENT, note)


def _ratio(of: list[float], around: list[tuple[float, float]]) -> float:
    return statistics.median(each / statistics.mean(pair) for each, pair in zip(of, around, strict=True))


def _round(lab: Lab, notebook: Notebook) -> float:
    settle(lab)
    notebook.run(STEPS_CELL)
    median: float = notebook.kernel("median")
    return median


if __name__ == "__main__":
    sys.exit(report("A training step with an idle Explorer open", rows()))
