"""What a forward is given, as JSON: plain tensors, numbers, text, and lists, tuples and dicts of these."""

from __future__ import annotations

import base64
from typing import Any

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert, short_bytes
from nnwidgets.introspect.safe_access.objects import is_tensor, type_name
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor

_MOST_BYTES = 256 * 2**20
_AS_THEY_ARE = (bool, int, float, str, type(None))


def to_json(value: Any, name: str = "an argument") -> Any:
    """Make JSON of a value.

    Args:
        value: What a forward takes.
        name: What it is called in the error.

    Raises:
        InvalidTargetError: It is none of what can be sent, or too large.

    Example:
        >>> to_json({"x": torch.ones(2, dtype=torch.int8), "n": 3})
        {'dict': {'x': {'tensor': ['int8', [2], 'AQE=']}, 'n': 3}}
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if is_tensor(value):
        return {"tensor": _tensor_to_json(value, name)}
    if kind in {list, tuple}:
        return {kind.__name__: [to_json(each, name) for each in value]}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: to_json(each, f"{name}[{inert(key, 40)!r}]") for key, each in value.items()}}
    raise InvalidTargetError(
        f"{name} holds a {inert(type_name(kind), 80)}, which can't be sent to ranks.",
        hint="Tensors, numbers, text, and lists and dicts of these can. input_size=(2, 20) has ranks make inputs.",
    )


def _tensor_to_json(value: Any, name: str) -> list[Any]:
    data = as_plain_tensor(value)
    if data.layout is not torch.strided or data.is_quantized:
        raise InvalidTargetError(f"{name} is a tensor of layout {data.layout}, expected a dense one.")
    if data.nbytes > _MOST_BYTES:
        raise InvalidTargetError(
            f"{name} is {short_bytes(data.nbytes)}, of which at most {short_bytes(_MOST_BYTES)} are sent to ranks.",
            hint="Let them make it: input_size=(2, 20).",
        )
    data = data.resolve_conj().resolve_neg().cpu().contiguous()
    content = data.flatten().view(torch.uint8).numpy().tobytes() if data.numel() else b""
    return [str(data.dtype).removeprefix("torch."), list(data.shape), base64.b64encode(content).decode("ascii")]


def from_json(made: Any, device: torch.device) -> Any:
    """The value that `to_json` was given, its tensors on a device.

    Raises:
        InvalidTargetError: It isn't what `to_json` makes.
    """
    if type(made) in _AS_THEY_ARE:
        return made
    try:
        ((kind, held),) = made.items()
        if kind == "tensor":
            dtype, shape, content = held
            data = bytearray(base64.b64decode(content, validate=True))
            flat = torch.frombuffer(data, dtype=_DTYPES[dtype]) if data else torch.empty(0, dtype=_DTYPES[dtype])
            return flat.reshape(shape).to(device)
        if kind == "dict":
            return {str(key): from_json(each, device) for key, each in held.items()}
        return _SEQUENCES[kind](from_json(each, device) for each in held)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidTargetError(f"An argument can't be read: {str(error)[:200]}.") from None


_SEQUENCES: dict[str, Any] = {"list": list, "tuple": tuple}
_DTYPES = {
    name: dtype
    for name, dtype in vars(torch).items()
    if type(dtype) is torch.dtype and str(dtype) == f"torch.{name}" and not name.startswith(("q", "bits"))
}
