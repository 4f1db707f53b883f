"""What there is to say of a model beside its optimizers: groups, and parameters with what is remembered of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nnwidgets.formatting import counted, exact_count, shape_text, short_bytes, short_count, some
from nnwidgets.introspect.optimizers.table_records import OptimizerGroup, OptimizerTable, ParameterState, StateTensor
from nnwidgets.text.document import Block, Document, Note, Table
from nnwidgets.text.pages.alike_rows import fold_members
from nnwidgets.text.pages.model import MOST_ROWS, number

_MOST_NAMED = 5
_MOST_STATES = 3
_OWN_COLUMNS = ("lr", "weight_decay")


def optimizer_page(table: OptimizerTable, *, names: Sequence[str] = ()) -> Document:
    """The groups and their settings, the parameters and what is remembered of them, and who is in none or in two.

    Args:
        table: A model beside its optimizers.
        names: What the optimizers are called.
    """
    blocks: list[Block] = [_groups(table, names), _parameters(table.parameters)]
    if table.missing:
        n = len(table.missing)
        blocks.append(
            Note(f"{counted(n, 'parameter')} that ask{'s' * (n == 1)} for gradients, in no group here: "
                 f"{some(table.missing, _MOST_NAMED)}", "warning")
        )  # fmt: skip
    if table.repeated:
        named = some(table.repeated, _MOST_NAMED)
        blocks.append(Note(f"In several groups, each of which moves them: {named}", "warning"))
    if table.n_others:
        are = "isn't a parameter" if table.n_others == 1 else "aren't parameters"
        blocks.append(Note(f"{counted(table.n_others, 'tensor')} in these groups {are} of this model.", "note"))
    return tuple(blocks)


def state_page(parameter: ParameterState) -> Document:
    """One parameter, and what is remembered of it."""
    return (_parameters((parameter,)),)


def group_page(group: OptimizerGroup) -> Document:
    """One group."""
    return (_groups(OptimizerTable((group,), ()), ()),)


def state_tensor_page(entry: StateTensor) -> Document:
    """One thing that is remembered."""
    cells = (entry.name, state_text(entry), shape_text(entry.shape), entry.dtype, short_bytes(entry.size_bytes))
    return (Table(("name", "norm", "shape", "dtype", "size"), (cells,), right=(1, 4)),)


def _groups(table: OptimizerTable, names: Sequence[str]) -> Table:
    rows = []
    for at, group in enumerate(table.groups):
        called = names[group.optimizer] if group.optimizer < len(names) else ""
        others = ", ".join(
            f"{name}={_setting(value)}" for name, value in group.options.items() if _is_told(name, value)
        )
        own = [_setting(group.options[name]) if name in group.options else "" for name in _OWN_COLUMNS]
        said = f"{called} · {group.class_name}" if called else group.class_name
        rows.append((str(at), said, exact_count(group.n_tensors), short_count(group.n_elements), *own, others))
    heads = ("group", "optimizer", "tensors", "elements", "lr", "weight decay", "else")
    return Table(heads, tuple(rows), right=(2, 3, 4, 5))


def _is_told(name: str, value: Any) -> bool:
    return name not in _OWN_COLUMNS and name != "initial_lr" and value is not False


def _setting(value: Any) -> str:
    if type(value) is float:
        return number(value)
    if type(value) is tuple:
        return f"({', '.join(map(_setting, value))})"
    return str(value)


def _parameters(parameters: Sequence[ParameterState]) -> Table:
    """A row a parameter; of many, like ones as one row with the range of their norms."""
    names = list(dict.fromkeys(entry.name for each in parameters for entry in each.state))[:_MOST_STATES]
    keys = [_key(each) for each in parameters]
    rows = []
    folded = fold_members(keys, 0)
    for cells, members in folded[:MOST_ROWS]:
        entries = [{entry.name: entry for entry in parameters[at].state} for at in members]
        states = [_range([each[name] for each in entries if name in each]) for name in names]
        size = sum(parameters[at].size_bytes for at in members)
        rows.append((*cells, *states, short_bytes(size) if size else ""))
    heads = ("parameter", "shape", "group", "step", *names, "state")
    right = tuple(range(2, len(heads)))
    return Table(heads, tuple(rows), right=right, n_more=max(0, len(folded) - MOST_ROWS))


def _key(each: ParameterState) -> tuple[str, ...]:
    group = ", ".join(map(str, each.groups)) or ("none" if each.requires_grad else "none, frozen")
    return each.path, shape_text(each.shape), group, "" if each.step is None else f"{each.step:g}"


def _range(entries: Iterable[StateTensor]) -> str:
    texts = {entry.norm if entry.norm is not None else entry.value: state_text(entry) for entry in entries}
    known = sorted(value for value in texts if value is not None)
    if None in texts or len(known) != len(texts):
        return next(iter(texts.values())) if len(texts) == 1 else "…"
    return " … ".join(dict.fromkeys((texts[known[0]], texts[known[-1]]))) if known else ""


def state_text(entry: StateTensor) -> str:
    """What is remembered, in a few words: a number, a norm, or how large it is.

    Example:
        >>> state_text(StateTensor("exp_avg", None, (2, 3), "float32", "cpu", 24, norm=0.5))
        '0.5'
        >>> state_text(StateTensor("state1", None, (4096,), "uint8", "cuda:0", 4096))
        'uint8, 4.10 kB'
    """
    if entry.value is not None:
        return number(entry.value)
    if entry.norm is not None:
        return f"{entry.norm:.3g}{'' if entry.of == 'all' else f' ({entry.of})'}"
    many = f"{entry.n_tensors} × " if entry.n_tensors > 1 else ""
    return f"{many}{entry.dtype}, {short_bytes(entry.size_bytes)}"
