"""Functions of one's own, tried with values of no meaning: what they give must not depend on what isn't here.

Elements of other ranks are filled with two sets of values in turn, and what is to be here compared. So that ranks
notice where their functions differ, each also runs its own on values that all of them have, and says a digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from nnwidgets.edit.over_ranks.agreement import within
from nnwidgets.edit.undo_copy.digest import digest
from nnwidgets.errors import InitializerError
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch

N_TRIES = 2
"""How many sets of values there are."""

_VALUES = ((-90.0, -40.0, 60.0, -70.0, -20.0), (0.004, 0.002, 0.006, -0.005, 0.003))
"""Large and mostly below 0; small and mostly above: counts, orders, means and norms all tell them apart."""


def fill_meaningless(tensor: torch.Tensor, which: int) -> None:
    """Fill a tensor with one of the two sets: of whole numbers 0, or 1, as they may be indexes."""
    with plain_torch():
        tensor = as_plain_tensor(tensor)
        if not tensor.dim() or not (tensor.is_floating_point() or tensor.is_complex()):
            tensor.fill_(_VALUES[which][0] if tensor.is_floating_point() or tensor.is_complex() else which)
            return
        row = torch.tensor(_VALUES[which], device=tensor.device)
        n = tensor.shape[-1]
        tensor.copy_(row.repeat(-(-n // len(row)))[:n])


def check_same(first: torch.Tensor | None, made: torch.Tensor, path: str) -> None:
    """Refuse what came out otherwise when other values stood for what isn't here.

    Raises:
        InitializerError: It did.
    """
    if first is not None and not has_same_bytes(first, made):
        raise InitializerError(
            f"What it gives for {path} depends on elements that are on other ranks, or on more than its seed.",
            path=path,
            hint="Nothing was changed. Compute it from the whole, which all ranks gather: "
            "w = p.detach().full_tensor(); then assign w to it.",
        )


def has_same_bytes(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape and dtype are the same, NaN too."""
    with plain_torch():
        return torch.equal(_bytes_of(one), _bytes_of(other))


def say_outcome(call: Callable[[], object], tensors: Sequence[Any]) -> None:
    """Call a function on tensors whose values all ranks know, and have them compare what it gives."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the call that counts will tell
        written = within()
        assert written is not None  # noqa: S101 - asked for by `is_compared`
        written.note(type(error).__name__.encode())
    for tensor in tensors:
        say_values(tensor)


class Borrowed:
    """Plain tensors that may be written for a while; afterwards they have the values that they had."""

    def __init__(self, tensors: Iterable[Any]) -> None:
        with plain_torch():
            held = [as_plain_tensor(each).detach() for each in tensors]
            self._kept = [(each, each.clone()) for each in held]

    def say_outcome(self, call: Callable[[], object], more: Sequence[torch.Tensor] = ()) -> None:
        """Call a function of one's own on values that all ranks know, and have them compare what it gives."""
        tensors = [*(each for each, _ in self._kept), *more]
        for each in tensors:
            if each.is_floating_point() or each.is_complex():
                fill_meaningless(each, 0)
        say_outcome(call, tensors)

    def put_back(self) -> None:
        """Write the old values, where others are there now."""
        with plain_torch():
            for each, old in self._kept:
                if not has_same_bytes(each, old):
                    each.copy_(old)

    def values(self) -> list[torch.Tensor]:
        """A copy of what is there now."""
        with plain_torch():
            return [each.clone() for each, _ in self._kept]


def say_values(tensor: Any) -> None:
    """Have ranks compare a tensor that is the same on all of them."""
    written = within()
    if written is None:
        return
    with plain_torch():
        flat = _bytes_of(as_plain_tensor(tensor)).cpu()
        written.note(digest(flat.data_ptr(), len(flat)))


def is_compared() -> bool:
    """Whether other ranks make the change that is being made."""
    return within() is not None


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
