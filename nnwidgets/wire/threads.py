"""A few threads for long requests and for the checks of a view, that exist only while there is work.

An idle view then costs no thread, and no thread's frame keeps a model alive.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable


class Workers:
    """Runs callables in the background, at most ``limit`` at a time, first come first served.

    Example:
        >>> done = threading.Event()
        >>> Workers(limit=1).run(done.set)
        >>> done.wait(10)
        True
    """

    def __init__(self, limit: int = 2) -> None:
        self._limit = limit
        self._lock = threading.RLock()  # the garbage collector may ask for work while this thread holds it
        self._queue: deque[Callable[[], object]] = deque()
        self._n_threads = 0

    def run(self, work: Callable[[], object]) -> None:
        """Run ``work``, which must not raise, in the caller's context (so that what it sends has the right parent)."""
        if sys.is_finalizing():
            return  # no thread starts any more, and waiting for one would keep the process from ending
        context = contextvars.copy_context()
        with self._lock:
            self._queue.append(lambda: context.run(work))
            if self._n_threads == self._limit:
                return
            self._n_threads += 1
        threading.Thread(target=self._drain, name="nnwidgets", daemon=True).start()

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._n_threads -= 1
                    return
                work = self._queue.popleft()
            work()
            del work
