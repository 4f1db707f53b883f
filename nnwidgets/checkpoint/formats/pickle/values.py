"""Plain values that a pickle makes by a call: dicts, sets, bytes, sizes, devices."""

from __future__ import annotations

from typing import Any

import torch

from nnwidgets.checkpoint.description import Composed, Opaque, Strided
from nnwidgets.checkpoint.formats.malformed import Malformed, brief
from nnwidgets.checkpoint.formats.pickle.arguments import Account, AllowedName, Call, check_count, sizes


def _ordered(args: Any, account: Account) -> dict[Any, Any]:
    found = check_count("OrderedDict", args, 0, 1)
    if not found:
        return {}
    if type(found[0]) in (dict, list):
        account.copy(len(found[0]))
    if type(found[0]) is dict:
        return dict(found[0])
    if type(found[0]) is list and all(type(each) in (list, tuple) and len(each) == _PAIR for each in found[0]):
        return {check_key(key, account): value for key, value in found[0]}
    raise Malformed(f"makes a dict of {brief(found[0])}")


def _default(args: Any, _account: Account) -> dict[Any, Any]:
    found = check_count("defaultdict", args, 0, 1)
    if found and found[0] is not None and type(found[0]) is not AllowedName:
        raise Malformed(f"makes a defaultdict of {brief(found[0])}")
    return {}


def _set(args: Any, account: Account) -> set[Any]:
    (found,) = check_count("set", args, 1)
    if type(found) not in (list, tuple, set):
        raise Malformed(f"makes a set of {brief(found)}")
    account.copy(len(found))
    return {check_key(each, account) for each in found}


def _frozen(args: Any, account: Account) -> frozenset[Any]:
    return frozenset(_set(args, account) if args else ())


def _reconstructed(args: Any, _account: Account) -> Opaque:
    """An object as pickles of protocol 0 and 1 make it: of a class, its base and what the base is made from."""
    kind, _, held = check_count("copyreg._reconstructor", args, 3)
    if type(kind) is not AllowedName:
        raise Malformed(f"makes an object of {brief(kind)}")
    return Opaque(kind.class_name, () if held is None else (held,))


def _new_object(args: Any, account: Account) -> Opaque:
    if type(args) is not tuple or not args or type(args[0]) is not AllowedName:
        raise Malformed(f"makes an object of {brief(args)}")
    account.copy(len(args))
    return Opaque(args[0].class_name, args[1:])


def _size(args: Any, account: Account) -> torch.Size:
    (found,) = check_count("torch.Size", args, 1)
    account.copy(len(found) if type(found) in (list, tuple) else 0)
    return torch.Size(sizes(tuple(found) if type(found) is list else found, "shape"))


def _device(args: Any, _account: Account) -> torch.device:
    found = check_count("torch.device", args, 1, 2)
    try:
        return torch.device(*found)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise Malformed(f"names a device that is none: {brief(found)}") from None


def _layout(args: Any, _account: Account) -> torch.layout:
    (found,) = check_count("_get_layout", args, 1)
    for layout in _LAYOUTS:
        if type(found) is str and str(layout) == found:
            made: torch.layout = layout
            return made
    raise Malformed(f"names a layout {brief(found)}")


def _encode(args: Any, account: Account) -> bytes:
    text, encoding = check_count("_codecs.encode", args, 2)
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8"):
        raise Malformed(f"encodes {brief(text)} as {brief(encoding)}")
    account.copy(len(text))
    try:
        return text.encode(encoding)
    except UnicodeError:
        raise Malformed(f"has bytes that aren't {encoding}") from None


def _no_bytes(args: Any, _account: Account) -> bytes:
    check_count("bytes", args, 0)
    return b""


def _bytearray(args: Any, account: Account) -> bytearray:
    found = check_count("bytearray", args, 0, 1)
    if found and type(found[0]) is not bytes:
        raise Malformed(f"makes a bytearray of {brief(found[0])}")
    account.copy(sum(map(len, found)))
    return bytearray(*found)


def _complex(args: Any, _account: Account) -> complex:
    real, imaginary = check_count("complex", args, 2)
    if not {type(real), type(imaginary)} <= {int, float}:
        raise Malformed(f"makes a complex number of {brief(args)}")
    try:
        return complex(real, imaginary)
    except OverflowError:
        raise Malformed("has a complex number out of range") from None


def check_key(key: Any, account: Account) -> Any:
    """A key of a dict or item of a set, made sure that hashing it is quick and tells it from others.

    Raises:
        Malformed: It is none that a checkpoint has: text, numbers, None, dtypes, short tuples of them.
    """
    if type(key) is str:
        return key
    if isinstance(key, Strided | Composed):
        # An optimizer that is pickled whole has its parameters as keys: each is itself alone.
        return Opaque("torch.Tensor")
    waiting: list[tuple[Any, int]] = [(key, 0)]
    n_parts = 0
    while waiting:
        each, depth = waiting.pop()
        kind = type(each)
        n_parts += 1
        if kind in (tuple, frozenset) and depth < _DEEPEST_KEY and len(each) <= _LONGEST_KEY:
            waiting += [(one, depth + 1) for one in each]
        # Hashes of integers beyond this wrap round, and can be made to meet.
        elif kind not in _KEYS or n_parts > _LONGEST_KEY or (kind is int and abs(each) >= _MOST_KEY):
            raise Malformed(f"has the key {brief(key)}, expected text, a number, None, a dtype or a tuple of such")
    if type(key) in _OF_ANY_HASH:
        account.meet(key)
    return key


CALLS: dict[str, Call] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "collections.defaultdict": _default,
    "builtins.set": _set,
    "builtins.frozenset": _frozen,
    "builtins.bytearray": _bytearray,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new_object,
    # How empty bytes are written; torch reads none, and refuses these.
    "builtins.bytes": _no_bytes,
    "builtins.complex": _complex,
    "_codecs.encode": _encode,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _layout,
}
"""What makes them, by name."""
_KEYS = {
    str, int, float, complex, bool, bytes, type(None), torch.dtype, torch.device, torch.layout, Opaque,
    AllowedName,
}  # fmt: skip
_LAYOUTS = (
    torch.strided, torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc
)  # fmt: skip
_OF_ANY_HASH = (tuple, frozenset, complex)
_MOST_KEY = 2**61 - 1
_DEEPEST_KEY = 4
_LONGEST_KEY = 100
_PAIR = 2
