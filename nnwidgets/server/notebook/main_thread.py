"""What a page asks of a model that has to be run in the thread that cells run in, and keeps no cell waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

from nnwidgets.introspect.safe_access.exclusion import alone_with, check_wanted
from nnwidgets.server.notebook.ipykernel import running_kernel

Result = TypeVar("Result")

_ASKED_EVERY = 0.1


def on_main_thread(module: object, work: Callable[[], Result]) -> Result:
    """Do something with a model in the thread that cells run in, when none runs and no other thread has the model.

    It is this thread that waits for that, as long as it is wanted (`wanted_as_long_as`). Where there is no thread
    that cells run in, it is done here.
    """

    def raise_in_use() -> None:
        raise _InUseError

    def work_unless_in_use() -> Result:
        with alone_with(module, raise_in_use):
            return work()

    loop = getattr(running_kernel(), "io_loop", None)
    while True:
        with alone_with(module):
            if loop is None or threading.current_thread() is threading.main_thread():
                return work()
        # If this thread still had the model, a cell that writes to it would wait for this, and this for the cell.
        with suppress(_InUseError):
            return _on_loop(loop, work_unless_in_use)


class _InUseError(Exception):
    """Another thread has the model by now."""


def _on_loop(loop: Any, work: Callable[[], Result]) -> Result:
    future: Future[Result] = Future()

    def do() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where it was asked for
                future.set_exception(error)

    loop.add_callback(do)
    while not wait([future], timeout=_ASKED_EVERY).done:
        try:
            check_wanted()
        except Exception:
            if future.cancel():  # it hasn't begun
                raise
    return future.result()
