"""`activations` of GPT-2, forward and backward, against the same without it; and of models of many modules."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks import models
from benchmarks.common import Row, asked_for_peak, medians, peak_apart, peak_mib, report

_MODULE = "benchmarks.signal"
ROUNDS = 7


def rows() -> Iterator[Row]:
    """Time and memory on GPT-2, then time per module."""
    model, x = gpt2()
    ours, theirs = medians(seen(model, x), bare(model, x), rounds=ROUNDS)
    yield Row(
        "activations of GPT-2, forward and backward, 4 × 128 tokens", ours / theirs, "x", 1.5,
        f"{ours:.2f} s against {theirs:.2f} s for the bare forward and backward",
    )  # fmt: skip
    del model
    held = {side: statistics.median(peak_apart(_MODULE, side) for _ in range(3)) for side in ("bare", "seen")}
    yield Row(
        "memory of that beyond the bare run", held["seen"] - held["bare"], "MiB", 16.0,
        f"the most that a process held, {held['seen']:.0f} MiB against {held['bare']:.0f} MiB",
    )  # fmt: skip
    few, many = (_per_call(n) for n in (2_000, 20_000))
    yield Row(
        "activations of 20,000 layers, a call, against 2,000", many / few, "x", 1.3,
        f"{many * 1e6:.0f} µs against {few * 1e6:.0f} µs a call, forward and backward",
    )  # fmt: skip


def gpt2() -> tuple[nn.Module, torch.Tensor]:
    """The model, and 4 × 128 tokens."""
    torch.manual_seed(0)
    return models.gpt2(), torch.randint(50_257, (4, 128))


def seen(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """What is measured."""
    return lambda: nnw.activations(model, x, labels=x, loss=lambda output: output.loss)


def bare(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """The same, nothing seen; the gradients are let go of too."""

    def run() -> None:
        model(x, labels=x).loss.backward()
        model.zero_grad(set_to_none=True)

    return run


def _per_call(n_layers: int) -> float:
    net, x = nn.Sequential(*(nn.Linear(4, 4) for _ in range(n_layers))), torch.randn(8, 4)
    start = time.perf_counter()
    found = nnw.activations(net, x, loss="noise")
    return (time.perf_counter() - start) / len(found.calls)


if __name__ == "__main__":
    side = asked_for_peak()
    if side is None:
        sys.exit(report("what activations costs", rows()))
    run = {"bare": bare, "seen": seen}[side](*gpt2())
    for _ in range(3):
        run()
    print(peak_mib())
