"""What one rank answers of a model of its own, as JSON: nothing is sent to other ranks, nothing waited for."""

from __future__ import annotations

import base64
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from nnwidgets.distributed.merging.stats import rows_of
from nnwidgets.distributed.merging.trees import digest_of, facts_of, to_json
from nnwidgets.distributed.shares import Share, share_of, stats_of
from nnwidgets.edit.undo_copy.digest import digest
from nnwidgets.errors import NNWidgetsError, PathNotFoundError
from nnwidgets.introspect.checks import check
from nnwidgets.introspect.module_tree.tree import tree, tree_of
from nnwidgets.introspect.records import TensorEntry, TensorStats
from nnwidgets.introspect.safe_access.lookup import Lookup
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor
from nnwidgets.introspect.tracing.unsharded import unsharded_modules
from nnwidgets.wire.schema.ranks import RankReply

Said = dict[str, Any]


def place_in_group() -> tuple[int, int]:
    """This process's rank and how many there are; 0 of 1 outside of a process group."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def answer(module: nn.Module, body: Mapping[str, Any]) -> RankReply:
    """Answer one question about a model.

    Args:
        module: This rank's.
        body: Of a request of kind `rank`: what is asked, and of which tensors.

    Returns:
        The reply's body, ready for ``json.dumps``.
    """
    rank, world_size = place_in_group()
    said = _ANSWERS[body["ask"]](module, body)
    return {"rank": rank, "world_size": world_size, "host": platform.node(), "pid": os.getpid(), "said": said}


def _tree(module: nn.Module, body: Mapping[str, Any]) -> Said:
    found = tree(module)
    facts = facts_of(found)
    said: Said = {"digest": digest_of(facts, found.ties), "local_bytes": found.local_bytes}
    if body.get("full"):
        said |= {"tree": to_json(found), "facts": facts}
    return said


def _stats(module: nn.Module, body: Mapping[str, Any]) -> Said:
    lookup, place = Lookup(module), place_in_group()
    shares: list[list[Any]] = []
    found: list[TensorStats | None] = []
    for path in body["paths"]:
        try:
            tensor = lookup.get(path)
        except PathNotFoundError:  # as of another stage of a pipeline
            shares.append(["absent", [], 1, 0])
            found.append(None)
            continue
        share = share_of(tensor, *place)
        part = stats_of(tensor, share)
        state = "unreadable" if part is None and share.state == "held" else share.state
        shares.append([state, list(share.part), share.n_parts, share.n_elements])
        found.append(part)
    return {"shares": shares, "rows": base64.b64encode(rows_of(found).to_bytes()).decode("ascii")}


def _check(module: nn.Module, body: Mapping[str, Any]) -> Said:  # noqa: ARG001 - as the others are called
    scan, lookup, place = read(module), Lookup(module), place_in_group()
    found = tree_of(scan)
    parts = {entry.path: _fingerprint(entry, lookup.get(entry.path), place) for entry in _counted(found.tensors)}
    return {
        "digest": digest_of(facts_of(found), found.ties),
        "facts": facts_of(found),
        "local_bytes": found.local_bytes,
        "findings": [finding.to_dict() for finding in check(module)],
        "parts": {path: part for path, part in parts.items() if part is not None},
        "unreduced": [entry.path for entry in found.tensors if any(p.startswith("Partial") for p in entry.placements)],
        "unsharded": list(unsharded_modules(scan)),
        "is_group": place[1] > 1,
    }


def _counted(tensors: Iterable[TensorEntry]) -> Iterable[TensorEntry]:
    """The tensors but for second names of the same bytes."""
    return (entry for entry in tensors if entry.problem is None and (entry.n_counted or entry.role == "buffer"))


def _fingerprint(entry: TensorEntry, tensor: Any, place: tuple[int, int]) -> list[Any] | None:
    """Which part of a tensor is here, a fingerprint of its bytes, and whether all of its elements are one number."""
    share: Share = share_of(tensor, *place)
    if share.state != "held" or entry.device == "meta":
        return None
    try:
        plain = as_plain_tensor(tensor)
        with no_torch_function():
            if plain.layout is not torch.strided or plain.is_quantized:
                return None
            data = plain.cpu().contiguous()
            varied = plain.numel() > 1 and bool((plain != plain.flatten()[0]).any())
    except (NNWidgetsError, RuntimeError):
        return None
    return [list(share.part), digest(data.data_ptr(), data.nbytes).hex(), varied]


_ANSWERS: dict[str, Callable[[nn.Module, Mapping[str, Any]], Said]] = {
    "tree": _tree,
    "stats": _stats,
    "check": _check,
}
