"""What all benchmarks share: timing by medians, ratios within one run, one table, ``--json`` for machines.

A benchmark is a script that hands `Row`s to `report`. A figure is a ratio of two medians taken in turns in the same
process, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark's table.

    Attributes:
        what: What was measured.
        value: The figure.
        unit: ``"x"`` for a ratio, ``"ms"``, ``"kB"``, …
        limit: What it should not go over, or None where there is no such limit.
        note: The parts of the figure, for a reader.
    """

    what: str
    value: float
    unit: str = "x"
    limit: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """Wall time of one call, the mean of ``repeats`` in a row; what they return is let go of after that."""
    kept = []
    start = time.perf_counter()
    for _ in range(repeats):
        kept.append(call())  # noqa: PERF401 - the call is what is timed, and it is timed as people write it
    return (time.perf_counter() - start) / repeats


def medians(*calls: Callable[[], object], rounds: int = 9, least_seconds: float = 0.01) -> list[float]:
    """Median seconds of each call, taken in turns.

    Args:
        *calls: What to time.
        rounds: How often each is timed.
        least_seconds: A round of a short call repeats it until about this long, as the clock and the caches want.
    """
    repeats = [max(1, round(least_seconds / max(seconds(call), 1e-7))) for call in calls]
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for times, call, n in zip(taken, calls, repeats, strict=True):
            gc.collect()
            times.append(seconds(call, n))
    return [statistics.median(times) for times in taken]


def against(
    what: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    limit: float | None = None,
    rounds: int = 9,
    theirs_is: str = "",
) -> Row:
    """Time ``ours`` and ``theirs`` in turns; the row is the ratio of their medians."""
    mine, other = medians(ours, theirs, rounds=rounds)
    note = f"{mine * 1e3:.2f} ms against {other * 1e3:.2f} ms{' for ' if theirs_is else ''}{theirs_is}"
    return Row(what, mine / other, "x", limit, note)


def peak_mib() -> float:
    """The most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def beyond_mib(call: Callable[[], object]) -> float:
    """The most memory, in MiB, that a call takes beyond what this process held; NaN where the system can't tell.

    The peak of the whole process tells nothing of a call: what was there before may have been more.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else it may take what was let go of, and count for nothing
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from now on
        before = _status_mib("VmRSS")
        call()
        return _status_mib("VmHWM") - before
    except (OSError, AttributeError):
        return math.nan


def _status_mib(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 2**10


def peak_apart(module: str, side: str) -> float:
    """The most memory, in MiB, that a process of its own held, which runs one side of a benchmark."""
    command = [sys.executable, "-m", module, _PEAK_OF, side]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def asked_for_peak() -> str | None:
    """In the process that `peak_apart` began, the side to run before `peak_mib` is printed; None in any other."""
    return sys.argv[-1] if _PEAK_OF in sys.argv else None


_PEAK_OF = "--peak-of"


def report(title: str, rows: Iterable[Row], arguments: argparse.Namespace | None = None) -> int:
    """Print the table, or JSON with ``--json``; 1 with ``--strict`` where a limit is passed, else 0."""
    arguments = arguments or parser(title).parse_args()
    rows = list(rows)
    if arguments.json:
        body = {
            "title": title,
            "python": platform.python_version(),
            "rows": [{**asdict(row), "ok": row.ok} for row in rows],
        }
        print(json.dumps(body, indent=2))
    else:
        width = max((len(row.what) for row in rows), default=0)
        print(title)
        for row in rows:
            limit = "" if row.limit is None else f"limit {row.limit:g}{row.unit if row.unit == 'x' else ' ' + row.unit}"
            unit = row.unit if row.unit == "x" else f" {row.unit}"
            mark = "  " if row.ok else "! "
            print(f"{mark}{row.what:<{width}}  {row.value:>9.2f}{unit:<5} {limit:<12} {row.note}")
    return int(arguments.strict and not all(row.ok for row in rows))


def parser(title: str) -> argparse.ArgumentParser:
    """The command line every benchmark has."""
    made = argparse.ArgumentParser(description=title)
    made.add_argument("--json", action="store_true", help="print machine-readable results")
    made.add_argument("--strict", action="store_true", help="exit with 1 where a limit is passed")
    return made
