"""Work that the calling thread does by itself.

torch shares each operation of 32,768 elements and more out to all cores and waits for all of them. Where a training
cell or a page that paints has the cores, that wait is longer than the work, and each wait takes from the training.
OpenMP holds how many threads to use for each thread apart, so that only the calling one works by itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch


@contextmanager
def single_thread(is_asked: Callable[[], bool] = lambda: True) -> Iterator[Callable[[], None]]:
    """Have torch's operations in this thread use no other; nothing where torch's OpenMP can't be reached.

    Args:
        is_asked: Whether to, for work during which that may change.

    Yields:
        What to call between two steps of such work, to ask anew.

    Example:
        >>> with single_thread():
        ...     torch.ones(100_000).sum().item()
        100000.0
    """
    openmp = _openmp()
    # Asking sets up this thread's number, which would otherwise be set at its first operation.
    n_threads = torch.get_num_threads()
    if openmp is None or n_threads == 1:
        yield lambda: None
        return

    def ask() -> None:
        openmp.omp_set_num_threads(1 if is_asked() else n_threads)

    ask()
    try:
        yield ask
    finally:
        openmp.omp_set_num_threads(n_threads)


@cache
def _openmp() -> Any:
    """The library that torch's operations use, which torch has loaded for all to see."""
    try:
        found = ctypes.CDLL(None)
        is_torchs = found.omp_get_max_threads() == torch.get_num_threads()
    except (OSError, TypeError, AttributeError):
        return None
    return found if is_torchs else None
