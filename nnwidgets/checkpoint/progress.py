"""How far a load, save or comparison is: counted by those that move bytes, told in all to whoever asked."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told bytes done and in all; may raise to cancel, and then nothing is changed."""

Tick = Callable[[int], None]
"""Told how many more bytes are done, by one thread at a time; may raise to cancel."""


def tick_of(progress: Progress | None, total: int) -> Tick:
    """What takes how many more bytes are done, and tells of all."""
    done = 0

    def tick(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        if progress is not None:
            progress(min(done, total), total)

    return tick
