"""CRC-32 of the header and of each tensor, stated in a safetensors file's metadata: the format itself keeps none.

Other readers take them for one more line of text. They stand first, and are spelled as no serializer spells them, with
a blank before the colon: a program that copies the metadata into a file of other tensors writes them anew, and there
they count for nothing.

    {"__metadata__":{"nnwidgets.crc32" :"<of the header, with zeros here><of each tensor, as their bytes lie>", …
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from nnwidgets.checkpoint.formats.crc32 import crc32

KEY = "nnwidgets.crc32"

_LENGTH_BYTES = 8
_BEGIN = f'{{"__metadata__":{{"{KEY}" :"'.encode()
_PLAIN = f'{{"__metadata__":{{"{KEY}":"'.encode()
_AT = _LENGTH_BYTES + len(_BEGIN)
_WIDTH = 8
_DIGITS = frozenset(string.hexdigits.lower().encode())


def placeholder(n_tensors: int) -> str:
    """What stands in the header until the checksums are known."""
    return "0" * _WIDTH * (1 + n_tensors)


def respell(text: bytes) -> bytes:
    """A header's JSON, whose first entry this is, with that entry spelled as here."""
    return _BEGIN + text.removeprefix(_PLAIN)


def fill_in(header: bytes, sums: Sequence[int]) -> bytes:
    """A whole header with the checksums of its tensors, in the order of their bytes, and its own, in their room."""
    held = bytearray(header)
    digits = "".join(f"{each:08x}" for each in sums).encode()
    held[_AT + _WIDTH : _AT + _WIDTH + len(digits)] = digits
    held[_AT : _AT + _WIDTH] = f"{crc32(bytes(held), 0):08x}".encode()
    return bytes(held)


def checksums_in(header: bytes, text: str, n_tensors: int) -> list[int] | None:
    """What a file states of itself.

    Args:
        header: Its first bytes, the length included.
        text: What its metadata have under `KEY`.
        n_tensors: How many tensors it has.

    Returns:
        The checksums of its tensors in the order of their bytes; None where they were copied from another file.

    Raises:
        ValueError: The header isn't what it was.
    """
    digits = text.encode()
    if not header.startswith(_BEGIN, _LENGTH_BYTES):
        return None
    n_digits = _WIDTH * (1 + n_tensors)
    if len(digits) != n_digits or not _DIGITS.issuperset(digits) or not header.startswith(digits, _AT):
        raise ValueError
    blank = header[:_AT] + b"0" * _WIDTH + header[_AT + _WIDTH :]
    own, *sums = (int(digits[at : at + _WIDTH], 16) for at in range(0, len(digits), _WIDTH))
    if crc32(blank, 0) != own:
        raise ValueError
    return sums
