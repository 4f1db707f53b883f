"""Saving: everything is laid out and checked, written beside its target, read back, and only then given its name."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.sha256_sidecar import stale_sums
from nnwidgets.checkpoint.progress import Progress, Tick, tick_of
from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.checkpoint.saving.layout import FileToWrite, lay_out
from nnwidgets.checkpoint.saving.save_code import RecipeFacts
from nnwidgets.checkpoint.saving.shards import check_free, commit, sweep
from nnwidgets.checkpoint.saving.target import Target, target_of
from nnwidgets.checkpoint.saving.verify import digest_of_all
from nnwidgets.checkpoint.saving.verify import verify as verify_file
from nnwidgets.checkpoint.state_dict import State, optimizer_state, state_of
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, as_save_error, check_space
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter
from nnwidgets.checkpoint.writing.tensors_to_save import Versions, contents_of
from nnwidgets.edit.optimizer_state import OptimizerState, summary_of
from nnwidgets.errors import InvalidTargetError, SaveError
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.tensors import plain_torch


@dataclass(frozen=True, slots=True)
class Request:
    """What `save` was called with."""

    obj: Any
    path: str | os.PathLike[str]
    _: KW_ONLY
    optimizer: Any = None
    overwrite: bool = False
    shard_size: int | str | None = None
    verify: bool = True
    extra: Mapping[str, Any] | None = None
    progress: Progress | None = None


def save_here(asked: Request, state: State | None = None) -> SaveReport:
    """Save what this process has all of.

    Args:
        asked: What is to be saved.
        state: What of the module is saved, where that is known.

    Raises:
        SaveError: Nothing was saved, and why.
        InvalidTargetError: It is nothing that can be saved or saved to.
    """
    start = time.perf_counter()
    check_kind(asked.obj)
    target = target_of(asked.path, asked.shard_size, overwrite=asked.overwrite)
    if target.format != "torch-zip":
        check_alone(target, asked)
    with as_save_error(target.path), ExitStack() as stack:
        folder = folder_of(target, stack, overwrite=asked.overwrite)
        with edits_locked(asked.obj):
            given = gathered(asked, state)
            contents = contents_of(given.content)
            layout = lay_out(target, contents, recipe_facts(asked, given.state, target))
            versions = Versions(contents.named)
            n_bytes = sum(file.n_bytes for file in layout.files)
            check_space(folder, n_bytes, target.path)
            tick = tick_of(asked.progress, n_bytes * (2 if asked.verify else 1))
            temps = [stack.enter_context(folder.create_temp(target.mode)) for _ in layout.files]
            digests = [_write(temp, file, tick) for temp, file in zip(temps, layout.files, strict=True)]
            warnings = [*given.state.warnings, *layout.warnings, *versions.warnings()]
        if asked.verify:
            for temp, file, digest in zip(temps, layout.files, digests, strict=True):
                verify_file(temp.path, digest, file.expected, target.path, tick, n_last=file.n_last)
        size_bytes = sum(os.fstat(temp.fd).st_size for temp in temps)
        warnings += place(folder, target, temps, layout.paths, overwrite=asked.overwrite)
    return SaveReport(
        paths=tuple(map(str, layout.paths)),
        n_tensors=contents.n_tensors,
        size_bytes=size_bytes,
        digest=digest_of_all(digests),
        verified=asked.verify,
        seconds=time.perf_counter() - start,
        warnings=tuple(warnings),
        optimizer=given.optimizer,
        ties=layout.ties,
        _recipes=layout.recipes,
    )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a save is of.

    Attributes:
        content: All of it.
        state: What of the module is in it.
        optimizer: What to tell of the optimizer; None without one.
    """

    content: Any
    state: State
    optimizer: OptimizerState | None


def gathered(asked: Request, state: State | None = None) -> Gathered:
    """What is to be saved: the state of a module where it is one, and what goes beside it.

    Raises:
        SaveError: The optimizer has no state.
        InvalidTargetError: A name of ``extra`` is none.
    """
    if state is None:
        state = state_of(asked.obj) if objects.is_module(asked.obj) else State(asked.obj)
    held = None if asked.optimizer is None else optimizer_state(asked.optimizer)
    summary = None if asked.optimizer is None else _summary(asked.optimizer, held)
    return Gathered(_wrap(state.content, held, asked.extra), state, summary)


