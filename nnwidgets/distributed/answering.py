"""What one rank answers of a model of its own, as JSON: nothing is sent to other ranks, nothing waited for."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from nnwidgets.distributed import checkpoints, held_changes
from nnwidgets.distributed.inputs import from_json
from nnwidgets.distributed.merging import change_json, traces
from nnwidgets.distributed.merging.tree_json import kinds_of, to_json
from nnwidgets.distributed.merging.trees import digest_of, facts_of
from nnwidgets.distributed.serving.at_work import Work
from nnwidgets.distributed.shares import (
    ABSENT,
    Share,
    flat_shares,
    place_in_group,
    rows_said,
    share_of,
    stats_of,
)
from nnwidgets.distributed.tiles import tile_of
from nnwidgets.edit.history import history_of
from nnwidgets.edit.log import log_of
from nnwidgets.edit.undo_copy.digest import digest
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, RanksDisagreeError
from nnwidgets.formatting import inert
from nnwidgets.introspect.checks import data_findings, structural_findings, worst_first
from nnwidgets.introspect.checks.forward_source import forward_digest
from nnwidgets.introspect.meeting import PATIENCE
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.lookup import LiveModel
from nnwidgets.introspect.safe_access.objects import no_torch_function, type_name
from nnwidgets.introspect.safe_access.scan import gc_paused, read
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, gradient_of
from nnwidgets.introspect.tracing.inputs import device_of
from nnwidgets.introspect.tracing.together import come_together
from nnwidgets.introspect.tracing.trace import run
from nnwidgets.introspect.tracing.unsharded import live_with_shards, read_shards, unsharded_modules
from nnwidgets.wire.schema.ranks import RankReply

Said = dict[str, Any]


def answer(module: nn.Module, body: Mapping[str, Any], said: Mapping[str, Any] | None = None) -> RankReply:
    """Answer one question about a model.

    Args:
        module: This rank's.
        body: Of a request of kind `rank`: what is asked, and of which tensors.
        said: What this rank says to it, where that is made already.

    Returns:
        The reply's body, ready for ``json.dumps``.
    """
    rank, world_size = place_in_group()
    if said is None:
        if body["ask"] not in _ANSWERS and "long" not in body:
            raise InvalidTargetError(f"A rank that runs the same lines as others isn't asked for {body['ask']!r}.")
        said = (_long if "long" in body else _ANSWERS[body["ask"]])(module, body)
    return {
        "rank": rank,
        "world_size": world_size,
        "host": platform.node(),
        "pid": os.getpid(),
        "version": version(),
        "said": dict(said),
    }


def _long(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Answer what may take long, once however often it is asked; where it isn't yet, how far it is."""
    number, seconds = body["long"].get("number"), body["long"].get("seconds")
    if type(number) is not str or type(seconds) not in (float, type(None)):
        raise InvalidTargetError("The request doesn't say which question it is.")
    if body["ask"] == "call-off":
        for (each, _), begun in tuple(_LAST.items()):
            if each == number:
                begun.call_off()
        return {}
    work = _LAST.get((number, id(module)))
    if work is None:
        for other in [each for each, work in _LAST.items() if work.is_over][: -_N_KEPT + 1]:
            del _LAST[other]
        work = _LAST[number, id(module)] = Work(partial(_ANSWERS[body["ask"]], module, body))
        work.begin(seconds)
    elif "change" in body and work.is_over:
        held_changes.see(module, body)
    said = work.said(seconds)
    return {"at_work": work.how_far} if said is None else dict(said)


_LAST: dict[tuple[str, int], Work] = {}
"""The last questions that took long, with their answers, by a question's number and the model's id."""

_N_KEPT = 4
"""Of views that ask at once, none drives out the others' answers."""


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


@gc_paused()  # until the tree is gone again, which the collector would go through otherwise
def _tree(module: nn.Module, body: Mapping[str, Any]) -> Said:
    scan = read(module)
    read_shards(scan)
    return tree_said(tree_of(scan), body.get("full", ""))


@gc_paused()
def tree_said(found: ModuleTree, full: str) -> Said:
    """What a rank says of its tree.

    Args:
        found: The tree.
        full: Which ranks give the tree itself: `"first"`, `"all"`, or none of them.
    """
    is_given = full == "all" or (full == "first" and place_in_group()[0] == 0)
    kinds = kinds_of(found) if is_given else None
    local_bytes = json.dumps([node.local_bytes for node in found.nodes])
    said: Said = {"digest": digest_of(found, kinds), "local_bytes": local_bytes}
    return said | {"tree": to_json(found, kinds)} if kinds is not None else said


