"""Real front ends in Chromium, driven by what the browser tests drive them with."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from lab_driver import Lab

__all__ = ["PAINTED", "ROOT", "cells", "chromium", "jupyterlab", "settle"]

ROOT = Path(__file__).parents[1]
if (_driver := str(ROOT / "tests" / "browser")) not in sys.path:
    sys.path.insert(0, _driver)
from lab_driver import models as cells  # noqa: E402 - only now is it found

PAINTED = """((isThere) => new Promise((resolve) => {
  const look = () => isThere() ? setTimeout(() => resolve(performance.now())) : requestAnimationFrame(look);
  requestAnimationFrame(look);
}))"""
"""When something is on the screen: what is there as a frame begins is painted by it, and the task after it tells."""

QUIET_MS = 1_000
_COMMS = ("comm_open", "comm_msg", "comm_close")


@contextmanager
def jupyterlab() -> Iterator[Lab]:
    """Serve JupyterLab from this interpreter and open it in a tab."""
    from lab_driver import Lab, LabServer

    with chromium() as (context, folder):
        server = LabServer(folder / "lab", source=ROOT)
        try:
            lab = Lab(server, context)
            yield lab
            server.end_kernels()
            if lab.faults:
                raise RuntimeError("The page met an uncaught exception:\n" + "\n".join(lab.faults))
        finally:
            server.end()


@contextmanager
def chromium() -> Iterator[tuple[BrowserContext, Path]]:
    """Chromium, and a folder to work in."""
    from lab_driver import launched

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with launched(folder / "profile") as context:
            yield context, folder


def settle(lab: Lab) -> None:
    """Wait until kernel and page have had nothing to say to each other for a second."""
    before = -1
    while before != (now := lab.bytes_of(*_COMMS)):
        before = now
        lab.page.wait_for_timeout(QUIET_MS)
