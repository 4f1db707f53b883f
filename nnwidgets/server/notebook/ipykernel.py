"""What the running kernel tells comms and views: which cell runs, when one has run, where a comm's messages go."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """The run of a cell.

    Attributes:
        cell: What stays the same when the cell is run again: the page's id of it or, where the page sends none, its
            source.
        run: What doesn't: the id of the request to run it.
    """

    cell: str
    run: str


def running_kernel() -> Any | None:
    """Return the running Jupyter kernel, or None outside of one; nothing is imported to find out."""
    ipykernel = sys.modules.get("ipykernel.kernelbase")
    if ipykernel is None or not ipykernel.Kernel.initialized():
        return None
    return ipykernel.Kernel.instance()


def cell_now() -> Cell | None:
    """Return the cell that is being run, or None where none is."""
    request = _request_of_cell()
    if request is None:
        return None
    cell = _cell_id(request.get("metadata", {})) or request.get("content", {}).get("code")
    return Cell(str(cell), str(request["header"]["msg_id"])) if cell else None


def is_unattended() -> bool:
    """Return whether a program runs the notebook that nobody looks at, as nbclient and nbconvert do.

    Such a program has no answer to `input`, and no ids of cells. Voilà is one too, but shows its page to somebody, and
    Colab asks in a way of its own.
    """
    request = _request_of_cell()
    is_seen = "google.colab" in sys.modules or os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
    if request is None or is_seen:
        return False
    return request.get("content", {}).get("allow_stdin") is False and not _cell_id(request.get("metadata", {}))


def _request_of_cell() -> dict[str, Any] | None:
    kernel = running_kernel()
    request: dict[str, Any] = {} if kernel is None else kernel.get_parent("shell")
    return request if request.get("header", {}).get("msg_type") == "execute_request" else None


def _cell_id(metadata: dict[str, Any]) -> Any:
    """As JupyterLab and VS Code name a cell, Databricks, or Colab; classic Notebook doesn't."""
    colab = metadata.get("colab")
    return metadata.get("cellId") or metadata.get("commandId") or (isinstance(colab, dict) and colab.get("cell_id"))


def is_cell_running() -> bool:
    """Return whether a cell is being run, asked from any thread; known from the first view on."""
    return _RUNNING.is_set()


def _watch_cells(shell: Any) -> None:
    if shell in _WATCHED:
        return
    _WATCHED.add(shell)
    shell.events.register("pre_run_cell", lambda *_: _RUNNING.set())
    shell.events.register("post_run_cell", lambda *_: _RUNNING.clear())
    if cell_now() is not None:  # the one that shows the first view
        _RUNNING.set()


_WATCHED: weakref.WeakSet[Any] = weakref.WeakSet()
_RUNNING = threading.Event()


def keeps_views_waiting() -> bool:
    """Return whether a cell is being run, and the kernel answers nothing before it ends."""
    return cell_now() is not None and not _has_subshells(running_kernel())


def before_each_cell_that_keeps_views_waiting(callback: Callable[[], None]) -> Callable[[], None]:
    """As `after_each_cell`, as a cell begins; never in a kernel that answers views beside the cell."""
    kernel = running_kernel()
    return _at_each_cell("pre_run_cell", callback) if not _has_subshells(kernel) else lambda: None


def _has_subshells(kernel: Any) -> bool:
    return "kernel subshells" in getattr(kernel, "kernel_info", {}).get("supported_features", ())


def after_each_cell(callback: Callable[[], None]) -> Callable[[], None]:
    """Call the bound method ``callback`` after each cell, as long as its object lives; return what stops it."""
    return _at_each_cell("post_run_cell", callback)


def _at_each_cell(event: str, callback: Callable[[], None]) -> Callable[[], None]:
    kernel = running_kernel()
    shell = getattr(kernel, "shell", None)
    if shell is None:
        return lambda: None
    _watch_cells(shell)
    method = weakref.WeakMethod(callback)

    def call_back(*_: object) -> None:
        live = method()
        if live is not None:
            live()

    def stop() -> None:
        if call_back in shell.events.callbacks[event]:
            shell.events.unregister(event, call_back)

    shell.events.register(event, call_back)
    return stop


def answer_where_asked(channel: Any) -> None:
    """Have the requests of a comm handled by the subshell that the page sent them to.

    ipykernel 7.4 sends a comm's messages to the shell that last published on that comm, whatever their header says. One
    update of a trait from a cell, and every click waits for the main shell, that is for the training cell to end. It
    also remembers a subshell for each ``content.id`` it ever published, and ours are new each time.
    """
    if hasattr(channel, "_reply_subshell_for"):
        channel._reply_subshell_for = _by_header  # noqa: SLF001 - the public API has no such switch
        channel._reply_subshell_ids = _Forgetful()  # noqa: SLF001


def _by_header(_data: object, subshell_id: str | None) -> str | None:
    return subshell_id


class _Forgetful(dict[str, Any]):
    """A dict that keeps nothing."""

    def __setitem__(self, key: str, value: object) -> None:
        pass
