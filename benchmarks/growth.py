"""How changes grow: 16,000 small tensors against 4,000, and against what torch does for the same.

Each operation is measured in a process of its own, on a wide list of modules and on a wide list of parameters; the
worse of the two is told. A call that takes longer than the limit ends its process; the row says so, and the rest go on.

``python -m benchmarks.growth --tensors 1600 --seconds 10 init load`` is quick, and tells which way it bends.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.common import Row, parser, report
from nnwidgets import checkpoint, edit

ROUNDS = 5
ENOUGH_SECONDS = 40.0
"""No further round is begun after that."""

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Measure:
    """Something to time.

    Attributes:
        call: What is timed.
        prepare: What comes before each call, not timed.
    """

    call: Call
    prepare: Call = gc.collect


def modules(n_tensors: int) -> nn.Module:
    """A wide list of modules, two tensors each."""
    return nn.ModuleList(nn.Linear(2, 2) for _ in range(n_tensors // 2))


def parameters(n_tensors: int) -> nn.Module:
    """A wide list of parameters."""
    return nn.ParameterList(nn.Parameter(torch.zeros(2, 2)) for _ in range(n_tensors))


def init(net: nn.Module, _: Path) -> Measure:
    """Fill every tensor."""
    return Measure(lambda: edit.init(net, "**", "normal_", std=0.02, seed=7))


def bare_init(net: nn.Module, _: Path) -> Measure:
    """The same numbers by a loop over ``nn.init.normal_``."""

    def fill() -> None:
        generator = torch.Generator().manual_seed(7)
        for tensor in net.parameters():
            nn.init.normal_(tensor, std=0.02, generator=generator)

    return Measure(fill)


def freeze(net: nn.Module, _: Path) -> Measure:
    """Stop every parameter from asking for gradients."""

    def ask() -> None:
        for tensor in net.parameters():
            tensor.requires_grad_(True)

    return Measure(lambda: edit.freeze(net, "**"), ask)


def undo(net: nn.Module, _: Path) -> Measure:
    """Take a change of every tensor back."""
    return Measure(lambda: edit.undo(net), lambda: edit.init(net, "**", "normal_", std=0.02, seed=7))


def load(net: nn.Module, folder: Path) -> Measure:
    """Load every tensor."""
    file = _saved(net, folder)
    return Measure(lambda: checkpoint.load(net, file))


def bare_load(net: nn.Module, folder: Path) -> Measure:
    """The same bytes by ``torch.load`` and ``load_state_dict``."""
    file = _saved(net, folder)
    return Measure(lambda: net.load_state_dict(torch.load(file, weights_only=True)))


def _saved(net: nn.Module, folder: Path) -> Path:
    file = folder / f"{sum(1 for _ in net.parameters())}.pt"
    torch.save(net.state_dict(), file)
    return file


SHAPES = {"modules": modules, "parameters": parameters}
OPERATIONS = {"init": init, "freeze": freeze, "load": load, "undo": undo}
BARE = {"init": bare_init, "load": bare_load}


@dataclass(frozen=True, slots=True)
class Figures:
    """Median seconds of one operation on one shape; infinite where a call did not end, NaN where none was made.

    Attributes:
        shape: A key of `SHAPES`.
        few: Of a quarter of the tensors.
        many: Of all of them.
        bare: What torch takes for all of them.
    """

    shape: str
    few: float
    many: float
    bare: float

    @property
    def growth(self) -> float:
        """How much longer four times as many take."""
        return self.many if math.isinf(self.many) else self.many / self.few

    def against_bare(self, limit_seconds: float) -> float:
        """How much longer than torch alone, which took the limit at least where it did not end."""
        return self.many if math.isinf(self.many) else self.many / min(self.bare, limit_seconds)


def rows(n_tensors: int, limit_seconds: float, names: list[str]) -> Iterator[Row]:
    """The table, operation by operation."""

    def told(taken: float) -> str:
        return f"over {limit_seconds:g} s" if math.isinf(taken) else f"{taken * 1e3:,.1f} ms"

    def beside(figures: Figures, theirs: str, limit: float | None) -> Row:
        what = f"{name} of {n_tensors:,} tensors in a list of {figures.shape}, against {theirs}"
        if math.isinf(figures.many):
            return Row(what, math.inf, "x", limit, told(figures.many))
        note = f"{told(figures.many)} against {told(figures.bare)}"
        return Row(what, figures.against_bare(limit_seconds), "x", limit, note)

    for name in names:
        figures = [_figures(name, shape, n_tensors, limit_seconds) for shape in SHAPES]
        worst = max(figures, key=lambda each: each.growth)
        note = f"{told(worst.many)} against {told(worst.few)}, in a list of {worst.shape}"
        yield Row(f"{name} of {n_tensors:,} tensors against {n_tensors // 4:,}", worst.growth, "x", 5, note)
        if name == "freeze":
            worst = max(figures, key=lambda each: each.many)
            note = told(worst.many) if math.isinf(worst.many) else f"in a list of {worst.shape}"
            yield Row(f"freeze of {n_tensors:,} parameters", worst.many, "s", 0.5, note)
        if name == "init":
            yield beside(max(figures, key=lambda each: each.against_bare(limit_seconds)), "nn.init", 5)
        if name == "load":
            # torch's own is quadratic in the modules of a list, linear in its parameters: the mark is for the first.
            for each, limit in zip(figures, (0.5, None), strict=True):
                yield beside(each, "torch.load + load_state_dict", limit)


def _figures(name: str, shape: str, n_tensors: int, limit_seconds: float) -> Figures:
    """What a process of its own says of one operation, as far as it came."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.growth", name, "--in", shape, folder]
        sizes = ["--tensors", str(n_tensors), "--seconds", str(limit_seconds)]
        done = subprocess.run([*command, *sizes], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, -signal.SIGALRM):
        raise SystemExit(f"{name} of a list of {shape} failed.")
    taken: dict[str, list[float]] = {}
    for line in done.stdout.splitlines():
        part, seconds = json.loads(line)
        taken.setdefault(part, []).append(seconds)
    of_parts = {part: statistics.median(times) for part, times in taken.items()}
    unended = next((part for part in ("few", "many", "bare") if part not in of_parts), "")
    if done.returncode and unended:
        of_parts[unended] = math.inf
        if unended == "few":
            of_parts["many"] = math.inf
    return Figures(shape, *(of_parts.get(part, math.nan) for part in ("few", "many", "bare")))


