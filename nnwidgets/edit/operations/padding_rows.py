"""The row of an embedding that stands for padding, which torch makes zero and gives no gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.over_ranks.part import part_of
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.modules import own_attribute
from nnwidgets.introspect.safe_access.objects import descends
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, unreadable_reason

_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True, slots=True)
class PaddingRow:
    """A row that a change reaches.

    Attributes:
        path: The embedding's weight.
        row: Which row.
        tensor: The weight.
    """

    path: str
    row: int
    tensor: Any


def padding_rows(model: ChangeScope, written: Iterable[str]) -> list[PaddingRow]:
    """The padding rows of embeddings whose weight is among some paths, of those that change too by a tie."""
    scan = model.live.scan
    embeddings = scan.rows_of(lambda kind: any(descends(base, kind) for base in _EMBEDDINGS))
    names = set(written) if embeddings else set()
    found = []
    for at in embeddings:
        weight = paths.join(scan.path(at), "weight")
        row = own_attribute(scan.modules[at], "padding_idx") if weight in names else None
        if type(row) is int and unreadable_reason(model.tensor(weight)) is None:
            found.append(PaddingRow(weight, row, model.tensor(weight)))
    return found


def padding_warnings(rows: Iterable[PaddingRow], of: Callable[[Any], Any] = lambda tensor: tensor) -> list[str]:
    """Say of which rows the numbers aren't zero now.

    Args:
        rows: Those that a change reached.
        of: Gives what is looked at for a weight: itself, or in a preview its stand-in.
    """
    with plain_torch():
        filled = [each for each in rows if _is_filled(each, as_plain_tensor(of(each.tensor)))]
    return [
        f"Row {each.row} of {each.path} is the embedding's padding_idx and isn't zero; setting {each.path}[{each.row}] "
        "to 0 makes it so again."
        for each in filled
    ]


def _is_filled(each: PaddingRow, data: torch.Tensor) -> bool:
    """Whether the row isn't zero, as far as it is here."""
    part = part_of(each.tensor, each.path)
    if part is None:
        return bool(data[each.row].any())
    return each.row in part.box[0] and bool(data[each.row - part.box[0].start].any())
