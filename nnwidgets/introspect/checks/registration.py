"""What a module holds without torch knowing of it, or under names torch can't say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnwidgets.formatting import counted
from nnwidgets.introspect import paths
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.checks.forward_source import names_in_forward
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter, is_identifier
from nnwidgets.introspect.records import Severity
from nnwidgets.introspect.safe_access.modules import Found, own_attribute, registered_by_name
from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_tensor, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan, read
from nnwidgets.introspect.safe_access.tensors import is_leaf

_MOST_HIDDEN_READ = 500
_SWITCHED = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)  # noqa: SLF001 - torch's base classes


def registration_findings(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    """Yield what the registration of modules and tensors gives rise to."""
    for row, problem in scan.problems.items():
        yield SingleFinding(
            "unreadable-module",
            "error",
            row,
            scan.path(row),
            f"{_class_name(scan, row)} can't be read in full: {problem}.",
        )
    yield from _non_string_keys(scan, writer)
    yield from _unregistered_tensors(scan, writer)
    yield from _unregistered_modules(scan, writer)
    yield from _cycles(scan)


def _non_string_keys(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    strange: dict[int, list[int]] = {}
    for row in range(1, len(scan.modules)):
        if not is_a(scan.keys[row], str):
            strange.setdefault(scan.parents[row], []).append(row)
    for parent, rows in strange.items():
        expression = writer.code(scan.path(parent))
        kinds = sorted({type_name(type(scan.keys[row])) for row in rows})
        one = len(rows) == 1
        what = "a child is" if one else f"{len(rows)} children are"
        keys = "a key that is not a string" if one else "keys that are not strings"
        yield SingleFinding(
            "non-string-key",
            "error",
            parent,
            scan.path(parent),
            f"In this {_class_name(scan, parent)} {what} registered under {keys} "
            f"({', '.join(kinds[:3])}). parameters(), state_dict() and print() join keys to names and raise TypeError, "
            "so it can be neither trained nor saved. In the class, write self.add_module(str(i), block).",
            f"children = list({expression}._modules.items())\n"
            f"{expression}._modules.clear()\n"
            f"{expression}._modules.update(\n"
            "    (key if isinstance(key, str) else str(i), child) for i, (key, child) in enumerate(children)\n"
            ")",
        )


def _unregistered_tensors(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    containers: dict[tuple[int, str], list[int]] = {}
    for row, (_, at) in scan.splits.items():
        for slot in range(at, scan.first_slot[row + 1]):
            key, tensor = scan.slots[slot]
            if not is_tensor(tensor):
                continue
            steps = paths.split(str(key))
            if len(steps) > 1:
                containers.setdefault((row, steps[0]), []).append(slot)
            elif not _is_derived(scan.modules[row], str(key), tensor):
                yield _plain_tensor(scan, row, str(key), tensor, writer)
    for (row, attribute), slots in containers.items():
        trained = [slot for slot in slots if _is_trained(scan.slots[slot][1])]
        if trained:
            yield _tensors_in_container(scan, row, attribute, trained, writer)


def _is_trained(tensor: torch.Tensor) -> bool:
    return tensor.requires_grad and is_leaf(tensor)


def _plain_tensor(scan: ModelScan, row: int, key: str, tensor: torch.Tensor, writer: ExpressionWriter) -> SingleFinding:
    owner = writer.code(scan.path(row))
    where = paths.join(scan.path(row), key)
    like = f"{_class_name(scan, row)} {tensor.requires_grad}"
    saves = _saves_its_own_way(type(scan.modules[row]))
    if tensor.requires_grad:
        return SingleFinding(
            "unregistered-tensor",
            "error",
            row,
            where,
            f"{key} asks for gradients but is a plain attribute, not a registered parameter: parameters() leaves it "
            f"out, so the optimizer never trains it, {_UNSAVED[saves].format('it')}, and to(device) leaves it behind.",
            f"{owner}.{key} = torch.nn.Parameter({owner}.{key}.detach())" if is_identifier(key) else None,
            like,
        )
    is_number = tensor.numel() == 1 and not tensor.is_floating_point() and not tensor.is_complex()
    is_minded = is_number or _is_moved_by_forward(type(scan.modules[row]), key)
    return SingleFinding(
        "unregistered-tensor",
        "note" if is_minded or saves else "warning",
        row,
        where,
        f"{key} is a tensor in a plain attribute, not a registered buffer: {_UNSAVED[saves].format('it')} and "
        "to(device) leaves it behind. If it is meant to be constant, register it as a buffer.",
        f"{key} = {owner}.{key}\ndel {owner}.{key}\n{owner}.register_buffer({key!r}, {key})"
        if is_identifier(key) and not saves
        else None,
        like,
    )


_UNSAVED = ("state_dict() doesn't save {}", "state_dict() saves {} only where the class's own code for that does")


def _saves_its_own_way(kind: type) -> bool:
    """Whether a class of modules has code of its own for what ``state_dict`` gives."""
    return any(class_attribute(kind, name) is not vars(nn.Module)[name] for name in _SAVING)


_SAVING = ("get_extra_state", "_save_to_state_dict", "state_dict")


def _is_moved_by_forward(kind: type, key: str) -> bool:
    """Say whether the forward that uses this attribute converts as it goes: its author knows it is a plain one."""
    names = names_in_forward(kind)
    return key in names and bool(names & {"to", "type_as", "cuda"})


def _tensors_in_container(
    scan: ModelScan, row: int, attribute: str, trained: list[int], writer: ExpressionWriter
) -> SingleFinding:
    owner = writer.code(scan.path(row))
    held = own_attribute(scan.modules[row], attribute)
    wrapper = "ParameterDict" if is_a(held, dict) else "ParameterList"
    what = "a parameter" if len(trained) == 1 else counted(len(trained), "parameter")
    unsaved = _UNSAVED[_saves_its_own_way(type(scan.modules[row]))].format("them")
    return SingleFinding(
        "unregistered-tensor",
        "error",
        row,
        scan.slot_path(trained[0]),
        f"{attribute} is a plain {type_name(type(held))} that holds {what}. torch doesn't look inside: parameters() "
        f"leaves them out, so the optimizer never trains them and {unsaved}. "
        f"Use torch.nn.{wrapper}.",
        f"{owner}.{attribute} = torch.nn.{wrapper}({owner}.{attribute})" if _can_wrap(held, attribute) else None,
        f"{_class_name(scan, row)} {attribute}",
    )


def _is_derived(module: Any, key: str, tensor: torch.Tensor) -> bool:
    """Say whether a plain tensor is a result, recomputed at each forward, as torch's weight norm and pruning keep."""
    registered = registered_by_name(module, "_parameters")
    return not is_leaf(tensor) or any(f"{key}_{part}" in registered for part in ("g", "v", "orig"))


