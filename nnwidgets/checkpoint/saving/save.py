"""How a save goes: everything is laid out and checked, written as drafts, read back, and only then given its name."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.reader import Progress
from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.checkpoint.saving.layout import Laid, Part, lay_out
from nnwidgets.checkpoint.saving.save_code import Saved
from nnwidgets.checkpoint.saving.shards import check_free, commit, sweep
from nnwidgets.checkpoint.saving.target import Target, target_of
from nnwidgets.checkpoint.saving.verify import digest_of_all
from nnwidgets.checkpoint.saving.verify import verify as verify_file
from nnwidgets.checkpoint.state_dict import State, optimizer_state, state_of
from nnwidgets.checkpoint.writing import sidecar_update
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, as_save_error, check_space
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter
from nnwidgets.checkpoint.writing.tensors_to_save import Versions, contents_of
from nnwidgets.edit.history import log_of
from nnwidgets.errors import InvalidTargetError, SaveError
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.tensors import plain_torch


def save_to(
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
    """Save as `nnwidgets.save` does.

    Args:
        obj: As there.
        path: As there.
        optimizer: As there.
        overwrite: As there.
        shard_size: As there.
        verify: As there.
        extra: As there.
        progress: Told how many more bytes were written, and then read back; what it raises ends the save and leaves
            everything as it was.

    Raises:
        SaveError: Nothing was saved, and why.
        InvalidTargetError: ``obj`` or ``path`` is nothing that can be saved or saved to.
    """
    start = time.perf_counter()
    _check_kind(obj)
    target = target_of(path, shard_size, overwrite=overwrite)
    if target.format != "torch-zip":
        _check_alone(target, optimizer, extra)
    with as_save_error(target.path), ExitStack() as stack:
        folder = _folder(target, stack, overwrite=overwrite)
        with _held(obj):
            state = state_of(obj) if objects.is_module(obj) else State(obj)
            contents = contents_of(_wrapped(state.content, optimizer, extra))
            laid = lay_out(target, contents, _about(obj, state, target, optimizer, extra))
            versions = Versions(contents.named)
            check_space(folder, sum(part.n_bytes for part in laid.parts), target.path)
            drafts = [stack.enter_context(folder.draft(target.mode)) for _ in laid.parts]
            digests = [_poured(draft, part, progress) for draft, part in zip(drafts, laid.parts, strict=True)]
            warnings = [*state.warnings, *laid.warnings, *versions.warnings()]
        if verify:
            for draft, part, digest in zip(drafts, laid.parts, digests, strict=True):
                verify_file(draft.path, digest, part.expected, target.path, progress, n_last=part.n_last)
        size_bytes = sum(os.fstat(draft.fd).st_size for draft in drafts)
        warnings += _placed(folder, target, drafts, laid, overwrite=overwrite, progress=progress)
    return SaveReport(
        paths=tuple(map(str, laid.paths)),
        n_tensors=len(contents.named),
        size_bytes=size_bytes,
        digest=digest_of_all(digests),
        verified=verify,
        seconds=time.perf_counter() - start,
        warnings=tuple(warnings),
        _recipes=laid.recipes,
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


def _wrapped(content: Any, optimizer: Any, extra: Mapping[str, Any] | None) -> Any:
    if optimizer is None and not extra:
        return content
    made = {"model": content}
    if optimizer is not None:
        made["optimizer"] = optimizer_state(optimizer)
    for key, value in (extra or {}).items():
        if type(key) is not str or key in made:
            raise InvalidTargetError(
                f"extra has the key {key!r}, expected text other than {', '.join(map(repr, made))}.",
                hint="Choose another name.",
            )
        made[key] = value
    return made


def _about(obj: Any, state: State, target: Target, optimizer: Any, extra: Mapping[str, Any] | None) -> Saved:
    return Saved(
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


def _held(obj: Any) -> AbstractContextManager[Any]:
    """Edits wait while a module is read."""
    return log_of(obj).lock if objects.is_module(obj) else contextlib.nullcontext()


def _poured(draft: TempFile, part: Part, progress: Progress | None) -> str:
    pour = HashingWriter(draft.fd, progress)
    with plain_torch():
        part.write(pour)
    return pour.finish()


def _placed(
    folder: TargetDirectory,
    target: Target,
    drafts: list[TempFile],
    laid: Laid,
    *,
    overwrite: bool,
    progress: Progress | None,
) -> list[str]:
    """Give the drafts their names; what to know of it."""
    if target.format != "sharded":
        paths = target.path, Path(os.path.abspath(target.given))  # noqa: PTH100 - resolve would follow the link
        # Before the lock: it takes a while, and may be cancelled.
        digest = sidecar_update.digest_of(drafts[0].path, progress) if sidecar_update.sides_of(*paths) else None
        with folder.lock():
            warnings = sidecar_update.place_file(folder, drafts[0], *paths, replace=overwrite, digest=digest)
            problem = folder.sync()
        return [*warnings, problem] if problem else warnings
    *shards, index = drafts
    files = [each.name for each in laid.paths[:-1]]
    left, warnings = commit(folder, shards, files, index, overwrite=overwrite)
    if left:
        warnings.append(f"Old shards couldn't be removed: {', '.join(left)}.")
    return warnings