def check_kind(obj: Any) -> None:
    """Make sure that something can be saved at all.

    Raises:
        InvalidTargetError: It can't.
    """
    if objects.is_module(obj) or objects.is_tensor(obj) or any(objects.is_a(obj, kind) for kind in (dict, list, tuple)):
        return
    hint = "Save its state_dict()." if callable(getattr(obj, "state_dict", None)) else "Put plain values in a dict."
    raise InvalidTargetError(
        f"This is a {objects.type_name(type(obj))}, expected a module, a tensor, or a list or dict of them.", hint=hint
    )


def check_alone(target: Target, asked: Request) -> None:
    """Make sure that nothing is to be saved beside what goes into safetensors files.

    Raises:
        SaveError: Something is.
    """
    if asked.optimizer is None and not asked.extra:
        return
    what = "an optimizer" if asked.optimizer is not None else "extra values"
    raise SaveError(
        f"Safetensors holds tensors by name and nothing else, so {what} can't be beside them.",
        path=str(target.path),
        hint=f"Save to a torch file, such as {target.path.stem + '.pt'!r}, or {what} to a file of their own. Nothing "
        "was changed.",
    )


def _summary(optimizer: Any, held: Any) -> OptimizerState:
    name = "the optimizer" if optimizer is held else objects.type_name(type(optimizer))
    states, groups = (held.get(key) if objects.is_a(held, dict) else None for key in ("state", "param_groups"))
    return summary_of(
        name,
        states.values() if isinstance(states, dict) else (),
        [each for each in groups if objects.is_a(each, dict)] if isinstance(groups, list) else (),
    )


def _wrap(content: Any, optimizer: Any, extra: Mapping[str, Any] | None) -> Any:
    if optimizer is None and not extra:
        return content
    made = {"model": content}
    if optimizer is not None:
        made["optimizer"] = optimizer
    for key, value in (extra or {}).items():
        if type(key) is not str or key in made:
            raise InvalidTargetError(
                f"extra has the key {key!r}, expected text other than {', '.join(map(repr, made))}.",
                hint="Choose another name.",
            )
        made[key] = value
    return made


def recipe_facts(asked: Request, state: State, target: Target) -> RecipeFacts:
    """What the report's code has to know."""
    return RecipeFacts(
        path=target.given,
        module=asked.obj if objects.is_module(asked.obj) else None,
        paths=list(state.content) if state.by_path else None,
        has_optimizer=asked.optimizer is not None,
        extra=tuple(asked.extra or ()),
        shard_size=target.shard_size,
    )


def folder_of(target: Target, stack: ExitStack, *, overwrite: bool) -> TargetDirectory:
    """The folder to write in, made where shards have none yet, and swept."""
    if target.format != "sharded":
        folder = stack.enter_context(TargetDirectory(target.path.parent))
        sweep(folder)
        return folder
    with contextlib.suppress(FileExistsError):
        target.path.mkdir()
        # Of a save that fails the new folder goes too; with files in it, it can't.
        stack.callback(_remove_if_empty, target.path)
        with TargetDirectory(target.path.parent) as above:
            above.sync()
    folder = stack.enter_context(TargetDirectory(target.path))
    if not overwrite:
        check_free(folder)
    sweep(folder)
    return folder


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()


def edits_locked(obj: Any) -> AbstractContextManager[Any]:
    """Edits wait while a module is read."""
    return alone_with(obj) if objects.is_module(obj) else contextlib.nullcontext()


def _write(temp: TempFile, file: FileToWrite, tick: Tick) -> str:
    writer = HashingWriter(temp.fd, tick)
    with plain_torch():
        file.write(writer)
    return writer.finish()


def place(
    folder: TargetDirectory, target: Target, temps: list[TempFile], paths: tuple[Path, ...], *, overwrite: bool
) -> list[str]:
    """Give the files their names; what to know of it."""
    if target.format != "sharded":
        with folder.lock():
            temps[0].place(target.path, replace=overwrite)
            problem = folder.sync()
        given = Path(os.path.abspath(target.given))  # noqa: PTH100 - resolve would follow the link
        return [*stale_sums(target.path, given), *([problem] if problem else [])]
    *shards, index = temps
    left, warnings = commit(folder, shards, [path.name for path in paths[:-1]], index, overwrite=overwrite)
    if left:
        warnings.append(f"Old shards couldn't be removed: {', '.join(left)}.")
    return [*warnings, *stale_sums(paths[-1])]
