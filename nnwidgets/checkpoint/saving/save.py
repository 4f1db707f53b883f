"""Saving: everything is laid out and checked, written beside its target, read back, and only then given its name."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
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
from nnwidgets.edit.log import log_of
from nnwidgets.edit.optimizer_state import OptimizerState, summary_of
from nnwidgets.errors import InvalidTargetError, SaveError
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.tensors import plain_torch


def save(
    obj: Any,
    path: str | os.PathLike[str],
    *,
    optimizer: Any = None,
    overwrite: bool = False,
    shard_size: int | str | None = None,
    verify: bool = True,
    extra: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> SaveReport:
    """Save a module, a tensor, or lists and dicts of tensors and plain values.

    The file is written beside its target, synced, read back, and only then given its name: whatever happens before,
    the old file stays as it was. What is written is what ``torch.load(weights_only=True)`` and ``load_state_dict``,
    safetensors or transformers read. Of a module that is its ``state_dict()``, with ties kept; where torch can't make
    one, its parameters and persistent buffers under their paths. Tensors are placed on the CPU in the file. A
    safetensors file states checksums of its own in its metadata, as that format keeps none; `load` compares them.

    Where ``NAME.sha256`` lies beside the target and has a line about it, as ``sha256sum`` writes it, that line is of
    what was there before. It stays as it is, `load` refuses the new file for it, and the report's warnings have the
    command that renews it. A file in a hub's cache, which names it by its SHA-256, isn't replaced.

    Args:
        obj: What to save. Tensors of other classes are saved as the plain tensors of their data, but for those that
            hold others (torchao's): a torch file has them by the name of their class.
        path: ``.safetensors`` gives that format; an existing folder, or a path that ends in ``/``, shards with an
            index, named as transformers looks for them; everything else a torch file.
        optimizer: Saved beside it, as ``{"model": …, "optimizer": …}``; a torch file only.
        overwrite: Whether what is at the path may be replaced.
        shard_size: Most bytes of tensors in one shard, a number or text such as ``"5GB"``, which is also the default
            for folders; where it is given, ``path`` names the folder.
        verify: Read the file back, and compare it with what was written, before it gets its name.
        extra: Plain values and tensors by name, saved beside it as ``{"model": …, **extra}``; a torch file only.
        progress: Told bytes done and in all, of writing and of reading back; what it raises ends the save, and leaves
            everything as it was.

    Returns:
        What was written. Its digest is the XXH3-128 of the file's bytes as they were written, which is in order, but
        for the header of a safetensors file: it comes last. Of several files it is that of their digests' bytes in
        order, the index last.

    Raises:
        SaveError: Nothing was saved, and why.
        InvalidTargetError: ``obj`` or ``path`` is nothing that can be saved or saved to.

    Example:
        >>> import tempfile, torch
        >>> from torch import nn
        >>> file = tempfile.mkdtemp() + "/mlp.params"
        >>> report = save(nn.Linear(2, 3), file)
        >>> report.n_tensors, report.verified, list(torch.load(file, weights_only=True))
        (2, True, ['weight', 'bias'])
    """
    start = time.perf_counter()
    _check_kind(obj)
    target = target_of(path, shard_size, overwrite=overwrite)
    if target.format != "torch-zip":
        _check_alone(target, optimizer, extra)
    with as_save_error(target.path), ExitStack() as stack:
        folder = _folder(target, stack, overwrite=overwrite)
        with _edits_locked(obj):
            state = state_of(obj) if objects.is_module(obj) else State(obj)
            held = None if optimizer is None else optimizer_state(optimizer)
            contents = contents_of(_wrap(state.content, held, extra))
            layout = lay_out(target, contents, _recipe_facts(obj, state, target, optimizer, extra))
            versions = Versions(contents.named)
            n_bytes = sum(file.n_bytes for file in layout.files)
            check_space(folder, n_bytes, target.path)
            tick = tick_of(progress, n_bytes * (2 if verify else 1))
            temps = [stack.enter_context(folder.create_temp(target.mode)) for _ in layout.files]
            digests = [_write(temp, file, tick) for temp, file in zip(temps, layout.files, strict=True)]
            warnings = [*state.warnings, *layout.warnings, *versions.warnings()]
        if verify:
            for temp, file, digest in zip(temps, layout.files, digests, strict=True):
                verify_file(temp.path, digest, file.expected, target.path, tick, n_last=file.n_last)
        size_bytes = sum(os.fstat(temp.fd).st_size for temp in temps)
        warnings += _place(folder, target, temps, layout.paths, overwrite=overwrite)
    return SaveReport(
        paths=tuple(map(str, layout.paths)),
        n_tensors=contents.n_tensors,
        size_bytes=size_bytes,
        digest=digest_of_all(digests),
        verified=verify,
        seconds=time.perf_counter() - start,
        warnings=tuple(warnings),
        optimizer=None if optimizer is None else _summary(optimizer, held),
        _recipes=layout.recipes,
    )


def _check_kind(obj: Any) -> None:
    if objects.is_module(obj) or objects.is_tensor(obj) or any(objects.is_a(obj, kind) for kind in (dict, list, tuple)):
        return
    hint = "Save its state_dict()." if callable(getattr(obj, "state_dict", None)) else "Put plain values in a dict."
    raise InvalidTargetError(
        f"This is a {objects.type_name(type(obj))}, expected a module, a tensor, or a list or dict of them.", hint=hint
    )


def _check_alone(target: Target, optimizer: Any, extra: Mapping[str, Any] | None) -> None:
    if optimizer is None and not extra:
        return
    what = "an optimizer" if optimizer is not None else "extra values"
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


def _recipe_facts(
    obj: Any, state: State, target: Target, optimizer: Any, extra: Mapping[str, Any] | None
) -> RecipeFacts:
    return RecipeFacts(
        path=target.given,
        module=obj if objects.is_module(obj) else None,
        paths=list(state.content) if state.by_path else None,
        has_optimizer=optimizer is not None,
        extra=tuple(extra or ()),
        shard_size=target.shard_size,
    )


def _folder(target: Target, stack: ExitStack, *, overwrite: bool) -> TargetDirectory:
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


def _edits_locked(obj: Any) -> AbstractContextManager[Any]:
    """Edits wait while a module is read."""
    return log_of(obj).lock if objects.is_module(obj) else contextlib.nullcontext()


def _write(temp: TempFile, file: FileToWrite, tick: Tick) -> str:
    writer = HashingWriter(temp.fd, tick)
    with plain_torch():
        file.write(writer)
    return writer.finish()


def _place(
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
