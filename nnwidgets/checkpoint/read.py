"""What is in a checkpoint, as plain tensors and containers."""

from __future__ import annotations

import os
from collections import Counter, deque
from typing import Any

import torch

from nnwidgets.checkpoint.description import (
    Composed,
    Opaque,
    Storage,
    Strided,
    distinct_storages,
    storages_of,
    tensors_in,
)
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.formats.pickle.arguments import AllowedName, StorageType
from nnwidgets.checkpoint.records import Described
from nnwidgets.errors import CorruptCheckpointError


def read(path: str | os.PathLike[str]) -> Any:
    """Read a checkpoint: the object in it, made of tensors, plain containers and `Described` in place of other objects.

    Nothing in the file can run code: of an object that is no plain data, its class's name and its state are given.
    NumPy's arrays are given as tensors where torch has their dtype, its numbers as Python's. Checksums are compared
    first, where the format keeps them, and the SHA-256 of the whole file where ``NAME.sha256`` beside it or a hub's
    cache states it. Tensors are on the CPU, plain, need no gradient, and share memory where they did when they were
    saved.

    Args:
        path: A file, a sharded checkpoint's index, or the folder of a sharded or distributed one.

    Raises:
        PathNotFoundError: Nothing is there.
        UnsafeCheckpointError: It would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.

    Example:
        >>> import tempfile, torch
        >>> from nnwidgets.checkpoint import save
        >>> file = tempfile.mkdtemp() + "/two"
        >>> report = save({"x": torch.arange(3), "y": [torch.zeros(2), "text"]}, file)
        >>> read(file)
        {'x': tensor([0, 1, 2]), 'y': [tensor([0., 0.]), 'text']}
    """
    with open_checkpoint(path) as held:
        found = [each for _, each in tensors_in(held.content)]
        storages = distinct_storages(found)
        held.verify_files()
        held.verify(storages.values())
        try:
            made = ContentReader(held, storages).whole(held.content)
        except RecursionError:
            raise CorruptCheckpointError(
                f"{held.path.name} holds lists or dicts nested too deeply to be built.", path=str(held.path)
            ) from None
        if isinstance(made, dict):
            # How safetensors says that names are tied: by the one that holds the bytes.
            ties = {name: kept for name, kept in held.metadata.items() if name not in made and kept in made}
            made.update((name, made[kept]) for name, kept in ties.items() if isinstance(made[kept], torch.Tensor))
        return made


class ContentReader:
    """Puts tensors in place of their descriptions."""

    def __init__(self, held: CheckpointReader, storages: dict[str, Storage], *, as_arrays: bool = False) -> None:
        """Prepare it.

        Args:
            held: The file.
            storages: Those of the tensors that will be asked for.
            as_arrays: Whether NumPy's arrays within values are given as such, and not as tensors.
        """
        users = Counter(key for _, each in tensors_in(held.content) for key in {s.key for s in storages_of(each)})
        self._held = held
        self._as_arrays = as_arrays
        self._shared = {key for key in storages if users[key] > 1}
        self._read: dict[str, torch.Tensor] = {}
        self._known: dict[int, Any] = {}
        self._objects: deque[tuple[Described, Any]] = deque()
        self._kept: list[Any] = []

    def whole(self, content: Any) -> Any:
        """A value, and all that objects in it hold, which may be themselves."""
        made = self.value(content)
        while self._objects:
            described, held = self._objects.popleft()
            # Its dict is made on the way, and mustn't give its identity to the next.
            self._kept.append(held)
            object.__setattr__(described, "state", self.value(held))
        return made

    def value(self, value: Any) -> Any:
        """A described value with the bytes of its tensors; what objects in it hold comes with `whole`."""
        if type(value) not in _MADE:
            return value
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = self._build(value)
        return known

    def forget(self) -> None:
        """Let go of what was made so far."""
        self._known, self._read = {}, {}

    def _build(self, value: Any) -> Any:
        if isinstance(value, Strided | Composed):
            is_shared = any(storage.key in self._shared for storage in storages_of(value))
            made = self._held.tensor(value, self._read if is_shared else None)
            is_array = self._as_arrays and isinstance(value, Strided) and value.storage.held is not None
            return made.numpy() if is_array and made.dtype not in _NOT_NUMPYS else made
        if isinstance(value, dict):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, Opaque):
            described = Described(value.class_name)
            self._objects.append((described, value.told))
            return described
        if isinstance(value, AllowedName):
            return Described(value.class_name)
        if isinstance(value, StorageType):
            return Described("torch.storage.TypedStorage", value.dtype)
        return type(value)(map(self.value, value))


_NOT_NUMPYS = {torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}
_MADE = (dict, list, tuple, set, frozenset, Strided, Composed, Opaque, AllowedName, StorageType)
