"""Answers to `inspect`: what the inspector shows of one module or tensor, with what else can be had at once."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert, plain_doc, shape_text
from nnwidgets.introspect.module_tree.expressions import expression_for
from nnwidgets.introspect.module_tree.nodes import ModuleNode
from nnwidgets.introspect.records import TensorEntry, TieGroup
from nnwidgets.introspect.safe_access.objects import (
    class_attribute,
    instance_dict,
    is_a,
    no_torch_function,
    plain_items,
    type_name,
)
from nnwidgets.introspect.safe_access.tensors import gradient_of
from nnwidgets.introspect.statistics.exact_stats import version
from nnwidgets.server.handlers.findings_and_ties import finding_body, lookup_in, tie_body
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.stats import stats_of
from nnwidgets.server.handlers.values import values_of
from nnwidgets.server.rows.row_body import own_name
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.live_tensor import LiveTensor
from nnwidgets.server.session.optimizer_places import optimizer_places
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import (
    CodeLine,
    InspectReply,
    ModuleFacts,
    ModuleTensor,
    Siblings,
    TensorFacts,
    ValuesReply,
)

_MAX_TIES_INSIDE = 12
_MAX_FINDINGS = 50
_MAX_TENSORS = 200
_MAX_TEXT = 400
_MAX_WINDOWS = 4
_QUICK_ELEMENTS = 4 * 2**20
_TOLD_WHERE_ASKED = (NNWidgetsError, RequestError, RuntimeError)
_HOOKS = {
    "_forward_pre_hooks": "before forward",
    "_forward_hooks": "after forward",
    "_backward_pre_hooks": "before backward",
    "_backward_hooks": "after backward",
    "_state_dict_hooks": "after state_dict",
    "_load_state_dict_pre_hooks": "before load_state_dict",
}
_PLAIN = (bool, int, float, str, type(None))


@handles("inspect", over_ranks=True)
def answer_inspect(session: Session, body: Mapping[str, Any], job: Job) -> InspectReply:
    """Give the facts of a row, and of a tensor also statistics and windows of values, where they are at hand.

    Raises:
        PathNotFoundError: Nothing is at the path.
    """
    index, path = session.index(), body["path"]
    place, lookup = index.place(path), lookup_in(session)
    entry = place.entry
    number = place.row if entry is not None else index.number[place.path]
    node = index.nodes[number]
    subject = entry if entry is not None else node
    group = index.groups[entry.tie] if entry is not None and entry.tie is not None else None
    inside = [] if entry is not None else _ties_inside(index, number)
    found = index.findings_at.get(entry.path, []) if entry is not None else index.findings_below(number)
    live = LiveTensor(path, entry, lookup.get(path)) if entry is not None and lookup is not None else None
    reply: InspectReply = {
        "path": path,
        "kind": "tensor" if entry is not None else node.kind,
        "class_name": inert(subject.class_name),
        "alias_of": None if entry is not None else node.alias_of,
        "problem": inert(subject.problem, _MAX_TEXT) if subject.problem else None,
        "tie": tie_body(index, lookup, group, path) if group is not None else None,
        "ties_inside": [tie_body(index, lookup, each, None) for each in inside],
        "findings": [finding_body(finding) for finding in found[:_MAX_FINDINGS]],
        "code": _code(session, path, entry),
        "siblings": _siblings(index, number, path),
        "tensor": _tensor_facts(entry, live) if entry is not None else None,
        "module": _module_facts(index, number, lookup and lookup.get(path)) if entry is None else None,
        "trace": [] if entry is not None else session.trace_marks.calls(node.path),
    }
    if live is not None:
        _add_values(reply, live, body, job)
        places = optimizer_places(session, live)
        if places is not None:
            reply["optimizers"] = places
    return reply


def _add_values(reply: InspectReply, live: LiveTensor, body: Mapping[str, Any], job: Job) -> None:
    """Add the statistics and windows that a body asks for, where they can be had without waiting for a device."""
    n_elements = live.entry.n_elements
    if live.unreadable is not None or live.entry.device != "cpu" or not n_elements:
        return
    # What goes wrong here is told where statistics or values are asked for by themselves.
    if "bins" in body:
        with suppress(*_TOLD_WHERE_ASKED):
            reply["stats"] = stats_of(live, body["bins"], job, exact=False)
    if "windows" in body and n_elements <= _QUICK_ELEMENTS:
        windows: list[ValuesReply | None] = []
        for wanted in body["windows"][:_MAX_WINDOWS]:
            windows.append(None)
            with suppress(*_TOLD_WHERE_ASKED):
                windows[-1] = values_of(live, wanted, job)
        reply["windows"] = windows


def _ties_inside(index: TreeIndex, number: int) -> list[TieGroup]:
    seen: dict[str, None] = {}
    if index.tie_inside[number] is not None:
        for below in range(number, number + index.size[number]):
            letters = map(index.tie, index.nodes[below].tensors)
            seen.update((letter, None) for letter in letters if letter is not None)
            if len(seen) >= _MAX_TIES_INSIDE:
                break
    return [index.groups[group] for group in list(seen)[:_MAX_TIES_INSIDE]]


def _siblings(index: TreeIndex, number: int, path: str) -> Siblings | None:
    found = index.fold_around(number)
    if found is None:
        return None
    member, members = found
    place = members.index(member)
    below = path[len(index.nodes[member].path) :]
    return {
        "label": own_name(index, member),
        "index": place,
        "count": len(members),
        "previous": index.nodes[members[place - 1]].path + below if place > 0 else None,
        "next": index.nodes[members[place + 1]].path + below if place + 1 < len(members) else None,
    }


def _tensor_facts(entry: TensorEntry, live: LiveTensor | None) -> TensorFacts:
    strides, is_contiguous, has_grad = None, None, entry.has_grad
    if live is not None and not entry.problem:
        with no_torch_function():
            has_grad = gradient_of(live.tensor) is not None
            if entry.layout == "strided" and entry.shape is not None:
                strides, is_contiguous = list(live.tensor.stride()), bool(live.tensor.is_contiguous())
    unreadable = entry.problem if live is None else live.unreadable
    made: TensorFacts = {
        "shape": None if entry.shape is None else list(entry.shape),
        "dtype": entry.dtype,
        "device": entry.device,
        "layout": entry.layout,
        "requires_grad": entry.requires_grad,
        "role": entry.role,
        "persistent": entry.persistent,
        "n_elements": entry.n_elements,
        "size_bytes": entry.size_bytes,
        "has_grad": has_grad,
        "strides": strides,
        "is_contiguous": is_contiguous,
        "version": None if live is None or entry.problem or unreadable is not None else version(live.tensor),
        "readable": unreadable,
    }
    if entry.placements:
        made["placements"] = list(entry.placements)
        made["mesh"] = [{"name": inert(name, 40), "size": size} for name, size in entry.mesh]
        made["local_shape"] = None if entry.local_shape is None else list(entry.local_shape)
    return made


def _module_facts(index: TreeIndex, number: int, module: Any) -> ModuleFacts:
    # Below another name of a module nothing is listed: its numbers are those of its first name.
    first = index.nodes[number].alias_of
    number = number if first is None else index.number.get(first, number)
    node = index.nodes[number]
    span = range(number, number + index.size[number])
    return {
        "n_params": node.n_params,
        "n_params_trainable": _trainable(index, span, node),
        "size_bytes": _size_bytes(index, span),
        "n_modules": sum(index.nodes[below].kind == "module" for below in span),
        "n_tensors": index.n_tensors[number],
        "n_parameters": index.n_parameters[number],
        "n_frozen": index.n_frozen[number],
        "training": node.training,
        "extra": _extra(module),
        "hooks": _hooks(module),
        "doc": _doc(type(module)),
        "tensors": [_module_tensor(node, entry) for entry in node.tensors[:_MAX_TENSORS]],
    }


def _trainable(index: TreeIndex, span: range, node: ModuleNode) -> int:
    frozen = sum(e.n_elements for e in _distinct_tensors(index, span) if e.role == "parameter" and not e.requires_grad)
    return max(0, node.n_params - frozen) if node.kind == "module" else 0


def _size_bytes(index: TreeIndex, span: range) -> int:
    return sum(entry.size_bytes for entry in _distinct_tensors(index, span))


def _distinct_tensors(index: TreeIndex, span: range) -> list[TensorEntry]:
    """Return the tensors below, one of each tie group that names the same bytes."""
    seen: set[str] = set()
    kept = []
    for below in span:
        for entry in index.nodes[below].tensors:
            if entry.tie is not None and index.groups[entry.tie].kind != "overlap":
                if entry.tie in seen:
                    continue
                seen.add(entry.tie)
            kept.append(entry)
    return kept


def _module_tensor(node: ModuleNode, entry: TensorEntry) -> ModuleTensor:
    return {
        "path": entry.path,
        "name": inert(entry.path[len(node.path) :].removeprefix(".")),
        "shape": shape_text(entry.shape),
        "dtype": entry.dtype,
        "role": entry.role,
        "n_elements": entry.n_elements,
    }


def _extra(module: Any) -> str:
    """Return the plain settings among a module's attributes, as its ``extra_repr`` would say them."""
    if not is_a(module, nn.Module):
        return ""
    settings = [
        f"{inert(name)}={inert(repr(value), 60)}"
        for name, value in plain_items(instance_dict(module))
        if type(name) is str and not name.startswith("_") and name != "training" and _is_plain(value)
    ]
    return inert(", ".join(settings), _MAX_TEXT)


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return len(value) <= 8 and all(type(item) in _PLAIN for item in value)  # noqa: PLR2004 - kernel sizes, shapes
    return type(value) in _PLAIN and value is not None


