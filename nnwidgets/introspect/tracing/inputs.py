"""Inputs of a forward made from their sizes: random where the dtype is of floating point, zeros where not."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.errors import InvalidTargetError, closest_names
from nnwidgets.formatting import counted, cut, repr_start
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import torch_attribute

_MOST_ELEMENTS = 2**31
_MOST_DIMENSIONS = 25
_LONGEST_SIZE = 12
_SHAPE = re.compile(r"\(?\s*(\d+(?:\s*,\s*\d+)*)?\s*,?\s*\)?")
DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128",
)  # fmt: skip
"""What ``2,20:dtype`` can name."""


@dataclass(frozen=True)
class InputSize:
    """One input: a shape, batch included, and the name of a dtype; empty for that of the parameters."""

    shape: tuple[int, ...]
    dtype: str = ""


def input_sizes(given: Any) -> tuple[InputSize, ...]:
    """Read what a caller gives as ``input_size``: one shape, or text such as ``"2,20:int64"``, or a list of these.

    Raises:
        InvalidTargetError: It is none.

    Example:
        >>> input_sizes((2, 20)), input_sizes(["2,20:int64", (2, 5)])
        ((InputSize(shape=(2, 20), dtype=''),),
         (InputSize(shape=(2, 20), dtype='int64'), InputSize(shape=(2, 5), dtype='')))
    """
    if type(given) is tuple and given and all(type(each) is InputSize for each in given):
        return given
    several = type(given) in {list, tuple} and not all(type(each) is int for each in given)
    return tuple(map(_input_size, given if several else (given,)))


def _input_size(given: Any) -> InputSize:
    if type(given) is str:
        return read_input_size(given)
    if type(given) in {list, tuple, torch.Size} and all(type(each) is int and each >= 0 for each in given):
        return _checked(InputSize(tuple(given)), repr_start(tuple(given), 80))
    raise InvalidTargetError(f"input_size is {repr_start(given, 80)}, expected a shape.", hint=_HINT)


_HINT = 'Such as (2, 20), "2,20:int64" where the dtype matters, or a list of these, one for each input.'


def read_input_size(text: str) -> InputSize:
    """Read a size as it is typed.

    Raises:
        InvalidTargetError: It is none, or too large to make.

    Example:
        >>> read_input_size("2,20"), read_input_size("(2, 20):int64")
        (InputSize(shape=(2, 20), dtype=''), InputSize(shape=(2, 20), dtype='int64'))
    """
    sizes, colon, dtype = text.partition(":")
    match = _SHAPE.fullmatch(sizes)
    said = f"'{cut(text, 80)}'"
    if match is None:
        raise InvalidTargetError(f"{said} is not a shape such as 2,20 or 2,20:int64.")
    numbers = match[1].split(",") if match[1] else []
    if any(len(number.strip()) > _LONGEST_SIZE for number in numbers):
        raise InvalidTargetError(f"{said} is too large to make.")
    if colon and dtype not in DTYPES:
        near = closest_names(dtype, DTYPES, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(DTYPES)}."
        raise InvalidTargetError(f"{said}: no dtype '{cut(dtype, 80)}'; {known}")
    return _checked(InputSize(tuple(map(int, numbers)), dtype), said)


def _checked(size: InputSize, said: str) -> InputSize:
    if len(size.shape) > _MOST_DIMENSIONS:
        raise InvalidTargetError(f"{said} is too large to make.")
    n_elements = math.prod(size.shape)
    if n_elements > _MOST_ELEMENTS:
        raise InvalidTargetError(f"{said} is too large to make: {counted(n_elements, 'element')}.")
    return size


def make_inputs(sizes: Sequence[InputSize], scan: ModelScan) -> list[torch.Tensor]:
    """Make inputs on the device of the model's first parameter, in its dtype where none is named.

    The global random generators are left alone; the numbers are the same each time.

    Raises:
        InvalidTargetError: If one can't be made.
    """
    parameter = _first_parameter(scan)
    return [_make(size, parameter) for size in sizes]


def device_of(scan: ModelScan) -> torch.device:
    """The device of a model's first parameter; the CPU where it has none.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> device_of(read(torch.nn.Linear(2, 2)))
        device(type='cpu')
    """
    parameter = _first_parameter(scan)
    device: torch.device = torch.device("cpu") if parameter is None else torch_attribute(parameter, "device")
    return device


def _first_parameter(scan: ModelScan) -> Any:
    return next(
        (
            value
            for slot, value in enumerate(scan.slot_values)
            if is_tensor(value) and scan.role(slot, scan.owner(slot)) == "parameter"
        ),
        None,
    )


def _make(size: InputSize, parameter: Any) -> torch.Tensor:
    device = torch.device("cpu") if parameter is None else torch_attribute(parameter, "device")
    of_parameters = torch.float32 if parameter is None else torch_attribute(parameter, "dtype")
    dtype = getattr(torch, size.dtype) if size.dtype else of_parameters
    if not size.dtype and not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.float32
    try:
        if device.type == "meta" or not (dtype.is_floating_point or dtype.is_complex) or dtype.itemsize < 2:  # noqa: PLR2004 - float8 has no rand
            return torch.zeros(size.shape, dtype=dtype, device=device)
        return torch.rand(size.shape, dtype=dtype, generator=torch.Generator().manual_seed(0), device="cpu").to(device)
    except (RuntimeError, MemoryError) as error:
        raise InvalidTargetError(
            f"An input of {tuple(size.shape)} can't be made: {str(error).splitlines()[0]}"
        ) from None
