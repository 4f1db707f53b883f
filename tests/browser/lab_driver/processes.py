"""Ending what a test started."""

from __future__ import annotations

import subprocess
from typing import Any

SECONDS_TO_END = 30


def end(process: subprocess.Popen[Any]) -> None:
    """End a server's process, kindly first."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
