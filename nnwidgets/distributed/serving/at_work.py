"""What a rank is at that may take long: whether it works still, how far it is, and whether it is wanted still.

Who asked is told of it at the rank's side door. A rank that has none does it in a thread, and answers meanwhile.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.safe_access.exclusion import wanted_as_long_as

_LOOK_SECONDS = 0.1
_LEAST_OF_A_CPU = 0.02


class Work:
    """One question that may take long: answered once, however often it is asked.

    Args:
        answer: Answers it.
    """

    def __init__(self, answer: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._answer = answer
        self._n, self._done, self._total = 1, 0, 0
        self._is_unwanted = False
        self._said: Mapping[str, Any] | None = None
        self._error: BaseException | None = None
        self._is_over = threading.Event()
        self._is_aside = False

    def begin(self, seconds: float | None) -> None:
        """Do it here; or, where there are seconds, in a thread that is waited for no longer than that."""
        self._is_aside = seconds is not None
        _UNDER_WAY.append(self)
        threading.Thread(target=self._look, name="nnwidgets-at-work", daemon=True).start()
        if not self._is_aside:
            self._run()
        else:
            # With the variables of this context, as if it were done here.
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._run,), name="nnwidgets-work", daemon=True).start()

    def said(self, seconds: float | None) -> Mapping[str, Any] | None:
        """The answer; None where it isn't there in that time.

        Raises:
            BaseException: What answering raised.
        """
        if not self._is_over.wait(seconds):
            return None
        if self._error is not None:
            raise self._error
        return self._said

    @property
    def is_over(self) -> bool:
        """Whether it is answered."""
        return self._is_over.is_set()

    @property
    def how_far(self) -> list[int]:
        """What changes while it works, and how much of how much is done; 0 of 0 where that isn't known."""
        return [self._n, self._done, self._total]

    def call_off(self) -> None:
        """Have it end with an error where it next tells how far it is; nobody asks again for what it gave."""
        self._is_unwanted = True
        if self.is_over:
            self._forget()

    def sign(self) -> None:
        """Something is done."""
        self._n += 1

    def beat(self) -> None:
        """Something is done.

        Raises:
            NNWidgetsError: It is unwanted.
        """
        self.sign()
        self._check()

    def _check(self) -> None:
        if self._is_unwanted:
            raise _called_off()

    def progress(self, done: int, total: int) -> None:
        """So much is done, of so much; otherwise as `beat`."""
        self._done, self._total = done, total
        self.beat()

    def _run(self) -> None:
        try:
            with _at(self), wanted_as_long_as(self._check):
                self._said = self._answer()
        except BaseException as error:  # noqa: BLE001 - raised where it is asked for
            self._error = error
        finally:
            self._answer = dict  # what it was given holds a model
            if self._is_unwanted:
                self._forget()
            _UNDER_WAY.remove(self)
            self._is_over.set()

    def _forget(self) -> None:
        """Keep no error, whose frames hold a model."""
        self._error = None if self._error is None else _called_off()

    def _look(self) -> None:
        used = self._cpu_seconds()
        while not self._is_over.wait(_LOOK_SECONDS):
            before, used = used, self._cpu_seconds()
            self._n += used - before > _LEAST_OF_A_CPU * _LOOK_SECONDS

    def _cpu_seconds(self) -> float:
        """What this process has used of the CPU, but for its main thread where that has something else to do."""
        main = threading.main_thread().ident
        if not self._is_aside or main is None or not hasattr(time, "pthread_getcpuclockid"):
            return time.process_time()
        return time.process_time() - time.clock_gettime(time.pthread_getcpuclockid(main))


_UNDER_WAY: list[Work] = []
_HERE: contextvars.ContextVar[Work | None] = contextvars.ContextVar("work", default=None)


@contextmanager
def _at(work: Work) -> Iterator[None]:
    token = _HERE.set(work)
    try:
        yield
    finally:
        _HERE.reset(token)


def current_work() -> Work:
    """What is answered here; one that nobody waits for, where that may not take long."""
    return _HERE.get() or Work()


def how_far() -> list[int] | None:
    """How far this process is with what it was last asked that takes long; None where it is at nothing."""
    return _UNDER_WAY[-1].how_far if _UNDER_WAY else None


def _called_off() -> NNWidgetsError:
    return NNWidgetsError("It was called off. Nothing was changed.")
