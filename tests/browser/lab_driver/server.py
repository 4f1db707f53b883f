"""A JupyterLab server of its own: own folders for settings, data and kernels, own port, nothing from the machine."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbformat.sign import NotebookNotary

from lab_driver.forked_kernels import KernelHost
from lab_driver.processes import SECONDS_TO_END, end

READY = "is running at:"
SECONDS_TO_START = 120

SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": False, "theme": "JupyterLab Light"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


class LabServer:
    """A running JupyterLab, or Notebook 7.

    Args:
        folder: An empty folder for everything it writes; notebooks go to its ``work`` folder.
        python: The interpreter whose JupyterLab and kernel are used.
        source: A source tree put on ``PYTHONPATH``, with the extension built there, or None to use only what that
            interpreter has installed.
        app: ``"jupyterlab"`` or ``"notebook"``.
        kernels: What makes its kernels, or None where each is a new interpreter, which takes seconds to import torch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        python: str = sys.executable,
        source: Path | None = None,
        app: str = "jupyterlab",
        kernels: KernelHost | None = None,
    ) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self._data = folder / "data"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: deque[str] = deque(maxlen=400)
        self._ready = threading.Event()
        self._background = ThreadPoolExecutor(1)
        self._settings = folder / "settings"
        for plugin, values in SETTINGS.items():
            self._set(plugin, values)
        self.extensions = folder / "first" / "labextensions"
        self.extensions.mkdir(parents=True)
        if source is not None:
            (self.extensions / "nnwidgets").symlink_to(source / "nnwidgets" / "labextension")
        self.kernels = folder / "first" / "kernels"
        if kernels is not None:
            kernels.write_spec(self.kernels)
        self._process = subprocess.Popen(
            [
                *(python, "-m", app, "--no-browser", "--allow-root", "--ip=127.0.0.1"),
                *(f"--port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.work}"),
                *(f"--IdentityProvider.token={self.token}", "--LabApp.expose_app_in_browser=True"),
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            cwd=self.work,
            env=environment(folder, self._settings, source),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(SECONDS_TO_START) or self._process.poll() is not None:
            self.end()
            raise RuntimeError(f"{app} did not start:\n" + "".join(self.log))

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if READY in line:
                self._ready.set()
        self._ready.set()

    def ask(self, path: str, *, method: str = "GET") -> Any:
        """Return what the server's REST interface answers."""
        request = urllib.request.Request(  # noqa: S310  (our own server, http on 127.0.0.1)
            f"{self.url}/api/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            text = reply.read()
        return json.loads(text) if text else None

    @contextmanager
    def settings(self, plugin: str, values: dict[str, Any]) -> Iterator[None]:
        """Give pages that are loaded meanwhile other settings of a plugin than its defaults."""
        file = self._set(plugin, values)
        try:
            yield
        finally:
            file.unlink()

    def _set(self, plugin: str, values: dict[str, Any]) -> Path:
        file = self._settings / f"{plugin.replace(':', '/')}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
        return file

    def trust(self, document: Any) -> None:
        """Sign a notebook with this server's own key."""
        NotebookNotary(data_dir=str(self._data)).sign(document)

    def end_kernels(self) -> None:
        """Shut every kernel down, beside whatever comes next: it takes a second."""
        sessions = self.ask("sessions")
        held = {session["kernel"]["id"] for session in sessions}
        paths = [f"sessions/{session['id']}" for session in sessions]
        paths += [f"kernels/{kernel['id']}" for kernel in self.ask("kernels") if kernel["id"] not in held]
        for path in paths:
            self._background.submit(self.ask, path, method="DELETE")

    def end(self) -> None:
        """End the server; it ends its kernels."""
        self._background.shutdown()
        end(self._process)
        self._reader.join(SECONDS_TO_END)


def environment(folder: Path, settings: Path, source: Path | None) -> dict[str, str]:
    """Return the variables of a server's process: nothing that the test run sets, and folders of its own."""
    foreign = ("JUPYTER", "IPYTHON", "PYTEST", "COV_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    for name, sub in {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_PATH": "first",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }.items():
        environment[name] = str(folder / sub)
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
    environment["HF_HUB_OFFLINE"] = "1"
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    return environment


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
