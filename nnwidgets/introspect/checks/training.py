"""What of a model will be trained: frozen parameters, the optimizer's grip on them, training flags."""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Collection, Container, Iterator, Sequence
from functools import partial
from itertools import accumulate, compress
from operator import add
from typing import Any

from torch import nn

from nnwidgets.formatting import counted, some
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.optimizers import held_tensors
from nnwidgets.introspect.safe_access.holders import is_wrapper
from nnwidgets.introspect.safe_access.modules import own_attribute, registered_by_name
from nnwidgets.introspect.safe_access.objects import class_attribute, descends, is_tensor, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import gradient_of


def training_findings(
    scan: ModelScan, writer: ExpressionWriter, optimizers: Sequence[Any], elsewhere: Container[int]
) -> Iterator[SingleFinding]:
    """Yield what training this model would meet."""
    yield from _frozen(scan, writer)
    yield from _training_flags(scan, writer)
    if optimizers:
        yield from optimizer_findings(scan, writer, optimizers, elsewhere)


def _frozen(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    """Tell of the largest parts in which no parameter is trained."""
    frozen, trained = _trainability(scan)
    first, ends = scan.first_slot, scan.ends()
    n_frozen, n_trained = [0, *accumulate(frozen)], [0, *accumulate(trained)]
    if not n_frozen[-1]:
        return
    values = scan.slot_values
    told = [each and not is_kept_frozen(values[slot]) for slot, each in enumerate(frozen)]
    n_told = [0, *accumulate(told)]
    moving = norms_that_move(scan)
    adapted: dict[int, bool] = {}
    row = 0
    while row < len(scan.modules):
        begin, end = first[row], first[ends[row]]
        if n_frozen[end] == n_frozen[begin]:
            row = ends[row]
        elif n_trained[end] == n_trained[begin]:
            within = _within(moving, row, ends[row])
            holder = scan.parents[row]
            if holder not in adapted:
                adapted[holder] = holder >= 0 and _holds_adapters(scan, holder, n_trained)
            if within or (n_told[end] > n_told[begin] and not adapted[holder]):
                yield _frozen_part(scan, row, n_frozen[end] - n_frozen[begin], writer, within)
            row = ends[row]
        else:
            for slot in range(begin, first[row + 1]):
                if told[slot]:
                    yield _frozen_parameter(scan, slot, row, writer)
            row += 1


def _holds_adapters(scan: ModelScan, row: int, n_trained: Sequence[int]) -> bool:
    """Whether trained parts of a module adapt the frozen ones beside them, as their names say, or as LoRA is built."""
    first, ends = scan.first_slot, scan.ends()
    own = range(first[row], first[row + 1])
    n_factors = sum(n_trained[slot + 1] > n_trained[slot] and scan.slot_values[slot].dim() == 2 for slot in own)  # noqa: PLR2004 - a matrix
    if n_factors > 1 and 1 < ends[row] - row <= _FEW:
        return True
    at, above = row + 1, len(scan.path(row))
    while at < ends[row]:
        is_trained = n_trained[first[ends[at]]] > n_trained[first[at]]
        if is_trained and scan.path(at)[above:].lstrip(".").startswith(ADAPTERS):
            return True
        at = ends[at]
    return False


ADAPTERS = ("lora_", "adapter", "ia3_", "vera_", "oft_", "hada_", "lokr_")
"""How the names of the modules begin that adapt what stands beside them."""
_FEW = 3
"""Modules of a home-made adapter: itself, what it adapts, and perhaps a dropout."""

_KEPT_FROZEN: dict[int, weakref.ref[Any]] = {}


def keep_frozen(tensor: Any, *, is_kept: bool) -> None:
    """Remember, or forget, that a parameter was frozen on purpose, so that nothing needs to be said of it.

    Example:
        >>> import torch
        >>> weight = nn.Parameter(torch.ones(2), requires_grad=False)
        >>> keep_frozen(weight, is_kept=True)
        >>> is_kept_frozen(weight)
        True
    """
    key = id(tensor)
    if is_kept:
        _KEPT_FROZEN[key] = weakref.ref(tensor, lambda _: _KEPT_FROZEN.pop(key, None))
    else:
        _KEPT_FROZEN.pop(key, None)


def is_kept_frozen(tensor: Any) -> bool:
    """Whether a parameter was frozen on purpose."""
    found = _KEPT_FROZEN.get(id(tensor))
    return found is not None and found() is tensor


def _trainability(scan: ModelScan) -> tuple[list[int], list[int]]:
    """Return, slot by slot, 1 where a parameter could be trained and isn't, and where it is.

    Of codes that a wrapping class turns into numbers it isn't known that they could: torchao's get no gradient even
    where they ask for one.
    """
    frozen, trained = [0] * len(scan.slots), [0] * len(scan.slots)
    slots, splits, first = scan.slots, scan.splits, scan.first_slot
    kinds: dict[int, bool] = {}
    for row in range(len(scan.modules)):
        begin, end = first[row], first[row + 1]
        for slot in range(begin, splits[row][0] if row in splits else end):
            tensor = slots[slot][1]
            kind = id(type(tensor))
            known = kinds.get(kind)
            if known is None:
                known = kinds[kind] = is_tensor(tensor)
            if not known:
                continue
            if tensor.requires_grad:
                trained[slot] = 1
            elif (tensor.is_floating_point() or tensor.is_complex()) and not is_wrapper(tensor):
                frozen[slot] = 1
    return frozen, trained


def _frozen_part(
    scan: ModelScan, row: int, n_frozen: int, writer: ExpressionWriter, moving: Sequence[int]
) -> SingleFinding:
    what = f"Its {counted(n_frozen, 'parameter')} have" if n_frozen > 1 else "Its parameter has"
    kind, also = type_name(type(scan.modules[row])), ""
    if moving:
        of = "" if list(moving) == [row] else f" of {some([scan.path(each) for each in moving], _MOST_NAMED)}"
        also = f" In train mode each forward still changes the running statistics{of}: eval() stops that."
    return SingleFinding(
        "frozen",
        "note",
        row,
        scan.path(row),
        f"{what} requires_grad=False: no gradient comes to {'it' if n_frozen == 1 else 'them'}.{also}",
        f"{writer.code(scan.path(row))}.{'eval()' if moving else 'requires_grad_(True)'}",
        f"{kind} {n_frozen} {len(moving)}",
    )


def _within(rows: list[int], begin: int, end: int) -> list[int]:
    """Those of ascending rows that lie in a range."""
    return rows[bisect_left(rows, begin) : bisect_left(rows, end)]


def norms_that_move(scan: ModelScan, frozen: Collection[int] = ()) -> list[int]:
    """Rows of norms whose running statistics each forward changes though nothing around them is trained.

    They are in train mode and keep running statistics, and neither they nor, where they have no parameters, the module
    that holds them has one that asks for gradients.

    Args:
        scan: The model.
        frozen: Ids of parameters to be taken as frozen.
    """
    norms = scan.rows_of(partial(descends, _NORM))
    if not norms:
        return []
    stands, moves = _trainability(scan)
    values = scan.slot_values
    asks = [each and id(values[slot]) not in frozen for slot, each in enumerate(moves)]
    n_asking, n_held = [0, *accumulate(asks)], [0, *accumulate(map(add, stands, moves))]
    ends, first = scan.ends(), scan.first_slot
    rows = []
    for row in norms:
        module = scan.modules[row]
        if row in scan.first_met or own_attribute(module, "training") is not True:
            continue
        if registered_by_name(module, "_buffers").get("running_mean") is None or _keeps_its_own(module):
            continue
        has_own = n_held[first[row + 1]] > n_held[first[row]]
        part = row if has_own else max(scan.parents[row], 0)
        begin, end = first[part], first[ends[part]]
        if n_held[end] > n_held[begin] and n_asking[end] == n_asking[begin]:
            rows.append(row)
    return rows


def _keeps_its_own(module: Any) -> bool:
    """Whether a norm's momentum is 0, with which nothing of a batch comes into its running statistics."""
    momentum = own_attribute(module, "momentum")
    return type(momentum) in (int, float) and momentum == 0


_NORM = nn.modules.batchnorm._NormBase  # noqa: SLF001 - the base of all norms that keep running statistics
_DROPOUT = nn.modules.dropout._DropoutNd  # noqa: SLF001 - the base of all that drop
_NEITHER = "it holds no Dropout and no BatchNorm, so only code of its own can tell"
_MOST_NAMED = 3


def _frozen_parameter(scan: ModelScan, slot: int, row: int, writer: ExpressionWriter) -> SingleFinding:
    return SingleFinding(
        "frozen",
        "note",
        row,
        scan.slot_path(slot),
        f"{scan.slot_name(slot, row)} has requires_grad=False: no gradient comes to it, as it does to others of this "
        f"{type_name(type(scan.modules[row]))}.",
        f"{writer.code(scan.slot_path(slot))}.requires_grad_(True)",
        type_name(type(scan.modules[row])),
    )


def _training_flags(scan: ModelScan, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    flags = [own_attribute(module, "training") for module in scan.modules]
    for row, (flag, _) in scan.irregular.items():
        flags[row] = flag
    whole = flags[0]
    if type(whole) is not bool or all(flag is whole for flag in flags):
        return
    row = 1
    ends = scan.ends()
    mindful = scan.rows_of(_minds_mode)
    those = [scan.rows_of(partial(descends, base)) for base in (_DROPOUT, _NORM)]
    while row < len(flags):
        if flags[row] is not (not whole) or row in scan.first_met:
            row += 1
            continue
        if not _within(mindful, row, ends[row]):
            row = ends[row]
            continue
        expression = writer.code(scan.path(row))
        kind = type_name(type(scan.modules[row]))
        held = [bool(_within(rows, row, ends[row])) for rows in those]
        if whole:
            does = compress(("its Dropout does nothing", "its BatchNorm keeps its statistics"), held)
            yield SingleFinding(
                "mixed-training",
                "note",
                row,
                scan.path(row),
                f"This {kind} is in eval mode while the model is in train mode: {' and '.join(does) or _NEITHER}.",
                f"{expression}.train()",
                kind,
            )
        else:
            batch = "BatchNorm uses the batch at hand and goes on learning from it"
            does = compress(("Dropout inside it drops at random", batch), held)
            yield SingleFinding(
                "mixed-training",
                "warning" if any(held) else "note",
                row,
                scan.path(row),
                f"This {kind} is in train mode while the model is in eval mode: {' and '.join(does) or _NEITHER}.",
                f"{expression}.eval()",
                kind,
            )
        row = ends[row]


def _minds_mode(kind: type) -> bool:
    """Whether modules of a class may do otherwise in training than in evaluation, as torch's own Linear doesn't."""
    home = class_attribute(kind, "__module__")
    is_torchs = type(home) is str and home.startswith("torch.")
    return not is_torchs or any(descends(each, kind) for each in _MINDFUL)


_MINDFUL = (_DROPOUT, _NORM, nn.RReLU, nn.RNNBase, nn.MultiheadAttention)


def untrained_paths(scan: ModelScan, optimizers: Sequence[Any]) -> frozenset[str]:
    """Paths of the parameters that ask for gradients and that none of the optimizers holds; none without optimizers."""
    held = {id(tensor) for each in optimizers for tensor in held_tensors(each)}
    own = scan.parameters if held else {}
    missing = [slot for key, (slot, _, tensor) in own.items() if key not in held and tensor.requires_grad]
    return frozenset(map(scan.slot_path, missing))


def optimizer_findings(
    scan: ModelScan, writer: ExpressionWriter, optimizers: Sequence[Any], elsewhere: Container[int]
) -> Iterator[SingleFinding]:
    """Yield what is odd between a model and its optimizers.

    Args:
        scan: The model.
        writer: Writes code that leads to its parts.
        optimizers: What trains it.
        elsewhere: Ids of tensors that belong to other models: that an optimizer holds these too is no fault.
    """
    held = [{id(tensor) for tensor in held_tensors(each)} for each in optimizers]
    yield from _stale(scan, writer, held, elsewhere)
    yield from _held_twice(scan, optimizers, held)
    yield from _frozen_and_moved(scan, writer, held)


def _stale(
    scan: ModelScan, writer: ExpressionWriter, of_each: Sequence[set[int]], elsewhere: Container[int]
) -> Iterator[SingleFinding]:
    own, held = scan.parameters, set().union(*of_each)
    n_foreign = sum(1 for key in held if key not in own and key not in elsewhere)
    missing = [place for key, place in own.items() if key not in held and place[2].requires_grad]
    first_missing = scan.slot_path(missing[0][0]) if missing else ""
    row = missing[0][1] if missing else 0
    can_fix = len(of_each) == 1
    the = "The optimizer holds" if can_fix else "The optimizers hold"
    lack = "The optimizer does not hold" if can_fix else "No optimizer holds"
    its = "its steps move" if can_fix else "their steps move"
    net = writer.code("")
    add = (
        "held = {id(p) for group in optimizer.param_groups for p in group['params']}\n"
        f"missing = [p for p in {net}.parameters() if p.requires_grad and id(p) not in held]\n"
        "if missing:\n"
        "    optimizer.add_param_group({'params': missing})"
    )
    drop = (
        f"own = {{id(p) for p in {net}.parameters()}}\n"
        "for group in optimizer.param_groups:\n"
        "    group['params'] = [p for p in group['params'] if id(p) in own]\n"
        "for p in [p for p in optimizer.state if id(p) not in own]:\n"
        "    del optimizer.state[p]"
    )
    if missing and n_foreign:
        yield SingleFinding(
            "stale-optimizer",
            "error",
            row,
            first_missing,
            f"{the} {_parameters(n_foreign)} that the model doesn't have, and not {_parameters(len(missing))} that it "
            f"has (the first: {first_missing}), as when a layer is replaced after the optimizer was made: {its} what "
            "is held and never what isn't. Make the optimizer anew, or give it the parameters that it lacks.",
            f"{drop}\n{add}" if can_fix else None,
        )
    elif missing:
        yield SingleFinding(
            "stale-optimizer",
            "warning",
            row,
            first_missing,
            f"{lack} {_parameters(len(missing))} that ask for gradients (the first: {first_missing}): they get "
            f"gradients, and no step {'of it' if can_fix else 'of these'} moves them.",
            add if can_fix else None,
        )
    elif n_foreign:
        yield SingleFinding(
            "stale-optimizer",
            "warning",
            0,
            "",
            f"{the} {_parameters(n_foreign)} that this model doesn't have. If no other model is trained with it, they "
            "are what is left of a replaced layer, and keep its memory in use.",
            drop if can_fix else None,
        )


def _parameters(count: int) -> str:
    return "one parameter" if count == 1 else counted(count, "parameter")


def _held_twice(scan: ModelScan, optimizers: Sequence[Any], held: Sequence[set[int]]) -> Iterator[SingleFinding]:
    own = scan.parameters
    twice = [key for key in own if sum(key in each for each in held) > 1] if len(held) > 1 else []
    if not twice:
        return
    slot, row, _ = own[twice[0]]
    names = [type_name(type(each)) for each, keys in zip(optimizers, held, strict=True) if twice[0] in keys]
    paths = [scan.slot_path(own[key][0]) for key in twice]
    is_one = len(twice) == 1
    yield SingleFinding(
        "two-optimizers",
        "warning",
        row,
        scan.slot_path(slot),
        f"{counted(len(twice), 'parameter')} ({some(paths, _MOST_NAMED)}) {'is' if is_one else 'are'} held by "
        f"{counted(len(names), 'optimizer')} ({', '.join(names)}): each one's step moves {'it' if is_one else 'them'}.",
    )


def _frozen_and_moved(scan: ModelScan, writer: ExpressionWriter, held: Sequence[set[int]]) -> Iterator[SingleFinding]:
    """Tell of frozen parameters that have a gradient still: torch's optimizers go by that."""
    for key, (slot, row, tensor) in scan.parameters.items():
        if not tensor.requires_grad and gradient_of(tensor) is not None and any(key in each for each in held):
            path = scan.slot_path(slot)
            yield SingleFinding(
                "frozen-but-moved",
                "warning",
                row,
                path,
                f"{scan.slot_name(slot, row)} has requires_grad=False, but a gradient is left over and an optimizer "
                "holds it: torch's optimizers go by the gradient, so that the next step moves it all the same.",
                f"{writer.code(path)}.grad = None",
                type_name(type(scan.modules[row])),
            )
