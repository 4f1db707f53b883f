"""A checkpoint in several files, with an index in JSON that says which tensor is in which, or all that a folder has.

Source: the index that transformers writes, ``{"metadata": {"total_size": n}, "weight_map": {name: file}}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nnwidgets.checkpoint.description import Composed, Described, Storage, Strided, distinct_storages, storages_of
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.paths import links_in, within
from nnwidgets.checkpoint.formats.reader import MOST_OPEN, CheckpointReader
from nnwidgets.checkpoint.formats.safetensors.single_file import Safetensors
from nnwidgets.checkpoint.formats.safetensors.strict_json import MOST_BYTES, decode
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError
from nnwidgets.formatting import and_more, counted

_MOST_NAMED = 3

OpenOne = Callable[[Path, int, str], CheckpointReader]
"""Opens one shard by what is in it, given its number among the files and its name."""


class Sharded(CheckpointReader):
    """Shards with an index, or numbered parts without."""

    format: Format = "sharded"

    def __init__(self, path: Path, open_one: OpenOne, file: File | None = None, *, parts: Sequence[str] = ()) -> None:
        """Read the index, and the header of each shard.

        Args:
            path: The index; of parts without one, their folder.
            open_one: Opens a shard.
            file: The index, opened.
            parts: Names of parts without an index.

        Raises:
            UnsafeCheckpointError: The index names a file outside its folder.
            CorruptCheckpointError: It isn't as it should be, a shard is missing, or lacks a tensor.
        """
        self.path = path
        self.files = [] if parts else [file or File(path)]
        self._first = len(self.files)
        self.departures = []
        self.metadata = {}
        self.shards: list[CheckpointReader] = []
        try:
            if parts:
                self.content = self._joined_parts(self._open_shards(parts, path, open_one))
            else:
                index = self._index()
                self.metadata = {key: _text(value) for key, value in _dict(index.get("metadata")).items()}
                self.content = self._join(self._weight_map(index), open_one)
                self._compare_size(index)
        except BaseException:
            self.close()
            raise

    def verify(self, storages: Iterable[Storage], tick: Tick | None = None) -> None:
        """Compare storages with the checksums of their shards, where those keep any."""
        by_shard: dict[int, list[Storage]] = {}
        for storage in storages:
            by_shard.setdefault(storage.file, []).append(storage)
        for number, those in by_shard.items():
            self.shards[number - self._first].verify(those, tick)

    def tensor(self, described: Described, storages: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        """A tensor with its bytes, as its shard reads it."""
        held = storages_of(described)
        if not held:
            return super().tensor(described, storages)
        return self.shards[held[0].file - self._first].tensor(described, storages)

    def _index(self) -> dict[str, Any]:
        file = self.files[0]
        if file.n_bytes > MOST_BYTES:
            raise self._fault(f"has {counted(file.n_bytes, 'byte')}; an index can have {MOST_BYTES:,}")
        try:
            index = decode(file.read(0, file.n_bytes).decode("utf-8"), may_have_nan=True)
        except Malformed:
            raise self._fault("has a key twice") from None
        except (ValueError, RecursionError) as error:
            raise self._fault(f"is no JSON ({error})") from None
        if type(index) is not dict:
            raise self._fault("is no JSON object")
        return index

    def _weight_map(self, index: dict[str, Any]) -> dict[str, str]:
        found = index.get("weight_map")
        if type(found) is not dict or not all(type(each) is str for each in found.values()):
            raise self._fault("has no weight_map of names to files")
        return found

    def _join(self, weight_map: dict[str, str], open_one: OpenOne) -> dict[str, Described]:
        names = list(dict.fromkeys(weight_map.values()))
        tensors = self._open_shards(names, self.path.parent, open_one)
        made: dict[str, Described] = {}
        for key, name in weight_map.items():
            tensor = tensors[name].get(key)
            if tensor is None:
                raise self._fault(f"says that {key[:80]!r} is in {name[:80]!r}, which hasn't it")
            made[key] = tensor
        self._note_others(weight_map, tensors)
        return made

    def _joined_parts(self, tensors: dict[str, dict[str, Described]]) -> dict[str, Described]:
        made: dict[str, Described] = {}
        for name, held in tensors.items():
            again = next((key for key in held if key in made), None)
            if again is not None:
                raise self._fault(f"has {again[:80]!r} in {name[:80]!r} and in a part before it")
            made |= held
        return made

    def _open_shards(self, names: Sequence[str], folder: Path, open_one: OpenOne) -> dict[str, dict[str, Described]]:
        """The tensors of each shard."""
        links = links_in(folder) if len(names) > MOST_OPEN else None
        tensors: dict[str, dict[str, Described]] = {}
        for number, name in enumerate(names, start=self._first):
            place = within(folder, name, self.path, links)
            try:
                shard = open_one(place, number, name)
            except PathNotFoundError:
                raise CorruptCheckpointError(
                    f"{self.path.name} speaks of the shard {name[:80]!r}, which isn't there.",
                    path=str(place),
                    hint="Get it again, with "
                    + (f"all {counted(len(names), 'shard')}." if len(names) > 1 else "its shard."),
                ) from None
            tensors[name] = self._add_shard(shard, number, name)
            if len(names) > MOST_OPEN:
                self.files[-1].release()
        return tensors

    def _add_shard(self, shard: CheckpointReader, number: int, name: str) -> dict[str, Described]:
        """A shard's tensors, with their storages counted among all files."""
        self.shards.append(shard)
        if len(shard.files) != 1 or type(shard.content) is not dict:
            shard.close()
            raise self._fault(f"speaks of {name[:80]!r} as a shard, which holds no dict of tensors")
        self.files.append(shard.files[0])
        content = tensors = shard.content
        if not isinstance(shard, Safetensors):
            content = {key: _move(value, number, name) for key, value in content.items()}
            tensors = {key: value for key, value in content.items() if isinstance(value, Strided | Composed)}
        shard.files, shard.content = self.files, content
        self.departures += [f"{name}: {each}" for each in shard.departures]
        for key, text in shard.metadata.items():
            # Among others, which names are tied to one that is in the shard.
            self.metadata.setdefault(key, text)
        return tensors

    def _note_others(self, weight_map: dict[str, str], tensors: dict[str, dict[str, Described]]) -> None:
        if sum(map(len, tensors.values())) > len(weight_map):
            others = [key for name, held in tensors.items() for key in held if weight_map.get(key) != name]
            named = ", ".join(each[:80] for each in others[:_MOST_NAMED])
            more = and_more(len(others) - _MOST_NAMED)
            self.departures.append(
                f"Its shards hold tensors that the index hasn't, and that aren't read: {named}{more}."
            )

    def _compare_size(self, index: dict[str, Any]) -> None:
        said = _dict(index.get("metadata")).get("total_size")
        if not isinstance(said, int | float):
            return
        found = sum(storage.n_bytes for storage in distinct_storages(self.content.values()).values())
        if not math.isfinite(said) or int(said) != found:
            self.departures.append(
                f"The index says total_size {said:,}, and the shards have {counted(found, 'byte')} of tensors."
            )

    def _fault(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            f"{self.path.name} {what}.", path=str(self.path), hint="It is damaged or no index; get it again."
        )


def _move(value: Any, number: int, name: str) -> Any:
    if isinstance(value, Strided):
        return replace(value, storage=replace(value.storage, file=number, key=f"{name}:{value.storage.key}"))
    if isinstance(value, Composed):
        return replace(value, parts=tuple((role, _move(part, number, name)) for role, part in value.parts))
    return value


def _dict(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _text(value: Any) -> str:
    return value if type(value) is str else json.dumps(value)[:_MOST_TEXT]


_MOST_TEXT = 200
