"""Run every benchmark, each in a process of its own, and print one Markdown table.

``python -m benchmarks`` for all, ``python -m benchmarks tree stats`` for some.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHARED = {"__init__", "__main__", "common", "gloo", "lab", "models"}
SCRIPTS = tuple(sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED))


def measured(name: str) -> list[dict[str, object]]:
    """Rows of one script; a script that fails says why on stderr and ends the run."""
    print(f"measuring {name} …", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json"],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"benchmarks.{name} failed:\n{done.stderr}")
    rows: list[dict[str, object]] = json.loads(done.stdout)["rows"]
    return rows


def figure(value: float, unit: str) -> str:
    """A number with its unit, to three significant digits."""
    if not math.isfinite(value):
        return "not ended"
    digits = f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{digits}×" if unit == "x" else f"{digits} {unit}"


def main(names: tuple[str, ...]) -> int:
    """Print the table; 1 where a figure is over its limit."""
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        raise SystemExit(f"No benchmark named {', '.join(unknown)}; there are {', '.join(SCRIPTS)}.")
    rows = [row for name in names or SCRIPTS for row in measured(name)]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n")
    print("| what | measured | to reach | |")
    print("| --- | ---: | ---: | --- |")
    for row in rows:
        limit = "" if row["limit"] is None else f"≤ {figure(float(str(row['limit'])), str(row['unit']))}"
        over = "" if row["ok"] else "**over** · "
        print(
            f"| {row['what']} | {figure(float(str(row['value'])), str(row['unit']))} | {limit} | {over}{row['note']} |"
        )
    return int(not all(row["ok"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