def _stats(module: nn.Module, body: Mapping[str, Any]) -> Said:
    live, place = live_with_shards(module), place_in_group()
    flat = flat_shares(live.scan)
    tensors = [_tensor_at(live, path) for path in body["paths"]]
    shares = [ABSENT if tensor is None else share_of(tensor, *place, flat) for tensor in tensors]
    found = stats_of(tensors, shares, bins=body.get("bins", True))
    return rows_said(shares, found)


def _tensor_at(live: LiveModel, path: str) -> Any:
    """The tensor or gradient at a path; None where there is none, as of most paths in a stage of a pipeline."""
    tensor = live.tensor(path)
    if tensor is None and path.endswith(".grad"):
        of = live.tensor(path.removesuffix(".grad"))
        return None if of is None else gradient_of(of)
    return tensor


def _check(module: nn.Module, body: Mapping[str, Any]) -> Said:
    live, place = live_with_shards(module), place_in_group()
    found = tree_of(live.scan)
    facts = facts_of(found)
    name = str(body["model"])
    checked = worst_first((*structural_findings(live.scan, name=name), *data_findings(live.scan, name=name)))
    flat = flat_shares(live.scan)
    parts = {
        entry.path: _fingerprint(entry, live.tensors[entry.path], share_of(live.tensors[entry.path], *place, flat))
        for entry in _counted(found.tensors)
    }
    return {
        "digest": digest_of(found),
        "facts": facts,
        "local_bytes": found.local_bytes,
        "findings": [finding.to_dict() for finding in checked],
        "parts": {path: part for path, part in parts.items() if part is not None},
        "unreduced": [entry.path for entry in found.tensors if any(p.startswith("Partial") for p in entry.placements)],
        "unsharded": list(unsharded_modules(live.scan)),
        "forwards": _forwards(live.scan.modules),
        "is_group": place[1] > 1,
    }


def _forwards(modules: Iterable[object]) -> dict[str, str]:
    """By the name of each class, a fingerprint of its forward's code; of classes of one name, of all of theirs."""
    found: dict[str, set[str]] = {}
    for kind in set(map(type, modules)):
        found.setdefault(type_name(kind), set()).add(forward_digest(kind))
    return {name: f"{platform.python_version()} {' '.join(sorted(digests))}" for name, digests in found.items()}


def _trace(module: nn.Module, body: Mapping[str, Any]) -> Said:
    args, kwargs = from_json(body.get("inputs"), device_of(read(module)))
    return traced(module, args, kwargs, float(body.get("patience", PATIENCE)))


def traced(module: nn.Module, args: Sequence[Any], options: Mapping[str, Any], patience: float) -> Said:
    """Run this rank's part of a forward, when all others have come to theirs.

    Args:
        module: This rank's.
        args: As `nnwidgets.trace` takes them after the module.
        options: The same, by name.
        patience: Seconds to wait for the other ranks.

    Raises:
        RankMissingError: They didn't come.
    """
    kwargs = dict(options)
    input_size = kwargs.pop("input_size", None)
    _, world_size = place_in_group()
    ranks = range(world_size) if world_size > 1 else ()
    begin = partial(come_together, ranks, patience, "forward of all")
    with alone_with(module) as scan:
        return traces.to_json(run(scan, args, kwargs, input_size, begin=begin))


def _history(module: nn.Module, body: Mapping[str, Any]) -> Said:  # noqa: ARG001 - as the others are called
    return change_json.history_to_json(history_of(log_of(module)))


def _here(module: nn.Module, body: Mapping[str, Any]) -> Said:  # noqa: ARG001 - as the others are called
    return {"world_size": place_in_group()[1]}


def _counted(tensors: Iterable[TensorEntry]) -> Iterable[TensorEntry]:
    """The tensors but for second names of the same bytes."""
    return (entry for entry in tensors if entry.problem is None and (entry.n_counted or entry.role == "buffer"))


def _fingerprint(entry: TensorEntry, tensor: Any, share: Share) -> list[Any] | None:
    """Which part of a tensor is here, a fingerprint of its bytes, and whether all of its elements are one number."""
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


def _values(module: nn.Module, body: Mapping[str, Any]) -> Said:
    return {"tile": tile_of(_tensor_at(live_with_shards(module), body["paths"][0]), body["window"], place_in_group())}


_ANSWERS: dict[str, Callable[[nn.Module, Mapping[str, Any]], Said]] = {
    "tree": _tree,
    "stats": _stats,
    "values": _values,
    "check": _check,
    "here": _here,
    "history": _history,
    "trace": _trace,
    "plan": checkpoints.plan_here,
    "diff": checkpoints.diff_here,
    "save": checkpoints.save_part,
    "prepare": held_changes.prepare,
    "renew": held_changes.renew,
    "commit": held_changes.commit,
    "release": held_changes.release,
    "revoke": held_changes.revoke,
}
