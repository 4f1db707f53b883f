"""Waiting for what no page tells."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    is_so: Callable[[], bool],
    what: str,
    *,
    within: float = 60.0,
    pause: Callable[[], object] = lambda: time.sleep(0.01),
) -> None:
    """Ask again and again until something is so; ``pause`` is called between.

    Raises:
        AssertionError: It was not so within as many seconds.
    """
    give_up = time.monotonic() + within
    while not is_so():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what}: not within {within:g} s")
        pause()
