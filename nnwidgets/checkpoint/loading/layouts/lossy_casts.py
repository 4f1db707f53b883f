"""Whether a dtype holds every value of another: whether a load that casts can change a value."""

from __future__ import annotations

import torch


def loses(dtype: str | None, source_dtype: str | None) -> bool:
    """Whether a conversion can change a value.

    Args:
        dtype: Name of the model's.
        source_dtype: Of the file's.

    Example:
        >>> loses("float32", "float16"), loses("float16", "float32")
        (False, True)
    """
    theirs, ours = getattr(torch, str(source_dtype), None), getattr(torch, str(dtype), None)
    if not isinstance(theirs, torch.dtype) or not isinstance(ours, torch.dtype):
        return True
    try:
        return not _holds(ours, theirs)
    except (TypeError, RuntimeError):
        return True


def _holds(ours: torch.dtype, theirs: torch.dtype) -> bool:
    """Whether one dtype has every value of another."""
    if theirs is torch.bool or ours is torch.bool:
        return theirs is torch.bool
    if theirs.is_complex and not ours.is_complex:
        return False
    if not theirs.is_floating_point and not theirs.is_complex:
        low, high = torch.iinfo(theirs).min, torch.iinfo(theirs).max
        if not ours.is_floating_point and not ours.is_complex:
            return torch.iinfo(ours).min <= low and high <= torch.iinfo(ours).max
        # Every whole number up to one over its precision is in a float.
        return high <= 2 / torch.finfo(ours).eps and high <= torch.finfo(ours).max
    if not ours.is_floating_point and not ours.is_complex:
        return False
    a, b = torch.finfo(ours), torch.finfo(theirs)
    return a.eps <= b.eps and a.max >= b.max and _least(a) <= _least(b) and (a.min < 0 or b.min >= 0)


def _least(info: torch.finfo) -> float:
    """The least number above zero."""
    return info.smallest_normal * min(1.0, info.eps)
