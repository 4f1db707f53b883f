"""Python values to JSON and back: big integers and NaN as strings, arrays beside the message as binary buffers.

The result of `encode` passes ``json.dumps(allow_nan=False)`` and every Jupyter packer: no non-finite float, no lone
surrogate, no key that is not a string.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SAFE_INTEGER = 2**53
"""The greatest integer that a float64, and so a page, holds with all its neighbours."""

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Blob:
    """An array on its way to the page: row-major, little-endian.

    Attributes:
        dtype: ``"float32"``, ``"uint8"``.
        shape: Its sizes.
        data: The bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


def encode(message: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes | memoryview]]:
    """Return the JSON form of ``message`` and the buffers that go beside it.

    Raises:
        TypeError: A value has no JSON form; the message names its type.

    Example:
        >>> encode({"n": 2**60, "mean": float("nan"), "values": Blob("uint8", (2,), b"ab")})
        ({'n': '1152921504606846976', 'mean': 'NaN', 'values': {'dtype': 'uint8', 'shape': [2], 'buffer': 0}}, [b'ab'])
    """
    buffers: list[bytes | memoryview] = []
    return _encode_object(message, buffers, 0), buffers


def number(value: float | str) -> int | float:
    """Return the number that ``value`` stands for on the wire.

    Raises:
        ValueError: It stands for none.

    Example:
        >>> number("9007199254740993"), number("-Infinity"), number(0.5)
        (9007199254740993, -inf, 0.5)
    """
    if isinstance(value, str):
        return _NON_FINITE[value] if value in _NON_FINITE else int(value)
    return value


def decode(message: Any, buffers: Sequence[bytes | memoryview]) -> Any:
    """Return ``message`` with each array head replaced by a `Blob` of its buffer.

    Numbers that travelled as strings stay strings, since only the schema knows which strings are numbers: see `number`.

    Example:
        >>> decode({"values": {"dtype": "uint8", "shape": [2], "buffer": 0}}, [b"ab"])
        {'values': Blob(dtype='uint8', shape=(2,), data=b'ab')}
    """
    if isinstance(message, dict):
        if message.keys() == {"dtype", "shape", "buffer"}:
            return Blob(message["dtype"], tuple(message["shape"]), buffers[message["buffer"]])
        return {key: decode(value, buffers) for key, value in message.items()}
    if isinstance(message, list):
        return [decode(value, buffers) for value in message]
    return message


def _encode_object(value: Mapping[Any, Any], buffers: list[bytes | memoryview], depth: int) -> dict[str, Any]:
    encoded = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"A key of a JSON object must be a string, found {type(key).__name__}.")
        encoded[_text(key)] = _encode(item, buffers, depth + 1)
    return encoded


def _encode(value: Any, buffers: list[bytes | memoryview], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise TypeError(f"A message nests at most {_MAX_DEPTH} deep.")
    if value is None or isinstance(value, str | int | float):
        return _scalar(value)
    if isinstance(value, Blob):
        buffers.append(value.data)
        return {"dtype": value.dtype, "shape": list(value.shape), "buffer": len(buffers) - 1}
    if isinstance(value, Mapping):
        return _encode_object(value, buffers, depth)
    if isinstance(value, list | tuple):
        return [_encode(item, buffers, depth + 1) for item in value]
    raise TypeError(f"A {type(value).__name__} has no JSON form.")


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(int(value))
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text(value: str) -> str:
    """Return ``value`` as text that UTF-8 can carry: a lone surrogate becomes the replacement character."""
    if value.isascii():
        return str(value)
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
