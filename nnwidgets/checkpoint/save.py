"""Saving: whole or not at all, in files that torch, safetensors and transformers read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.checkpoint.saving.save import save_to


def save(
    obj: Any,
    path: str | os.PathLike[str],
    *,
    optimizer: Any = None,
    overwrite: bool = False,
    shard_size: int | str | None = None,
    verify: bool = True,
    extra: Mapping[str, Any] | None = None,
) -> SaveReport:
    """Save a module, a tensor, or lists and dicts of tensors and plain values.

    The file is written beside its target, synced, read back, and only then given its name: whatever happens before,
    the old file stays as it was. What is written is what ``torch.load(weights_only=True)`` and ``load_state_dict``,
    safetensors or transformers read. Of a module that is its ``state_dict()``, with ties kept; where torch can't make
    one, its parameters and persistent buffers under their paths. Tensors are placed on the CPU in the file. A
    safetensors file states checksums of its own in its metadata, as that format keeps none; `load` compares them.

    Where ``NAME.sha256`` lies beside the target and has a line about it, as ``sha256sum`` writes it, that line gets the
    new file's SHA-256: it is taken away just before the new file has its name, and written anew after. Other lines, and
    side files of other forms, stay as they are. A file in a hub's cache, which names it by its SHA-256, isn't replaced.

    Args:
        obj: What to save. Tensors of other classes are saved as the plain tensors of their data.
        path: ``.safetensors`` gives that format; an existing folder, or a path that ends in ``/``, shards with an
            index, named as transformers looks for them; everything else a torch file.
        optimizer: Saved beside it, as ``{"model": …, "optimizer": …}``; a torch file only.
        overwrite: Whether what is at the path may be replaced.
        shard_size: Most bytes of tensors in one shard, a number or text such as ``"5GB"``, which is also the default
            for folders; where it is given, ``path`` names the folder.
        verify: Read the file back, and compare it with what was written, before it gets its name.
        extra: Plain values and tensors by name, saved beside it as ``{"model": …, **extra}``; a torch file only.

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
    return save_to(
        obj, path, optimizer=optimizer, overwrite=overwrite, shard_size=shard_size, verify=verify, extra=extra
    )
