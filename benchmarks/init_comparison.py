"""`compare_inits` of four candidates on GPT-2 against four bare runs, and the memory that it takes."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, asked_for_peak, peak_apart, peak_mib, report
from benchmarks.signal import bare, gpt2, seen

CANDIDATES = ["xavier_normal_", "kaiming_normal_", "normal_ std=0.02", "as it is"]
_MODULE = "benchmarks.init_comparison"
ROUNDS = 3


def rows() -> Iterator[Row]:
    """Time and memory."""
    model, x = gpt2()
    ours, theirs = _in_turns(compared(model, x), bare(model, x))
    yield Row(
        "compare_inits of 4 candidates, GPT-2, 4 × 128 tokens", ours / theirs, "x", 1.6,
        f"{ours:.2f} s against {theirs:.2f} s for 4 bare forwards and backwards",
    )  # fmt: skip
    size = _targets_mib(model, x)
    del model
    held = {side: peak_apart(_MODULE, side) for side in ("seen", "compared")}
    yield Row(
        "memory of that beyond activations, against the targets'", (held["compared"] - held["seen"]) / size, "x", 1.0,
        f"the most that a process held, {held['compared']:.0f} MiB against {held['seen']:.0f}; targets {size:.0f} MiB",
    )  # fmt: skip


def compared(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """What is measured."""
    return lambda: nnw.compare_inits(
        model, inits=CANDIDATES, seeds=1, loss=lambda output: output.loss, input_ids=x, labels=x
    )


def _in_turns(ours: Callable[[], object], bare_run: Callable[[], object]) -> tuple[float, float]:
    bare_run()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        ours()
        middle = time.perf_counter()
        for _ in CANDIDATES:
            bare_run()
        taken[0].append(middle - begin)
        taken[1].append(time.perf_counter() - middle)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _targets_mib(model: nn.Module, x: torch.Tensor) -> float:
    tokens = x[:1, :2]
    found = nnw.compare_inits(model, inits=["zeros_"], seeds=1, input_ids=tokens)
    tensors = dict(model.named_parameters())
    return sum(tensors[path].nbytes for path in found.targets) / 2**20


if __name__ == "__main__":
    side = asked_for_peak()
    if side is None:
        sys.exit(report("what comparing initializers costs", rows()))
    run = {"seen": seen, "compared": compared}[side](*gpt2())
    for _ in range(2):
        run()
    print(peak_mib())
