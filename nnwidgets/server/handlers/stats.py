"""Statistics and values of one tensor, or of its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect.heatmap.window import window
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.lookup import get
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import exact_stats, version
from nnwidgets.server.handlers.locate import place_of, siblings_of
from nnwidgets.server.notebook.ipykernel import is_cell_running
from nnwidgets.server.rows.row_body import own_name
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import Blob
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import DepthReply, StatsReply, ValuesReply

_DEFAULT_BINS = 64
_MAX_BINS = 1_024
_DEFAULT_SIDE = 128
_MAX_SIDE = 1_024
_MAX_NAMED = 5
_MAX_MEMBERS = 256


def stats(session: Session, body: Mapping[str, Any], job: Job) -> StatsReply:
    """Answer `stats`: sampled at once, or exact with progress.

    Raises:
        RequestError: `unreadable`.
    """
    bins = min(max(body.get("bins", _DEFAULT_BINS), 1), _MAX_BINS)
    tensor = _tensor(session, body["path"], body.get("of", "value"))
    with no_torch_function():
        n_total = tensor.numel()
    before = version(tensor)
    if body.get("exact", True):
        found = exact_stats(
            tensor, bins=bins, progress=job.progress, cancelled=lambda: job.cancelled, is_busy=is_cell_running
        )
    else:
        found = sampled_stats(tensor, bins=bins)
    return _stats_body(found, n_total, before)


def values(session: Session, body: Mapping[str, Any], job: Job) -> ValuesReply:
    """Answer `values`: a window of the tensor as a matrix.

    Raises:
        RequestError: `unreadable`.
    """
    tensor = _tensor(session, body["path"], body.get("of", "value"))
    found = window(
        tensor,
        row=body.get("row", 0),
        column=body.get("column", 0),
        rows=body.get("rows"),
        columns=body.get("columns"),
        max_rows=min(max(body.get("max_rows", _DEFAULT_SIDE), 1), _MAX_SIDE),
        max_columns=min(max(body.get("max_columns", _DEFAULT_SIDE), 1), _MAX_SIDE),
        cancelled=lambda: job.cancelled,
    )
    return {
        "n_rows": found.n_rows,
        "n_columns": found.n_columns,
        "row": found.row,
        "column": found.column,
        "row_step": found.row_step,
        "column_step": found.column_step,
        "values": Blob("float32", found.shape, found.values),  # type: ignore[typeddict-item] # the codec makes it one
        "texts": found.texts,
        "scale": found.scale,
        "row_axes": list(found.row_axes),
        "column_axes": list(found.column_axes),
        "shape": list(found.tensor_shape),
    }


def depth(session: Session, body: Mapping[str, Any], job: Job) -> DepthReply:
    """Answer `depth`: the spread of the same tensor in each member of its fold.

    Raises:
        InvalidTargetError: The path is not a tensor inside a fold.
    """
    index = session.index()
    path = body["path"]
    number = place_of(index, path)
    found = siblings_of(index, number)
    if path not in index.tensor_at or found is None:
        raise InvalidTargetError(
            f"{inert(path)!r} is not a tensor of repeated blocks.", path=path, hint="Pick a tensor inside a fold."
        )
    member, members = found
    place = members.index(member)
    first = max(0, min(place - _MAX_MEMBERS // 2, len(members) - _MAX_MEMBERS))
    shown = members[first : first + _MAX_MEMBERS]
    below = path[len(index.nodes[member].path) :]
    spread = []
    for done, each in enumerate(shown):
        if job.cancelled:
            raise RequestError("cancelled", "The request was cancelled.")
        spread.append(_spread(session, index.nodes[each].path + below))
        job.progress(done + 1, len(shown))
    return {
        "name": inert(below.removeprefix(".")),
        "labels": [own_name(index, each) for each in shown],
        "paths": [index.nodes[each].path + below for each in shown],
        "std": [std for std, _ in spread],
        "is_exact": all(is_exact for _, is_exact in spread),
        "index": place - first,
    }


def _spread(session: Session, path: str) -> tuple[float, bool]:
    tensor = get(session.module, path)
    if unreadable_reason(tensor) is not None:
        return math.nan, True
    found = sampled_stats(tensor, bins=1)
    return found.std, found.is_exact


def _tensor(session: Session, path: str, of: str) -> Any:
    """Return the live tensor at ``path``, or its gradient, once it is known to be readable."""
    index = session.index()
    if index.entry_at(path) is None:
        raise _not_a_tensor(index, path)
    tensor = get(session.module, path)
    if of == "grad":
        with no_torch_function():
            tensor = grad_of(tensor)
        if tensor is None:
            raise RequestError(
                "unreadable", f"{inert(path)} has no gradient: .grad is None.", path=path, hint="Run backward first."
            )
    reason = unreadable_reason(tensor)
    if reason is not None:
        raise RequestError("unreadable", f"{inert(path)} can't be read: {reason}.", path=path)
    return tensor


def _not_a_tensor(index: TreeIndex, path: str) -> Exception:
    number = place_of(index, path)
    names = [entry.path for entry in index.nodes[number].tensors[:_MAX_NAMED]]
    return InvalidTargetError(
        f"{inert(path)!r} is a module, expected a tensor.",
        path=path,
        hint=f"Its tensors are {', '.join(map(repr, names))}." if names else "It has no tensors of its own.",
    )


def _stats_body(found: TensorStats, n_total: int, version_now: int | None) -> StatsReply:
    return {
        "n": found.n,
        "n_total": n_total,
        "mean": found.mean,
        "std": found.std,
        "min": found.min,
        "max": found.max,
        "norm": found.norm,
        "n_zero": found.n_zero,
        "n_nan": found.n_nan,
        "n_inf": found.n_inf,
        "hist_counts": list(found.hist_counts),
        "hist_edges": list(found.hist_edges),
        "is_exact": found.is_exact,
        "version": version_now,
    }


def grad_of(tensor: Any) -> Any:
    """Return ``tensor.grad``, or None for an inner node of a graph, which has none and warns when asked.

    Example:
        >>> import torch
        >>> grad_of(torch.ones(2, requires_grad=True) * 2) is None
        True
    """
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None
