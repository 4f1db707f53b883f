"""Setting values by hand: one element, a slice, a whole tensor."""

from __future__ import annotations

import ast
import base64
import re
import warnings as python_warnings
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe, expressions, literal
from nnwidgets.edit.log import FEW
from nnwidgets.edit.operations.padding_rows import padding_rows, padding_warnings
from nnwidgets.edit.over_ranks.agreement import on_all_ranks
from nnwidgets.edit.over_ranks.part import IMPORT, Part, data_of, part_of, whole_code
from nnwidgets.edit.over_ranks.tries import say_values
from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, commit
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import counted, shape_text
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch

_MOST_CODE_BYTES = 4 * 2**20
_MOST_LITERAL = 64


@over_handles
@on_all_ranks
def assign(module: nn.Module, target: str | torch.Tensor, value: Any) -> Change:
    """Set a tensor, or a part of it, to a value, in place and undoable.

    Of a model that ranks hold together, indexes are those of the whole tensor; all ranks run the same line, and each
    sets what it has of it.

    Args:
        module: The model, or one over ranks: ``ranks()["net"]``.
        target: A tensor of the model, or its path, perhaps with an index after it: integers, slices and ``...`` as
            Python has them.
        value: A number, for every element chosen; or a tensor, array or nested list of the very shape chosen.

    Returns:
        The change. A NaN or a value the dtype can't hold is written and warned of.

    Raises:
        PathNotFoundError: ``target`` names nothing.
        InvalidTargetError: The tensor can't be written, the index is out of range, or the value doesn't fit.
        RankMissingError: Another rank that holds the model doesn't run this within four seconds, or can't do it.
        RanksDisagreeError: Another rank makes another change.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3))
        >>> assign(net, "0.weight[0, 0]", 42)
        Change(0.weight[0, 0] = 42: 0.weight)
        >>> net[0].weight[0, 0].item()
        42.0
    """
    model = ChangeScope(module)
    places, indexes = _resolve(model, target)
    suffix = "".join(f"[{index}]" for index in indexes)
    planned: list[tuple[TensorTarget, torch.Tensor]] = []
    here: list[torch.Tensor] = []
    notes: list[str] = []
    n_written = 0
    for place, data in zip(places, check_writable(places, parts=True), strict=True):
        part = part_of(place.tensor, place.path)
        with plain_torch():
            # Of a tensor over ranks, one element that stands for all of them has its indexes checked.
            view = _view_at(data if part is None else data.new_empty(()).expand(part.shape), indexes, place.path)
        new, more = _convert(value, view, f"{place.path}{suffix}")
        planned.append((place, new))
        here.append(view if part is None else _chosen_here(part, indexes, place.path, data, new)[0])
        n_written += view.numel()
        notes += more
    wanted, is_number = planned[0][1], isinstance(value, bool | int | float)

    def write(guard: WriteGuard) -> None:
        guard.before()
        if not is_number:
            say_values(wanted)
        with plain_torch():
            for place, new in planned:
                part, values = part_of(place.tensor, place.path), new
                if part is None:
                    view = _view_at(place.tensor.detach(), indexes, place.path)
                else:
                    view, values = _chosen_here(part, indexes, place.path, data_of(place.tensor), new)
                view.copy_(values)

    shown = _value_text(value, wanted)
    ties = model.ties_of(places)
    names = [*(place.path for place in places), *(tie.path for tie in ties)] if indexes else []
    plan = Plan(
        kind="assign",
        label=f"{places[0].path if len(places) == 1 else target}{suffix if len(places) == 1 else ''} = {shown}",
        places=places,
        plains=here,
        n_written=n_written,
        ties=ties,
        write=write,
        code=lambda: _recipe(model, places, suffix, value, wanted),
        beforehand={path: summarize(model.tensor(path)) for path in names[:FEW]},
        warnings=[*model.passed_over, *dict.fromkeys(notes)],
        told_after=lambda changed: padding_warnings(padding_rows(model, changed)),
    )
    return commit(model, plan)


def _resolve(model: ChangeScope, target: str | torch.Tensor) -> tuple[list[TensorTarget], list[str]]:
    """The tensors, with as much of the text as names something read as a path and the rest as indexes."""
    base, indexes = split_index(target if isinstance(target, str) else model.path_of(target))
    missing: PathNotFoundError | None = None
    for n_in_path in range(len(indexes), -1, -1):
        text = base + "".join(f"[{index}]" for index in indexes[:n_in_path])
        if not text.strip():
            continue
        try:
            named = model.places(text)
        except PathNotFoundError as error:
            missing = error
            continue
        check_writable(named, parts=True)
        places, _ = distinct_memory(named)
        return places, indexes[n_in_path:]
    raise missing or InvalidTargetError(f"{target!r} names no tensor.", hint="Such as 0.weight[0, 0].")


