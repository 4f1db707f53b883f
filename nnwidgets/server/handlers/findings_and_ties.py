"""Records as the page takes them: findings, and tie groups with how each member lies to the one in view."""

from __future__ import annotations

from typing import Any

import torch

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.records import Finding, TieGroup
from nnwidgets.introspect.safe_access.lookup import get
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.schema.inspect import FindingBody, TieBody

_MAX_MEMBERS = 200
_MAX_MESSAGE = 2_000
_MATRIX = 2


def finding_body(finding: Finding) -> FindingBody:
    """Return one finding for the page."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "path": finding.path,
        "message": inert(finding.message, _MAX_MESSAGE),
        "fix": finding.fix,
    }


def tie_body(session: Session, index: TreeIndex, group: TieGroup, seen_from: str | None) -> TieBody:
    """Return a tie group for the page, its members as seen from one of them (by default the first)."""
    base = seen_from if seen_from is not None else group.members[0]
    subject = _live(session, base)
    return {
        "id": group.id,
        "kind": group.kind,
        "shared_bytes": group.shared_bytes,
        "members": [
            {"path": path, "shape": _shape(session, index, path), "how": _how(session, path, base, subject, group.kind)}
            for path in group.members[:_MAX_MEMBERS]
        ],
    }


def relation(session: Session, path: str, base: str, kind: str) -> str:
    """Return how the tensor at ``path`` lies to the one at ``base``: "same object", "transposed view"."""
    return _how(session, path, base, _live(session, base), kind)


def _shape(session: Session, index: TreeIndex, path: str) -> str:
    if path in index.tensor_at:
        return shape_text(index.tensors[index.tensor_at[path]].shape)
    tensor = _live(session, path)
    with no_torch_function():
        return shape_text(tuple(tensor.shape)) if tensor is not None else "?"


def _how(session: Session, path: str, base: str, subject: Any, kind: str) -> str:
    if path == base:
        return "this one"
    tensor = _live(session, path)
    if tensor is None or subject is None:
        return kind
    if tensor is subject:
        return "same object"
    with no_torch_function():
        return _lies(tensor, subject, kind)


def _lies(tensor: torch.Tensor, subject: torch.Tensor, kind: str) -> str:
    if torch.strided not in (tensor.layout, subject.layout):
        return kind
    if (tensor.data_ptr(), tensor.dtype) == (subject.data_ptr(), subject.dtype):
        if (tensor.shape, tensor.stride()) == (subject.shape, subject.stride()):
            return "same bytes"
        if tensor.dim() == _MATRIX and (tensor.shape, tensor.stride()) == (subject.shape[::-1], subject.stride()[::-1]):
            return "transposed view"
    return "overlaps" if kind == "overlap" else "view of the same bytes"


def _live(session: Session, path: str) -> Any:
    try:
        return get(session.module, path)
    except NNWidgetsError:
        return None
