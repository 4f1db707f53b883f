"""Two state dicts held against each other in a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.checkpoint.diffing.diff import SideLike, diff


def assert_equal(
    a: SideLike,
    b: SideLike,
    *,
    rename: Mapping[Any, str] | None = None,
    entry: str | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> None:
    """Make sure that two state dicts have the same names with the same tensors, bit for bit; for tests.

    Args:
        a: A model, a checkpoint's path, or a dict of tensors, as for `diff`.
        b: The same.
        rename: Names that are others on the other side, as for `diff`; without it names have to be the same.
        entry: Which state dict of a file, as for `diff`.
        rtol: How far an element of ``a`` may be from that of ``b``, as a part of that; added to ``atol``, as in
            ``torch.testing.assert_close``.
        atol: The same, in absolute terms.

    Raises:
        AssertionError: They differ; it says in what, as `diff` prints it.
        PathNotFoundError: There is no such file.
        InvalidTargetError: A side is none, a tensor has no data, or a tolerance is none.

    Example:
        >>> import torch
        >>> before = {"weight": torch.zeros(2)}
        >>> assert_equal(before, {"weight": torch.full((2,), 1e-9)}, atol=1e-8)
        >>> assert_equal(before, {"weight": torch.ones(2)})
        Traceback (most recent call last):
        AssertionError: ...differences...~ changed  weight  2 elements...
    """
    found = diff(a, b, rename={} if rename is None else rename, entry=entry, rtol=rtol, atol=atol)
    if not found.is_close:
        raise AssertionError(str(found))
