"""JSON that is made to take memory: a byte or two of it make an object of sixty."""

from __future__ import annotations

import re

_FREE = 2**20
_BYTES_PER_CONTAINER = 12
_BYTES_PER_ITEM = 4
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_MOST_STRINGS = 2_000_000


def density_fault(text: bytes) -> str:
    """What is wrong with JSON that has more containers or items in it than names of tensors would leave room for.

    It is counted before anything is parsed. JSON of less than a MiB can't take much, and passes.

    Args:
        text: A header or an index.

    Returns:
        A part of a sentence, empty where nothing is wrong.

    Example:
        >>> density_fault(b"[" + b"[]," * 2**20 + b"1]")
        'has 1,048,577 lists and objects in 3,145,731 bytes, more than names and shapes need'
        >>> density_fault(b'{"weight_map": {}}')
        ''
    """
    if len(text) < _FREE:
        return ""
    n_containers, n_items = _counts(text, 0, len(text))
    if _is_sparse(n_containers, n_items, len(text)):
        return ""
    # What stands within text, such as a list kept as metadata, makes no objects.
    for number, string in enumerate(_STRING.finditer(text)):
        if number > _MOST_STRINGS:
            return f"has more than {_MOST_STRINGS:,} strings in {len(text):,} bytes, and much between them"
        within_it = _counts(text, *string.span())
        n_containers, n_items = n_containers - within_it[0], n_items - within_it[1]
    if _is_sparse(n_containers, n_items, len(text)):
        return ""
    if n_containers * _BYTES_PER_CONTAINER > len(text):
        return f"has {n_containers:,} lists and objects in {len(text):,} bytes, more than names and shapes need"
    return f"has {n_items:,} items in {len(text):,} bytes, more than names and shapes need"


def _counts(text: bytes, start: int, end: int) -> tuple[int, int]:
    return text.count(b"[", start, end) + text.count(b"{", start, end), text.count(b",", start, end)


def _is_sparse(n_containers: int, n_items: int, n_bytes: int) -> bool:
    return n_containers * _BYTES_PER_CONTAINER <= n_bytes and n_items * _BYTES_PER_ITEM <= n_bytes
