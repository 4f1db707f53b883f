"""The line of Python that the main thread is at, read from another thread, and whether it moves.

A rank is stuck where its main thread waits, for other ranks or for a lock, in one call that doesn't return. A rank
that computes is busy, however long one call of it takes.
"""

from __future__ import annotations

import itertools
import os
import re
import sysconfig
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.frames import main_frame, outwards

STUCK_SECONDS = 1.0
"""For how long a call that waits must not have returned."""

_LOOK_SECONDS = 0.05
_MOST_OF_A_CPU = 0.1

_TORCH = str(Path(torch.__file__).parent) + os.sep
_DISTRIBUTED = str(Path(_TORCH, "distributed")) + os.sep
_INSTALLED = {sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")}
_LIBRARIES = (*_INSTALLED, _TORCH, str(Path(__file__).parents[2]) + os.sep, "<frozen")
_WAITING_FILES = ("threading.py", "queue.py", "selectors.py", "subprocess.py", "socket.py", "connection.py")
_WRAPPERS = {"wrapper", "inner", "decorate_context", "call", "fn"}
_CELL = re.compile(r"<ipython-input-|ipykernel_\d+[/\\]")
_OUTSIDE = re.compile(r"in <(?:module|cell line: \d+)> ")
"""What code outside functions is called; the second by IPython 7."""


class Position(NamedTuple):
    """Where the main thread is.

    Attributes:
        doing: In words: ``"in all_reduce at train.py:88"``; ``""`` where it waits for something to do.
        waits: Whether it is in a call that waits for others.
        is_in_backward: Whether torch computes gradients for it, perhaps in other threads.
        call: What stays the same as long as the innermost call hasn't returned or moved on.
    """

    doing: str
    waits: bool
    is_in_backward: bool
    call: tuple[FrameType | None, int]


def position() -> Position:
    """Tell where the main thread is; nothing of the frames it is in is kept but the innermost, in ``call``."""
    innermost = main_frame()
    frames = list(outwards(innermost))
    call = innermost, innermost.f_lasti if innermost is not None else 0
    if innermost is None or _is_event_loop(frames):
        return Position("", False, False, call)
    at = next((at for at, each in enumerate(frames) if not _is_library(each)), len(frames) - 1)
    inner = frames[:at][::-1]
    doing = _OUTSIDE.sub("", f"in {_name_of(inner, frames[at])} at {_line_of(frames[at])}")
    in_torch = innermost.f_code.co_filename.startswith(_TORCH)
    in_group = any(each.f_code.co_filename.startswith(_DISTRIBUTED) for each in inner)
    in_backward = innermost.f_code.co_name == "_engine_run_backward"
    waits = (in_torch and in_group) or in_backward or innermost.f_code.co_filename.endswith(_WAITING_FILES)
    return Position(doing, waits, in_backward, call)


def _is_event_loop(frames: list[FrameType]) -> bool:
    """Whether the stack is that of a kernel, or a program, that waits for something to do."""
    first = [f"{Path(each.f_code.co_filename).name} {each.f_code.co_name}" for each in itertools.islice(frames, 2)]
    return first == ["selectors.py select", "base_events.py _run_once"]


def _is_library(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_LIBRARIES)


def _name_of(inner: list[FrameType], own: FrameType) -> str:
    """What a line of the user's has called: the outermost name of torch.distributed's, else the first that tells."""
    told = [each for each in inner if not each.f_code.co_name.startswith("_") and each.f_code.co_name not in _WRAPPERS]
    groups = (each for each in told if each.f_code.co_filename.startswith(_DISTRIBUTED))
    return inert(next(groups, told[0] if told else own).f_code.co_name, 60)


def _line_of(frame: FrameType) -> str:
    file = frame.f_code.co_filename
    if _CELL.search(file):
        return f"line {frame.f_lineno} of a cell"
    return f"{inert(Path(file).name, 60)}:{frame.f_lineno}"


class _Call(NamedTuple):
    """A call that was found not to return, by its address: holding its frame would keep its tensors alive."""

    frame: int
    at: int
    worked: float
    since: float


class Watch:
    """Whether the main thread moves, as far as was looked at."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._stuck: _Call | None = None

    def where(self, *, settle: bool = False) -> dict[str, object]:
        """Tell where the main thread is, as JSON: its state, what it does, and for how long a stuck one has been so.

        Args:
            settle: Whether to look on for a second where it waits; less where it moves.
        """
        found = position()
        if settle and self._may_be_stuck(found):
            self._look_on(found)
            found = position()
        stuck = self._known(found)
        if stuck is not None:
            return {"state": "stuck", "doing": found.doing, "seconds": time.monotonic() - stuck.since}
        return {"state": "busy" if found.doing else "idle", "doing": found.doing, "seconds": 0.0}

    def look_on(self) -> None:
        """Where the main thread waits, look on for a second; one thread at a time does."""
        if self._looking.acquire(blocking=False):
            try:
                found = position()
                if self._may_be_stuck(found):
                    self._look_on(found)
            finally:
                self._looking.release()

    def _may_be_stuck(self, found: Position) -> bool:
        return found.waits and self._known(found) is None

    def _look_on(self, found: Position) -> None:
        # The frame, held meanwhile, can't be that of another call.
        began, worked = time.monotonic(), _cpu_seconds(found.is_in_backward)
        while (seconds := time.monotonic() - began) < STUCK_SECONDS:
            time.sleep(_LOOK_SECONDS)
            if position().call != found.call:
                return
        if _cpu_seconds(found.is_in_backward) - worked < _MOST_OF_A_CPU * seconds:
            frame, at = found.call
            self._stuck = _Call(id(frame), at, _cpu_seconds(), began)

    def _known(self, found: Position) -> _Call | None:
        """The call that is stuck, where it is the one found: at the same address, and nothing was done since."""
        stuck, (frame, at) = self._stuck, found.call
        if stuck is not None and stuck[:2] == (id(frame), at) and _cpu_seconds() - stuck.worked < _LOOK_SECONDS:
            return stuck
        self._stuck = None
        return None


def _cpu_seconds(of_all: bool = False) -> float:
    """What the main thread has used of the CPU, or all threads, where others may work for it."""
    main = threading.main_thread().ident
    if of_all or main is None or not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time()
    return time.clock_gettime(time.pthread_getcpuclockid(main))
