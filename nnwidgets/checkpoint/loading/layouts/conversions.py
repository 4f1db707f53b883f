"""Values that lie otherwise in a file than in the model: what is done to them, as data, and as Python.

All that is done is to look at the same bytes in another order, so that nothing is computed and every bit stays.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nnwidgets.checkpoint.description import Described, Strided
from nnwidgets.checkpoint.records import Conversion

Shape = tuple[int, ...]


def transposed(shape: Shape, why: str) -> Conversion:
    """A matrix turned.

    Args:
        shape: The model's, ``[out, in]``.
        why: Who keeps it the other way.
    """
    return Conversion("transposed", (shape[1], shape[0]), (0, 1), shape, why)


def reshaped(shape: Shape, why: str) -> Conversion:
    """The same elements in the same order, in another shape."""
    return Conversion("reshaped", shape, (0, 0), shape, why)


def rotary_rows(shape: Shape, head_dim: int, *, to_halves: bool, why: str) -> Conversion:
    """Rows of a query's or key's weight in the order that another rotary embedding wants.

    Args:
        shape: Of the weight ``[n_heads · head_dim, in_features]``, or the bias.
        head_dim: Rows of a head.
        to_halves: From pairs side by side to halves, or back.
        why: Who keeps which.
    """
    pairs = (head_dim // 2, 2) if to_halves else (2, head_dim // 2)
    return Conversion("rotary", (shape[0] // head_dim, *pairs, *shape[1:]), (1, 2), shape, why)


def convert(described: Described, conversion: Conversion) -> Described | None:
    """A tensor of a file, converted: the same bytes, looked at otherwise; None where they can't be.

    Its shape is that before the last step: the elements are in order, and only to be given the model's shape.

    Example:
        >>> from nnwidgets.checkpoint.description import Storage
        >>> stored = Strided(torch.float32, (2, 3), (3, 1), Storage("0", 0, 0, 24))
        >>> convert(stored, transposed((3, 2), "")).strides
        (1, 3)
    """
    if not isinstance(described, Strided) or described.quantizer is not None:
        return None
    seen = torch.empty_strided(described.shape, described.strides, dtype=torch.uint8, device="meta")
    try:
        seen = seen.view(conversion.view).transpose(*conversion.swap)
    except RuntimeError:
        return None
    return replace(described, shape=tuple(seen.shape), strides=seen.stride())


def as_wanted(described: Described, conversion: Conversion | None) -> Described:
    """A tensor of a file as a plan says that the model wants it."""
    made = described if conversion is None else convert(described, conversion)
    return described if made is None else made


def code(expression: str, conversion: Conversion) -> str:
    """Python that converts what an expression gives.

    Example:
        >>> code("state['w']", rotary_rows((8, 3), 4, to_halves=True, why=""))
        "state['w'].view(2, 2, 2, 3).transpose(1, 2).reshape(8, 3)"
    """
    if conversion.kind == "transposed":
        return f"{expression}.T"
    swap = "" if conversion.swap[0] == conversion.swap[1] else f".transpose{conversion.swap}"
    return f"{expression}.reshape{conversion.view}{swap}.reshape{conversion.shape}".replace(".reshape", ".view", 1)
