"""What ``import nnwidgets`` costs beyond ``import torch``, and what it loads; each import in a fresh interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.common import Row, report

ROUNDS = 9
TIMED = "import time, torch; start = time.perf_counter(); {what}; print(time.perf_counter() - start)"
LOADED = "import sys, nnwidgets; print(*({'IPython', 'anywidget', 'torchinfo'} & set(sys.modules)))"
NAMES = "import nnwidgets; nnwidgets.tree; nnwidgets.ties; nnwidgets.stats; nnwidgets.check; nnwidgets.trace"


def printed(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def milliseconds(what: str) -> float:
    """The median milliseconds of a statement after ``import torch``."""
    return 1e3 * statistics.median(float(printed(TIMED.format(what=what))) for _ in range(ROUNDS))


def rows() -> list[Row]:
    """The table."""
    loaded = printed(LOADED)
    return [
        Row("`import nnwidgets` beyond `import torch`", milliseconds("import nnwidgets"), "ms", 50),
        Row("… and all that reads a model", milliseconds(NAMES), "ms", None),
        Row("front ends loaded by it", len(loaded.split()), "", 0, loaded or "no IPython, anywidget or torchinfo"),
    ]


if __name__ == "__main__":
    sys.exit(report("Import", rows()))
