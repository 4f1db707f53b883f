"""Where a server's kernels come from, if not from a new interpreter each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lab_driver.processes import end

HERE = Path(__file__).parent


class KernelHost:
    """A process that forks kernels which have torch and transformers imported already.

    Args:
        folder: An empty folder for its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "kernels")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "kernel_host.py"), self._socket],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.end()
            raise RuntimeError("The host of kernels did not start; what it printed is above")

    def write_spec(self, kernels: Path) -> None:
        """Write the kernel spec ``python3`` into a folder of kernel specs."""
        spec = {
            "argv": [sys.executable, "-IS", str(HERE / "kernel_stub.py"), self._socket, "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
            "metadata": {"debugger": True},
        }
        (kernels / "python3").mkdir(parents=True)
        (kernels / "python3" / "kernel.json").write_text(json.dumps(spec))

    def end(self) -> None:
        """End the host, and with it the kernels."""
        end(self._process)
