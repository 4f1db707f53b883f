"""A real JupyterLab in Chromium, driven by what the browser tests drive it with."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab_driver import Lab

ROOT = Path(__file__).parents[1]
LOAD = "%load_ext nnwidgets\nimport torch\nfrom torch import nn\ntorch.manual_seed(0)"
VIEWPORT = {"width": 1360, "height": 1000}
QUIET_MS = 1_000
_COMMS = ("comm_open", "comm_msg", "comm_close")


@contextmanager
def jupyterlab() -> Iterator[Lab]:
    """Serve JupyterLab from this interpreter and open it in a tab."""
    if (driver := str(ROOT / "tests" / "browser")) not in sys.path:
        sys.path.insert(0, driver)
    from lab_driver import Lab, LabServer, launched

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = LabServer(Path(folder), source=ROOT)
        try:
            with launched() as browser:
                lab = Lab(server, browser.new_context(viewport=VIEWPORT))
                yield lab
                server.end_kernels()
                if lab.faults:
                    raise RuntimeError("The page met an uncaught exception:\n" + "\n".join(lab.faults))
        finally:
            server.end()


def settle(lab: Lab) -> None:
    """Wait until kernel and page have had nothing to say to each other for a second."""
    before = -1
    while before != (now := lab.bytes_of(*_COMMS)):
        before = now
        lab.page.wait_for_timeout(QUIET_MS)
