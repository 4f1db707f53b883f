"""Waiting for what no page tells, and pressing a key until something is so; neither goes on for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Keyboard


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


def press_until(keys: Keyboard, key: str, is_so: Callable[[], bool], *, within: int = 50) -> None:
    """Press a key until something is so.

    Raises:
        AssertionError: It was not so after as many times.
    """
    for _ in range(within):
        if is_so():
            return
        keys.press(key)
    if not is_so():
        raise AssertionError(f"{key}, pressed {within} times, did not lead there")
