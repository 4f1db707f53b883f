"""Work that the calling thread does by itself.

torch shares each operation of 32,768 elements and more out to all cores and waits for all of them. Where a training
cell or a page that paints has the cores, that wait is longer than the work, and each wait takes from the training.
OpenMP holds how many threads to use for each thread apart, so that only the calling one works alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch


@contextmanager
def alone() -> Iterator[None]:
    """Have torch's operations in this thread use no other; nothing where torch's OpenMP can't be reached.

    Example:
        >>> with alone():
        ...     torch.ones(100_000).sum().item()
        100000.0
    """
    openmp = _openmp()
    # Asking sets up this thread's number, which would otherwise be set at its first operation.
    n_threads = torch.get_num_threads()
    if openmp is None or n_threads == 1:
        yield
        return
    openmp.omp_set_num_threads(1)
    try:
        yield
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
