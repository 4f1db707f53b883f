"""What one rank answers of a model of its own, as JSON: nothing is sent to other ranks, nothing waited for."""

from __future__ import annotations

import base64
import importlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from nnwidgets.distributed.merging.stats import rows_of
from nnwidgets.distributed.merging.trees import digest_of, facts_of, to_json
from nnwidgets.distributed.shares import ABSENT, Share, share_of, stats_of
from nnwidgets.edit.undo_copy.digest import digest
from nnwidgets.errors import NNWidgetsError, RanksDisagreeError
from nnwidgets.formatting import inert
from nnwidgets.introspect.checks import data_findings, structural_findings, worst_first
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.records import TensorEntry, TensorStats
from nnwidgets.introspect.safe_access.lookup import LiveModel
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, gradient_of
from nnwidgets.introspect.tracing.unsharded import read_shards, unsharded_modules
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
    return {
        "rank": rank,
        "world_size": world_size,
        "host": platform.node(),
        "pid": os.getpid(),
        "version": version(),
        "said": said,
    }


def version() -> str:
    """That of nnwidgets here."""
    return str(importlib.import_module("nnwidgets").__version__)


def check_versions(replies: Mapping[int, Mapping[str, Any]]) -> None:
    """Refuse replies of ranks whose nnwidgets is another: what they say may mean something else.

    Raises:
        RanksDisagreeError: It names them.
    """
    here = version()
    others = {rank: reply["version"] for rank, reply in replies.items() if reply.get("version", here) != here}
    if others:
        said = "; ".join(f"rank {rank} has {inert(str(other), 40)}" for rank, other in others.items())
        raise RanksDisagreeError(
            f"This process has nnwidgets {here}, but {said}.", hint="Install the same everywhere, and start again."
        )


def _live(module: nn.Module) -> LiveModel:
    live = LiveModel(module)
    read_shards(live.scan)
    return live


def _tree(module: nn.Module, body: Mapping[str, Any]) -> Said:
    found = tree_of(_live(module).scan)
    facts = facts_of(found)
    # No matter of agreement, but a tree that was sent before lacks it.
    own = {"": facts[""] + "".join(f" {entry.device} {entry.has_grad}" for entry in found.tensors)}
    said: Said = {"digest": digest_of({**facts, **own}, found.ties), "local_bytes": found.local_bytes}
    if body.get("full"):
        said |= {"tree": to_json(found), "facts": facts}
    return said


def _stats(module: nn.Module, body: Mapping[str, Any]) -> Said:
    live, place = _live(module), place_in_group()
    shares: list[Share] = []
    found: list[TensorStats | None] = []
    for path in body["paths"]:
        tensor = _tensor_at(live, path)
        if tensor is None:
            shares.append(ABSENT)
            found.append(None)
            continue
        share = share_of(tensor, *place)
        part = stats_of(tensor, share)
        shares.append(share._replace(state="unreadable") if part is None and share.state == "held" else share)
        found.append(part)
    said = [[each.state, list(each.part), each.n_parts, each.n_elements] for each in shares]
    return {"shares": said, "rows": base64.b64encode(rows_of(found).to_bytes()).decode("ascii")}


def _tensor_at(live: LiveModel, path: str) -> Any:
    """The tensor or gradient at a path; None where there is none, as of most paths in a stage of a pipeline."""
    tensor = live.tensor(path)
    if tensor is None and path.endswith(".grad"):
        of = live.tensor(path.removesuffix(".grad"))
        return None if of is None else gradient_of(of)
    return tensor


def _check(module: nn.Module, body: Mapping[str, Any]) -> Said:
    live, place = _live(module), place_in_group()
    found = tree_of(live.scan)
    facts = facts_of(found)
    name = str(body["model"])
    checked = worst_first((*structural_findings(live.scan, name=name), *data_findings(live.scan, name=name)))
    parts = {entry.path: _fingerprint(entry, live.tensors[entry.path], place) for entry in _counted(found.tensors)}
    return {
        "digest": digest_of(facts, found.ties),
        "facts": facts,
        "local_bytes": found.local_bytes,
        "findings": [finding.to_dict() for finding in checked],
        "parts": {path: part for path, part in parts.items() if part is not None},
        "unreduced": [entry.path for entry in found.tensors if any(p.startswith("Partial") for p in entry.placements)],
        "unsharded": list(unsharded_modules(live.scan)),
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