def _unregistered_modules(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    held: dict[tuple[int, str], list[Found]] = {}
    for row, found in scan.hidden:
        held.setdefault((row, paths.split(found.name)[0]), []).append(found)
    n_read = 0
    for (row, _), modules in held.items():
        looked_at = modules[: max(_MOST_HIDDEN_READ - n_read, 0)]
        n_read += len(looked_at)
        yield _hidden_modules(scan, row, modules, _Inside.of(looked_at), writer)


@dataclass(slots=True)
class _Inside:
    """What hidden modules hold: trained parameters, tensors of any kind, modules that train() and eval() switch."""

    n_trained: int = 0
    n_tensors: int = 0
    n_switched: int = 0

    @classmethod
    def of(cls, hidden: list[Found]) -> _Inside:
        inside = cls()
        for found in hidden:
            scan = read(found.value)
            tensors = [tensor for _, tensor in scan.slots if is_tensor(tensor)]
            inside.n_tensors += len(tensors)
            inside.n_trained += sum(1 for tensor in tensors if tensor.requires_grad)
            inside.n_switched += sum(1 for module in scan.modules if any(is_a(module, kind) for kind in _SWITCHED))
        return inside

    @property
    def severity(self) -> Severity:
        if self.n_trained:
            return "error"
        return "warning" if self.n_tensors or self.n_switched else "note"

    @property
    def harm(self) -> str:
        if self.n_trained:
            what = "its parameter is" if self.n_trained == 1 else f"its {counted(self.n_trained, 'parameter')} are"
            return f"{what} left out of parameters() and never trained, and state_dict() doesn't save what is inside"
        if self.n_tensors:
            return "state_dict() doesn't save what is inside, and to(device), train() and eval() don't reach it"
        if self.n_switched:
            return "train() and eval() don't reach it"
        return "print() and hooks don't reach it, though it holds nothing to train or save"


def _hidden_modules(
    scan: ModelScan, row: int, modules: list[Found], inside: _Inside, writer: ExpressionWriter
) -> SingleFinding:
    attribute = paths.split(modules[0].name)[0]
    owner = writer.code(scan.path(row))
    held = own_attribute(scan.modules[row], attribute)
    in_container = modules[0].in_container
    wrapper = "ModuleDict" if is_a(held, dict) else "ModuleList"
    first = type_name(type(modules[0].value))
    what = f"a {first}" if len(modules) == 1 else f"{counted(len(modules), 'module')} ({first} the first)"
    place = f"is a plain {type_name(type(held))} that holds {what}" if in_container else f"holds {what} unregistered"
    if in_container:
        fix = f"{owner}.{attribute} = torch.nn.{wrapper}({owner}.{attribute})"
        can_fix = _can_wrap(held, attribute) and len(modules) == len(held)
        advice = f"Use torch.nn.{wrapper}."
    else:
        fix = (
            f"{attribute} = {owner}.{attribute}\n"
            f"del {owner}.{attribute}\n"
            f"{owner}.add_module({attribute!r}, {attribute})"
        )
        can_fix = is_identifier(attribute)
        advice = "Assign it after super().__init__()."
    return SingleFinding(
        "unregistered-module",
        inside.severity,
        row,
        scan.path(row),
        f"{attribute} {place}. torch doesn't look there: {inside.harm}. {advice}",
        fix if can_fix else None,
        f"{_class_name(scan, row)} {attribute}",
    )


def _can_wrap(held: object, attribute: str) -> bool:
    if not is_identifier(attribute):
        return False
    if type(held) is dict:
        return all(type(key) is str and key and "." not in key and is_identifier(key) for key in held)
    return type(held) in {list, tuple}


def _cycles(scan: ModelScan) -> Iterator[SingleFinding]:
    for row in scan.first_met:
        if scan.is_cycle(row):
            top = scan.path(scan.first_met[row]) or "the model itself"
            yield SingleFinding(
                "cycle",
                "error",
                row,
                scan.path(row),
                f"This is {top} again, its own ancestor: state_dict(), train(), to() and print() walk in circles "
                "until they raise RecursionError. To keep a reference to a parent, put it in a list: "
                "self.parent = [parent].",
            )


def _class_name(scan: ModelScan, row: int) -> str:
    return type_name(type(scan.modules[row]))
