"""Reading back what was written: the bytes by their digest, the structure by our own reader."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import xxhash

from nnwidgets.checkpoint.description import name_of, tensors_in
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.writing.hashing_stream import BUFFER_BYTES, DIGEST
from nnwidgets.errors import NNWidgetsError, SaveError

Expected = Sequence[tuple[str, torch.dtype, tuple[int, ...]]]
"""Name, dtype and shape of each tensor."""


def verify(
    path: Path,
    digest: str,
    expected: Expected | None,
    target: Path,
    tick: Tick | None = None,
    *,
    n_last: int = 0,
) -> None:
    """Make sure that a file holds the bytes that were written, and that they are a checkpoint of these tensors.

    Args:
        path: The file.
        digest: Of what was written.
        expected: What must be in it; None where it is no checkpoint.
        target: What it will be called.
        tick: Told of the bytes read.
        n_last: How many of its first bytes were written last.

    Raises:
        SaveError: It differs.
    """
    found = digest_of(path, tick, n_last=n_last)
    if found != digest:
        raise SaveError(
            f"{target.name} was read back with the digest {found}, and {digest} was written.",
            path=str(target),
            hint="The disk or its driver changed it; save elsewhere. Nothing was changed.",
        )
    if expected is not None:
        check_structure(path, expected, target)


def check_structure(path: Path, expected: Expected, target: Path) -> None:
    """Make sure that a file is a checkpoint of these tensors.

    Args:
        path: The file.
        expected: What must be in it.
        target: What it will be called.

    Raises:
        SaveError: It isn't.
    """
    try:
        with open_checkpoint(path) as held:
            there = [(name_of(steps), each.dtype, each.shape) for steps, each in tensors_in(held.content)]
    except NNWidgetsError as error:
        raise SaveError(f"{target.name} can't be read back: {error}", path=str(target), hint=_ASK) from error
    missing, more = set(expected) - set(there), set(there) - set(expected)
    if missing or more:
        first = min(missing or more, key=repr)
        raise SaveError(
            f"{target.name} was read back {'without' if missing else 'with'} {first}.", path=str(target), hint=_ASK
        )


def digest_of(path: Path, tick: Tick | None = None, *, n_last: int = 0) -> str:
    """The digest of a file's bytes, the first ``n_last`` of them taken last.

    Raises:
        OSError: It can't be read.
    """
    made, buffer = xxhash.xxh3_128(), memoryview(bytearray(4 * BUFFER_BYTES))
    with path.open("rb", buffering=0) as file:
        first = file.read(n_last)
        while n := os.readv(file.fileno(), [buffer]):
            made.update(buffer[:n])
            if tick is not None:
                tick(n)
    made.update(first)
    return f"{DIGEST}:{made.hexdigest()}"


def digest_of_all(digests: Iterable[str]) -> str:
    """One digest for several files: that file's own where it is one, else that of their digests' bytes in order."""
    each = list(digests)
    if len(each) == 1:
        return each[0]
    made = xxhash.xxh3_128(b"".join(bytes.fromhex(one.removeprefix(f"{DIGEST}:")) for one in each))
    return f"{DIGEST}:{made.hexdigest()}"


_ASK = "This is a fault of nnwidgets; please report it. Nothing was changed."
