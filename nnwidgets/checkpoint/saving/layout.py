"""What files a save consists of, laid out before the first byte is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.entries import EXTRA_STATE
from nnwidgets.checkpoint.saving import save_code
from nnwidgets.checkpoint.saving.save_code import RecipeFacts
from nnwidgets.checkpoint.saving.shards import index_of, shard_names, shards_of
from nnwidgets.checkpoint.saving.target import INDEX, Target
from nnwidgets.checkpoint.saving.verify import Expected
from nnwidgets.checkpoint.writing import safetensors_file, torch_zip_file
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter
from nnwidgets.checkpoint.writing.shared_bytes import element_key, sharing_groups
from nnwidgets.checkpoint.writing.tensors_to_save import Contents, TensorToSave
from nnwidgets.checkpoint.writing.wrapped_tensors import WrappedToSave
from nnwidgets.edit.code import Recipe
from nnwidgets.errors import SaveError
from nnwidgets.formatting import inert, some
from nnwidgets.introspect.safe_access import objects

FORMAT = {"format": "pt"}
"""What transformers wants to see in the metadata."""

_MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class FileToWrite:
    """A file to be written.

    Attributes:
        n_bytes: How long it will be, at most.
        write: Writes it.
        expected: The tensors that must be in it; None where it holds none.
        n_last: How many of its first bytes are written last.
    """

    n_bytes: int
    write: Callable[[HashingWriter], None]
    expected: Expected | None
    n_last: int = 0


@dataclass(frozen=True, slots=True)
class SaveLayout:
    """The files of a save.

    Attributes:
        files: What to write, an index last.
        paths: What they will be called.
        recipes: How to save the same and how to load it, in plain Python.
        warnings: What the format can't keep.
        ties: Names left out, each with the one that it is found under.
    """

    files: tuple[FileToWrite, ...]
    paths: tuple[Path, ...]
    recipes: tuple[Recipe, Recipe]
    warnings: list[str] = field(default_factory=list)
    ties: tuple[tuple[str, str], ...] = ()


def lay_out(target: Target, contents: Contents, facts: RecipeFacts) -> SaveLayout:
    """Lay out the files of a save.

    Raises:
        SaveError: The format can't hold what is to be saved.
    """
    warnings = list(contents.warnings)
    if target.format == "torch-zip":
        layout = torch_zip_file.layout(contents, warnings)
        expected = [(name, tensor.data.dtype, tuple(tensor.data.shape)) for name, tensor in contents.named]
        file = FileToWrite(layout.n_bytes, lambda out: torch_zip_file.write(out, layout), expected)
        return SaveLayout((file,), (target.path,), save_code.torch_recipes(facts), warnings)
    named = flat_dict(target, contents)
    kept, removed, is_shared = _untie(named, warnings)
    recipes = save_code.safetensors_recipes(replace(facts, removed=removed, is_shared=is_shared))
    ties = tuple(removed.items())
    if target.format == "safetensors":
        return SaveLayout((_safetensors(kept, removed),), (target.path,), recipes, warnings, ties)
    shards = shards_of(kept, target.shard_size or 1)
    names = shard_names(len(shards))
    files = [_safetensors(*each) for each in with_aliases(shards, removed)]
    index = index_of(shards, names)
    files.append(FileToWrite(len(index), lambda out: _write(out, index), None))
    paths = tuple(target.path / name for name in (*names, INDEX))
    return SaveLayout(tuple(files), paths, recipes, warnings, ties)


def with_aliases(
    shards: Sequence[dict[str, TensorToSave]], removed: Mapping[str, str]
) -> list[tuple[dict[str, TensorToSave], dict[str, str]]]:
    """Each of some shards with the names left out of it, and the ones they are found under."""
    aliases: dict[str, dict[str, str]] = {}
    for alias, name in removed.items():
        aliases.setdefault(name, {})[alias] = name
    return [(shard, {alias: of for name in shard for alias, of in aliases.get(name, {}).items()}) for shard in shards]


def _safetensors(named: dict[str, TensorToSave], aliases: dict[str, str]) -> FileToWrite:
    layout = safetensors_file.layout(named, FORMAT | aliases)
    expected = [(name, tensor.data.dtype, tuple(tensor.data.shape)) for name, tensor in named.items()]
    return FileToWrite(
        layout.n_bytes, lambda out: safetensors_file.write(out, layout, named), expected, len(layout.header)
    )


def _write(out: HashingWriter, data: bytes) -> None:
    out.write(data)


def flat_dict(target: Target, contents: Contents) -> dict[str, TensorToSave]:
    """What goes into a safetensors file.

    Raises:
        SaveError: It is anything but tensors by name.
    """
    tree: Any = contents.tree
    if not isinstance(tree, dict):
        found = "a tensor" if type(tree) is TensorToSave else f"a {objects.type_name(type(tree))}"
        raise _unfit_error(target, f"this is {found}")
    for key, value in tree.items():
        if type(key) is not str:
            raise _unfit_error(target, f"a key is {inert(repr(key), 40)}")
        if type(value) is not TensorToSave and key.rpartition(".")[2] == EXTRA_STATE:
            what = f"{inert(repr(key), 60)} is extra state of a module (what its get_extra_state gives)"
            raise _unfit_error(target, f"{what} and a {objects.type_name(type(value))}, no tensor")
        if type(value) is WrappedToSave:
            raise _unfit_error(target, f"{inert(repr(key), 60)} is a {objects.type_name(value.kind)}, {value.how}")
        if type(value) is not TensorToSave:
            raise _unfit_error(target, f"{inert(repr(key), 60)} is a {objects.type_name(type(value))}")
    return tree


def _unfit_error(target: Target, found: str) -> SaveError:
    return SaveError(
        f"Safetensors holds tensors by name and nothing else; {found}.",
        path=str(target.path),
        hint=f"Save to a torch file, such as {target.path.stem + '.pt'!r}, or a flat dict of tensors. Nothing was "
        "changed.",
    )


def _untie(named: dict[str, TensorToSave], warnings: list[str]) -> tuple[dict[str, TensorToSave], dict[str, str], bool]:
    """What to write, the names left out with the one each is found under, and whether any bytes are written twice."""
    names = list(named)
    if any(not tensor.is_strided for tensor in named.values()):
        return named, {}, False  # refused by its layout
    removed: dict[str, str] = {}
    is_shared = False
    for group in sharing_groups([tensor.data for tensor in named.values()]):
        alike: dict[Any, list[str]] = {}
        for index in group.members:
            alike.setdefault(element_key(named[names[index]].data), []).append(names[index])
        for members in alike.values():
            removed |= aliases_of(members)
        if len(alike) > 1:
            is_shared = True
            told = some([members[0] for members in alike.values()], _MOST_NAMES)
            warnings.append(
                f"{told} share bytes without being the same, which safetensors can't say: each is written whole."
            )
    return {name: tensor for name, tensor in named.items() if name not in removed}, removed, is_shared


def aliases_of(members: Sequence[str]) -> dict[str, str]:
    """Names of one tensor that are left out, each with the one that it is written under."""
    # The metadata's key "format" is taken.
    kept = "format" if "format" in members else members[0]
    return {name: kept for name in members if name != kept}