def _hooks(module: Any) -> list[str]:
    if not is_a(module, nn.Module):
        return []
    own = instance_dict(module)
    made = []
    for registry, when in _HOOKS.items():
        held = own.get(registry)
        if is_a(held, dict):
            made += [f"{when}: {_callable_name(hook)}" for _, hook in plain_items(held)[:_MAX_TENSORS]]
    return made


def _callable_name(hook: object) -> str:
    if type(hook) is types.MethodType:
        hook = hook.__func__
    return inert(hook.__qualname__) if type(hook) is types.FunctionType else type_name(type(hook))


_MAX_DOC = 20_000
_SIGNATURE = re.compile(r"\w+\(.*\)")


def _doc(kind: type) -> str:
    text = class_attribute(kind, "__doc__") if kind is not type(None) else None
    if type(text) is not str:
        return ""
    paragraphs = (" ".join(each.split()) for each in text[:_MAX_DOC].split("\n\n"))
    # That of torch's LSTM begins with how it is called.
    first = next((each for each in paragraphs if each and not _SIGNATURE.fullmatch(each)), "")
    return inert(plain_doc(first), _MAX_TEXT)


_MAX_CODE = 20_000


def _code(session: Session, path: str, entry: TensorEntry | None) -> list[CodeLine]:
    role = entry.role if entry is not None else None
    if session.over_ranks is None:
        return code_lines(session.module, session.code_name, path, role)
    quoted, of_each = json.dumps(path, ensure_ascii=False), session.over_ranks.name
    getter = {None: "get_submodule", "parameter": "get_parameter", "buffer": "get_buffer"}.get(role)
    there = f"{of_each}.{getter}({quoted})" if path else of_each
    lines: list[CodeLine] = [{"label": "On each rank", "code": there}] if getter is not None else []
    if entry is not None:
        lines.append({"label": "Statistics of the whole", "code": f"nnw.stats({session.code_name}[{quoted}])"})
    return lines


def code_lines(module: nn.Module, variable: str, path: str, role: str | None) -> list[CodeLine]:
    """Return Python for the module or tensor at ``path``.

    Args:
        module: The model.
        variable: What pasted code calls it.
        path: A path of the tree.
        role: The tensor's role, or None for a module.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3))
        >>> [line["code"] for line in code_lines(net, "net", "0.weight", "parameter")]
        ['net[0].weight', 'net.get_parameter("0.weight")', 'net[0].weight.grad']
    """
    spelling = expression_for(module, variable, path)
    if spelling is None or len(spelling.code) > _MAX_CODE:
        return []
    code, dotted = spelling
    lines: list[CodeLine] = [{"label": "Python", "code": code}]
    getter = {None: "get_submodule", "parameter": "get_parameter", "buffer": "get_buffer"}.get(role)
    if path and dotted and getter is not None:
        lines.append({"label": "By path", "code": f"{variable}.{getter}({json.dumps(path, ensure_ascii=False)})"})
    if role == "parameter":
        lines.append({"label": "Gradient", "code": f"{code}.grad"})
    return lines
