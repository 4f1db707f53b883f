"""Ties a class declares and its tensors don't have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import torch

from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.safe_access.modules import own_attribute, registered_by_name
from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_module, is_tensor, plain_items, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]+")
_LONGEST_PATTERN = 200
_COLLECTIONS = (dict, list, tuple, set, frozenset)


def declared_tie_findings(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    """Yield the ties that `transformers`' ``_tied_weights_keys`` declare and the model lacks.

    They hold where the config says ``tie_word_embeddings``. Later releases map each name to the one it is tied to,
    earlier ones list the names.
    """
    declaring: dict[int, Any] = {}
    for row, module in enumerate(scan.modules):
        if row in scan.first_met:
            continue
        kind = id(type(module))
        if kind not in declaring:
            declaring[kind] = class_attribute(type(module), "_tied_weights_keys")
        declared = declaring[kind]
        if type(declared) in _COLLECTIONS and _is_tying(module):
            for target, source in _pairs(module, declared):
                single = _broken(scan, row, target, source, writer)
                if single is not None:
                    yield single


def _is_tying(module: Any) -> bool:
    config = own_attribute(module, "config")
    if config is None:
        return False
    try:
        value = object.__getattribute__(config, "__dict__").get("tie_word_embeddings")
    except (AttributeError, TypeError):
        return False
    return (class_attribute(type(config), "tie_word_embeddings") if value is None else value) is True


def _pairs(module: Any, declared: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the names that are to be tied, each with the one it is tied to, or None where only it is listed."""
    if type(declared) is dict:
        in_force: Any = own_attribute(module, "all_tied_weights_keys")
        expanded = _expand(module, dict(plain_items(declared)))
        for target, source in expanded:
            if not is_a(in_force, dict) or dict.__contains__(in_force, target):
                yield target, source
    else:
        for target in declared:
            if type(target) is str and _PLAIN_NAME.fullmatch(target):
                yield target, None


def _expand(module: Any, declared: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    plain = {k: v for k, v in declared.items() if _is_tensor_name(module, k) and _is_tensor_name(module, v)}
    yield from plain.items()
    patterns = {
        k: v
        for k, v in declared.items()
        if k not in plain and type(k) is str and type(v) is str and max(len(k), len(v)) <= _LONGEST_PATTERN
    }
    if not patterns:
        return
    names = _tensor_names(module)
    for target, source in patterns.items():
        targets, sources = _matching(target, names), _matching(source, names)
        if targets and sources and len(targets) % len(sources) == 0:
            yield from zip(targets, cycle(sources), strict=False)


def _is_tensor_name(module: Any, name: object) -> bool:
    return type(name) is str and is_tensor(_at(module, name))


def _tensor_names(module: Any) -> list[str]:
    """Return the names that ``named_parameters(remove_duplicate=False)`` says, sorted; torch's walk is not used."""
    names: list[str] = []
    waiting: list[tuple[str, Any, frozenset[int]]] = [("", module, frozenset())]
    while waiting and len(names) < 100_000:  # noqa: PLR2004 - far above any real model that declares ties
        prefix, current, above = waiting.pop()
        if id(current) in above:
            continue
        for which in ("_parameters", "_buffers"):
            names.extend(prefix + key for key, value in registered_by_name(current, which).items() if value is not None)
        for key, child in registered_by_name(current, "_modules").items():
            if is_module(child):
                waiting.append((f"{prefix}{key}.", child, above | {id(current)}))
    return sorted(names)


def _matching(pattern: str, names: list[str]) -> list[str]:
    try:
        wanted = re.compile(f"^{pattern}")
    except re.error:
        return []
    return [name for name in names if wanted.search(name)]


def _at(module: Any, dotted: str) -> Any:
    *steps, last = dotted.split(".")
    for step in steps:
        module = registered_by_name(module, "_modules").get(step)
    found = registered_by_name(module, "_parameters").get(last)
    return registered_by_name(module, "_buffers").get(last) if found is None else found


def _broken(
    scan: ModelScan, row: int, target: str, source: str | None, writer: ExpressionWriter
) -> SingleFinding | None:
    module = scan.modules[row]
    tensor = _at(module, target)
    if not is_tensor(tensor):
        return None
    if source is not None:
        other = _at(module, source)
        if not is_tensor(other) or _is_tied(tensor, other):
            return None
    elif (
        any(value is not tensor and is_tensor(value) and _is_tied(tensor, value) for _, value in scan.slots)
        or _n_names(scan, tensor) > 1
    ):
        return None
    kind = type_name(type(module))
    prefix = scan.path(row)
    where = f"{prefix}.{target}" if prefix else target
    partner = source or "another tensor"
    can_tie = class_attribute(type(module), "tie_weights") is not None
    return SingleFinding(
        "broken-tie",
        "error",
        row,
        where,
        f"{kind} declares that {target} is tied to {partner}, and its config says tie_word_embeddings=True, but they "
        "are two tensors. Each is trained on its own, and saving and loading keeps only one of them.",
        f"{writer.code(scan.path(row))}.tie_weights()" if can_tie else None,
        f"{kind} {target}",
    )


def _is_tied(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    if one.device != other.device or one.device.type == "meta":
        return False
    try:
        return one.numel() > 0 and one.data_ptr() == other.data_ptr() and one.data_ptr() != 0
    except RuntimeError:
        # No storage to compare (a packed or wrapped tensor): nothing is known to be wrong.
        return True


def _n_names(scan: ModelScan, tensor: torch.Tensor) -> int:
    return sum(1 for _, value in scan.slots if value is tensor)