def _view_at(data: torch.Tensor, indexes: list[str], path: str) -> torch.Tensor:
    view = data
    for text in indexes:
        index = parse_index(text, path)
        try:
            view = view[index]
        except (IndexError, ValueError, TypeError) as error:
            raise InvalidTargetError(
                f"[{text}] doesn't fit {path} of shape {shape_text(tuple(view.shape))}: {str(error).rstrip('.')}.",
                path=path,
                hint="Indexes count from 0, or from the end as -1.",
            ) from None
    if not view.numel():
        raise InvalidTargetError(
            f"{path}{''.join(f'[{text}]' for text in indexes)} selects no element of shape "
            f"{shape_text(tuple(data.shape))}.",
            path=path,
            hint="Choose at least one.",
        )
    return view


def _chosen_here(
    part: Part, indexes: list[str], path: str, data: torch.Tensor, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of what indexes choose of a whole tensor: a view of what is here, and what of the values for all goes there."""
    chosen: list[range | int] = [range(size) for size in part.shape]
    for text in indexes:
        index = parse_index(text, path)
        steps = list(index) if isinstance(index, tuple) else [index]
        free = [dim for dim, each in enumerate(chosen) if isinstance(each, range)]
        if Ellipsis in steps:
            at = steps.index(Ellipsis)
            steps[at : at + 1] = [slice(None)] * (len(free) - len(steps) + 1)
        for dim, each in zip(free, steps, strict=False):
            chosen[dim] = chosen[dim][each]  # type: ignore[index] # of the free ones
    here: list[slice] = []
    values: list[slice | None] = []
    for each, box in zip(chosen, part.box, strict=True):
        kept = range(each, each + 1) if isinstance(each, int) else each
        first = max(0, -((kept.start - box.start) // kept.step))
        end = max(first, min(len(kept), -((kept.start - box.stop) // kept.step)))
        start = kept.start + first * kept.step - box.start
        here.append(slice(start, start + (end - first) * kept.step, kept.step) if first < end else slice(0, 0))
        values.append(None if isinstance(each, int) else slice(first, end))
    return data[tuple(here)], new[tuple(values)] if new.dim() else new


def _convert(value: Any, view: torch.Tensor, name: str) -> tuple[torch.Tensor, list[str]]:
    """The value as a tensor of the view's dtype, and what to warn of."""
    with plain_torch(), python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        given = _as_tensor(value, name)
        if given.dim() and tuple(given.shape) != tuple(view.shape):
            raise InvalidTargetError(
                f"The value for {name} has shape {shape_text(tuple(given.shape))}, expected "
                f"{shape_text(tuple(view.shape))}.",
                path=name,
                hint="Pass one number, or a value of that shape.",
            )
        if given.dtype.is_complex and not view.dtype.is_complex:
            raise InvalidTargetError(
                f"The value for {name} is complex, and the tensor is {str(view.dtype)[6:]}.", path=name,
                hint="Pass real numbers.",
            )  # fmt: skip
        made = given.to(dtype=view.dtype, device=view.device)
        is_float = view.dtype.is_floating_point or view.dtype.is_complex
        if not is_float and not _is_whole(given, made):
            raise InvalidTargetError(
                f"The value {_value_text(value, given)} for {name} is none that {str(view.dtype)[6:]} can hold.",
                path=name,
                hint="Pass whole numbers within its range.",
            )
        notes = []
        if is_float:
            if bool(torch.isnan(made).any()):
                notes.append(f"{name} gets NaN: whatever is computed from it becomes NaN.")
            elif bool((~torch.isfinite(made.to(torch.complex128 if made.is_complex() else torch.float64))).any()):
                notes.append(
                    f"{name} gets an infinite value: {str(view.dtype)[6:]} holds no such number, or it was one."
                )
        return made, notes


def _as_tensor(value: Any, name: str) -> torch.Tensor:
    if is_tensor(value):
        return as_plain_tensor(value)
    try:
        if isinstance(value, float):
            return torch.tensor(value, dtype=torch.float64, device="cpu")
        return torch.as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidTargetError(
            f"The value for {name} is no number, tensor or list of numbers: {str(error).rstrip('.')}.",
            path=name,
            hint="Such as 42 or [1.0, 2.0].",
        ) from None


def _is_whole(given: torch.Tensor, made: torch.Tensor) -> bool:
    if given.dtype is made.dtype:
        return True
    return bool((made.to(given.dtype) == given.to(made.device)).all())


def _value_text(value: Any, made: torch.Tensor) -> str:
    if isinstance(value, bool | int | float | complex):
        return repr(value)
    return f"{made.item()!r}" if not made.dim() else f"tensor of {shape_text(tuple(made.shape))}"


def _recipe(model: ChangeScope, places: list[TensorTarget], suffix: str, value: Any, made: torch.Tensor) -> Recipe:
    names = list(map(expressions(model.module).code, (place.path for place in places)))
    is_number = isinstance(value, bool | int | float)
    text = literal(value) if is_number else _tensor_code(made)
    imports = ["import torch"] if not text.startswith("torch.frombuffer") else ["import base64", "import torch"]
    if text.startswith("#"):
        return Recipe((text, f"raise NotImplementedError({text[2:]!r})"), ())
    calls = []
    for name, place in zip(names, places, strict=True):
        if is_dtensor(type(place.tensor)):
            imports.append(IMPORT)
            calls += whole_code(place.tensor, name, [f"whole{suffix or '[...]'} = {text}"], is_read=bool(suffix))
        else:
            calls.append(f"{name}{suffix or '[...]'} = {text}")
    return Recipe(("with torch.no_grad():", *(f"    {call}" for call in calls)), tuple(imports))


def _tensor_code(made: torch.Tensor) -> str:
    """A tensor as Python: its numbers where they are few and say it all, else its bytes."""
    with plain_torch():
        held = made.detach().cpu().contiguous()
        dtype = str(held.dtype)
        if held.numel() <= _MOST_LITERAL and not held.dtype.is_complex:
            numbers = held.to(torch.float64).tolist() if held.dtype.is_floating_point else held.tolist()
            again = torch.tensor(numbers, dtype=torch.float64 if held.dtype.is_floating_point else held.dtype)
            again = again.to(held.dtype)
            if torch.equal(again.reshape(-1).view(torch.uint8), held.reshape(-1).view(torch.uint8)):
                text = repr(numbers).replace("nan", 'float("nan")').replace("inf", 'float("inf")')
                return f"torch.tensor({text}, dtype={dtype})"
        if held.nbytes > _MOST_CODE_BYTES:
            return (
                f"# The value, {counted(held.nbytes, 'byte')}, is too large to be written as code: save it and load it."
            )
        flat = held.reshape(-1).view(torch.uint8)
        encoded = base64.b64encode(bytes(flat.tolist())).decode("ascii")
        shape = tuple(held.shape)
        return f'torch.frombuffer(bytearray(base64.b64decode("{encoded}")), dtype={dtype}).reshape({shape})'


_INDEX = re.compile(r"\[[^\[\]\"']*\]\Z")


def split_index(text: str) -> tuple[str, list[str]]:
    """A target and the indexes written after it.

    Example:
        >>> split_index("0.weight[0, -1]"), split_index("0.weight")
        (('0.weight', ['0, -1']), ('0.weight', []))
    """
    found: list[str] = []
    while (at := _INDEX.search(text)) is not None:
        found.insert(0, at.group()[1:-1].strip())
        text = text[: at.start()].rstrip()
    return text, found


def parse_index(text: str, path: str) -> Any:
    """An index as Python has it: integers, slices and ``...``, nothing else.

    Raises:
        InvalidTargetError: It is anything else.

    Example:
        >>> parse_index("0, 1:3, ...", "w")
        (0, slice(1, 3, None), Ellipsis)
    """
    try:
        node = ast.parse(f"x[{text}]", mode="eval").body
        assert isinstance(node, ast.Subscript)  # noqa: S101 - narrows the type; else the handler below speaks
        return _index_value(node.slice)
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        raise InvalidTargetError(
            f"The index [{text[:80]}] of {path} can't be read, expected integers, slices or ....",
            path=path,
            hint="Such as [0, 0], [:, 1:3] or [..., -1].",
        ) from None


def _index_value(node: ast.expr | None) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(_index_value(each) for each in node.elts)
    if isinstance(node, ast.Slice):
        parts = [None if each is None else _integer(each) for each in (node.lower, node.upper, node.step)]
        return slice(*parts)
    if isinstance(node, ast.Constant) and node.value is Ellipsis:
        return Ellipsis
    return _integer(node)


def _integer(node: ast.expr | None) -> int:
    value = ast.literal_eval(node) if node is not None else None
    if type(value) is not int:
        raise ValueError
    return value
