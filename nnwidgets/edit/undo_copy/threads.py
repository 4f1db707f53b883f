"""Work on a second thread that can be called off for certain, whatever interrupts the first.

Copies and sums let other threads of Python run, so two halves of them take two cores. An interrupt reaches the main
thread alone, anywhere; before it puts anything back, nobody else may be writing still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial


class CancelFlag:
    """Asks work that looks at it between its steps to stop."""

    __slots__ = ("is_set",)

    def __init__(self) -> None:
        self.is_set = False


class CancellableThread:
    """One call on a thread of its own."""

    def __init__(self, call: Callable[[], object], halt: CancelFlag) -> None:
        self._call: Callable[[], object] | None = call
        self._halt = halt
        self._is_off = False
        self._running = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="nnwidgets.edit")

    def start(self) -> None:
        """Begin; RuntimeError where the system gives no thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def call_off(self) -> None:
        """Come back when it neither runs nor will; may be called again, at any time, started or not."""
        self._halt.is_set = True
        self._is_off = True
        with self._running:
            pass

    def _run(self) -> None:
        with self._running:
            call, self._call = self._call, None
            if not self._is_off and call is not None:
                try:
                    call()
                except BaseException as error:  # noqa: BLE001 - raised again by `join`
                    self._error = error


class ThreadGroup:
    """Makes calls at once.

    Attributes:
        halt: Of the calls being made, or made last.
    """

    def __init__(self) -> None:
        self.halt = CancelFlag()
        self._others: list[CancellableThread] = []

    def run(self, calls: Sequence[Callable[[CancelFlag], object]]) -> bool:
        """Make calls, the first in this thread, and come back when all have ended.

        Args:
            calls: Each gets a `CancelFlag`, looks at it between its steps, and sets it to stop the others.

        Returns:
            Whether none set it.

        Raises:
            BaseException: What one of them raised, or an interrupt of this thread; the others are called off.
        """
        self.settle()
        halt = self.halt = CancelFlag()
        is_over = False
        try:
            self._others = [CancellableThread(partial(call, halt), halt) for call in calls[1:]]
            begun, left = [], list(calls[:1])
            for call, other in zip(calls[1:], self._others, strict=True):
                try:
                    other.start()
                except RuntimeError:
                    left.append(call)
                else:
                    begun.append(other)
            for call in left:
                call(halt)
            for other in begun:
                other.join()
            is_over = True
        finally:
            if not is_over:
                retry_until_complete(self.settle)
        return not halt.is_set

    def settle(self) -> None:
        """Come back when no call is being made; may be called again, at any time."""
        for other in self._others:
            other.call_off()
        self._others = []


_TRIES = 1_000


def retry_until_complete(call: Callable[[], object]) -> None:
    """Call what may be called again until it has run through, whatever interrupts it; only then let that be known."""
    interrupted: BaseException | None = None
    for _ in range(_TRIES):
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - also an interrupt must not leave a half-written model
            interrupted = error
        else:
            return
    if interrupted is not None:
        raise interrupted