def _measure(name: str, shape: str, n_tensors: int, limit_seconds: float, folder: Path) -> None:
    """Print each time as it is taken, in turns; the system's alarm ends this process where one call is too long."""
    make, operation = SHAPES[shape], OPERATIONS[name]
    warm = operation(make(8), folder)
    warm.prepare()
    warm.call()
    net = make(n_tensors)
    parts = {"few": operation(make(n_tensors // 4), folder), "many": operation(net, folder)}
    if name in BARE:
        parts["bare"] = BARE[name](net, folder)
    begun = time.monotonic()
    for _ in range(ROUNDS):
        for part, measure in parts.items():
            signal.setitimer(signal.ITIMER_REAL, limit_seconds)
            measure.prepare()
            gc.collect()
            start = time.perf_counter()
            measure.call()
            taken = time.perf_counter() - start
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(json.dumps([part, taken]), flush=True)
        if time.monotonic() - begun > ENOUGH_SECONDS:
            break


def main() -> int:
    """The table; or, with ``--in``, the times of one operation, a process of which the table asks."""
    made = parser("growth")
    made.add_argument("names", nargs="*", help=f"of {', '.join(OPERATIONS)}; all if none is named")
    made.add_argument("--tensors", type=int, default=16_000)
    made.add_argument("--seconds", type=float, default=60.0, help="the longest that a call may take")
    made.add_argument("--in", nargs=2, dest="place", help=argparse.SUPPRESS)
    asked = made.parse_args()
    names = asked.names or list(OPERATIONS)
    if not set(names) <= set(OPERATIONS):
        made.error(f"there are {', '.join(OPERATIONS)}")
    if asked.place:
        _measure(names[0], asked.place[0], asked.tensors, asked.seconds, Path(asked.place[1]))
        return 0
    return report("growth", rows(asked.tensors, asked.seconds, names), asked)


if __name__ == "__main__":
    sys.exit(main())
