"""Answers to `findings`, `ties`: what was found in the whole model, as the page takes it.

`inspect` and `init` use the bodies here for the one row or the few tensors that they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert, rank_names, shape_text
from nnwidgets.introspect.records import Finding, TieGroup
from nnwidgets.introspect.safe_access.lookup import Lookup
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import FindingBody, FindingsReply, TieBody, TiesReply

_MAX_FINDINGS = 1_000
_MAX_MEMBERS = 200
_MAX_MESSAGE = 2_000
_MATRIX = 2


@handles("findings", long=True, over_ranks=True)
def answer_findings(session: Session, _body: Mapping[str, Any], job: Job) -> FindingsReply:
    """Check the model anew, and give what was found, worst first."""
    found = session.check(lambda: job.cancelled)
    return {"findings": [finding_body(finding) for finding in found[:_MAX_FINDINGS]]}


@handles("ties", over_ranks=True)
def answer_ties(session: Session, _body: Mapping[str, Any], _job: Job) -> TiesReply:
    """Give every group."""
    index, lookup = session.index(), lookup_in(session)
    return {"ties": [tie_body(index, lookup, group, None) for group in index.tree.ties]}


def finding_body(finding: Finding) -> FindingBody:
    """Return one finding for the page."""
    where = f"On {rank_names(finding.ranks)}: " if finding.ranks else ""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "path": finding.path,
        "message": inert(where + finding.message, _MAX_MESSAGE),
        "fix": finding.fix,
    }


def lookup_in(session: Session) -> Lookup | None:
    """What finds the live objects of a session's model; None where other processes have them."""
    return Lookup(session.module) if session.over_ranks is None else None


def tie_body(index: TreeIndex, lookup: Lookup | None, group: TieGroup, seen_from: str | None) -> TieBody:
    """Return a tie group for the page, its members as seen from one of them (by default the first)."""
    base = seen_from if seen_from is not None else group.members[0]
    return {
        "id": group.id,
        "kind": group.kind,
        "shared_bytes": group.shared_bytes,
        "members": [
            {"path": path, "shape": _shape(index, lookup, path), "how": relation(lookup, path, base, group.kind)}
            for path in group.members[:_MAX_MEMBERS]
        ],
    }


def relation(lookup: Lookup | None, path: str, base: str, kind: str) -> str:
    """Return how the tensor at ``path`` lies to the one at ``base``: "same object", "transposed view"."""
    if path == base:
        return "this one"
    if lookup is None:
        return _HOW_UNSEEN.get(kind, kind)
    tensor, subject = _tensor_or_none(lookup, path), _tensor_or_none(lookup, base)
    if tensor is None or subject is None:
        return kind
    if tensor is subject:
        return "same object"
    with no_torch_function():
        return _relation_of(tensor, subject, kind)


_HOW_UNSEEN = {"object": "same object", "storage": "same bytes"}


def _shape(index: TreeIndex, lookup: Lookup | None, path: str) -> str:
    if path in index.tensor_at:
        return shape_text(index.tensors[index.tensor_at[path]].shape)
    tensor = _tensor_or_none(lookup, path) if lookup is not None else None
    with no_torch_function():
        return shape_text(tuple(tensor.shape)) if tensor is not None else "?"


def _relation_of(tensor: torch.Tensor, subject: torch.Tensor, kind: str) -> str:
    if torch.strided not in (tensor.layout, subject.layout):
        return kind
    if (tensor.data_ptr(), tensor.dtype) == (subject.data_ptr(), subject.dtype):
        if (tensor.shape, tensor.stride()) == (subject.shape, subject.stride()):
            return "same bytes"
        if tensor.dim() == _MATRIX and (tensor.shape, tensor.stride()) == (subject.shape[::-1], subject.stride()[::-1]):
            return "transposed view"
    return "overlaps" if kind == "overlap" else "view of the same bytes"


def _tensor_or_none(lookup: Lookup, path: str) -> Any:
    try:
        return lookup.get(path)
    except NNWidgetsError:
        return None
