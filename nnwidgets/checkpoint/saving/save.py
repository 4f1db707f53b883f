"""Saving: everything is laid out and checked, written beside its target, read back, and only then given its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nnwidgets.checkpoint.progress import Progress
from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.checkpoint.saving.here import Request, check_kind, save_here
from nnwidgets.checkpoint.saving.over_ranks.save_together import ranks_of, save_together
from nnwidgets.introspect.handles import over_handles


@over_handles
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

    A model that ranks of a process group hold together (FSDP2, HSDP, tensor parallel, DDP) is saved by all of them,
    which run the same line with the same path, on a file system that they share. Each writes its part, nothing is
    gathered, and the first one gives the files their names when all have read back theirs: all of it is saved or
    nothing, whichever rank fails. A folder is then one of ``torch.distributed.checkpoint``, which plain torch loads on
    any number of ranks; with ``shard_size`` it has safetensors shards. Where each rank has all of it (DDP), the first
    one writes.

    Args:
        obj: What to save. Tensors of other classes are saved as the plain tensors of their data, but for those that
            hold others (torchao's): a torch file has them by the name of their class.
        path: ``.safetensors`` gives that format; an existing folder, or a path that ends in ``/``, shards with an
            index, named as transformers looks for them; everything else a torch file.
        optimizer: Saved beside it, as ``{"model": …, "optimizer": …}``; a torch file only, or over ranks a folder.
        overwrite: Whether what is at the path may be replaced.
        shard_size: Most bytes of tensors in one shard, a number or text such as ``"5GB"``, which is also the default
            for folders; where it is given, ``path`` names the folder.
        verify: Read the file back, and compare it with what was written, before it gets its name.
        extra: Plain values and tensors by name, saved beside it as ``{"model": …, **extra}``; as ``optimizer``.
        progress: Told bytes done and in all, of writing and of reading back; what it raises ends the save, and leaves
            everything as it was.

    Returns:
        What was written. Its digest is the XXH3-128 of the file's bytes as they were written, which is in order, but
        for the header of a safetensors file: it comes last. Of several files it is that of their digests' bytes in
        order, the index last; of parts that ranks wrote that of the parts' digests.

    Raises:
        SaveError: Nothing was saved, and why.
        RankMissingError: A rank didn't come, fell silent or can't; nothing was saved.
        RanksDisagreeError: Ranks would save different things, or to different paths.
        InvalidTargetError: ``obj`` or ``path`` is nothing that can be saved or saved to.

    Example:
        >>> import tempfile, torch
        >>> from torch import nn
        >>> file = tempfile.mkdtemp() + "/mlp.params"
        >>> report = save(nn.Linear(2, 3), file)
        >>> report.n_tensors, report.verified, list(torch.load(file, weights_only=True))
        (2, True, ['weight', 'bias'])
    """
    asked = Request(
        obj, path, optimizer=optimizer, overwrite=overwrite, shard_size=shard_size, verify=verify, extra=extra,
        progress=progress,
    )  # fmt: skip
    check_kind(obj)
    ranks = ranks_of(obj)
    return save_together(asked, ranks) if ranks else save_here(asked)
