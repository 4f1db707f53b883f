"""How much of the package a call runs: counted, so that growth is tested without a clock."""

from __future__ import annotations

import sys
from pathlib import Path

import nnwidgets

PACKAGE = str(Path(nnwidgets.__file__).parent)


def lines_run(call):
    """Return how many lines of nnwidgets a call runs, each round of a loop in one line counted too."""
    n = 0

    def count(_frame, event, _argument):
        nonlocal n
        n += event == "line"
        return count

    def enter(frame, _event, _argument):
        return count if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return n
