"""Ends what would wait for ever: Playwright sets no limit to a script in a page, whose promise may never be kept."""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Make all pages crash after a time, so that whatever waits for one fails; the browser goes on."""
    timer = threading.Timer(seconds, crash_pages)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def crash_pages() -> None:
    """Say where every thread is, then end the processes that hold Chromium's pages."""
    print("Too long: the pages are ended. All threads:", file=sys.__stderr__)
    faulthandler.dump_traceback(sys.__stderr__)
    for process in psutil.Process().children(recursive=True):
        if "--type=renderer" in process.cmdline():
            process.kill()
