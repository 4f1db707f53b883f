"""Which part of each tensor a rank has, and which of the ranks that have it writes it: the lowest.

Parts are told by torch's records of how a tensor is placed. Of copies one is written, and all of a plain tensor by the
first rank, so that tensors which are no longer the same everywhere aren't put together from several ranks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.checkpoint.description import dtype_name
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.torch.distributed import check_whole
from nnwidgets.checkpoint.writing.shared_bytes import element_key
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave
from nnwidgets.edit.over_ranks.part import Part, part_of
from nnwidgets.errors import InvalidTargetError, SaveError
from nnwidgets.formatting import counted
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import no_torch_function

Offsets = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What of a tensor is here.

    Attributes:
        name: Of the tensor.
        part: Which elements.
        data: They, as a plain tensor.
        is_here: Whether this rank would write them: there are some, and it has the first of the copies.
        of: The first name of the same tensor; its own where it has no other.
    """

    name: str
    part: Part
    data: torch.Tensor
    is_here: bool
    of: str

    @property
    def offsets(self) -> Offsets:
        """Where in the tensor the first element is."""
        return tuple(each.start for each in self.part.box)

    @property
    def n_bytes(self) -> int:
        """Of what is here."""
        return self.data.numel() * self.data.element_size()


def shares_of(named: Iterable[tuple[str, TensorToSave]], *, is_first: bool) -> list[Share]:
    """What is here of each tensor, under every name.

    Args:
        named: The tensors by name.
        is_first: Whether this rank writes what all have.

    Raises:
        SaveError: One is spread in a way that isn't known, or is no plain tensor of numbers.
    """
    made: list[Share] = []
    firsts: dict[Any, str] = {}
    parts: dict[int, tuple[Part, bool]] = {}
    for name, tensor in named:
        _check(name, tensor)
        part, is_here = parts.setdefault(id(tensor), _part(name, tensor, is_first=is_first))
        of = firsts.setdefault((_key(tensor.data), part), name)
        made.append(Share(name, part, tensor.data, is_here, of))
    return made


def is_spread(tensors: Iterable[TensorToSave]) -> bool:
    """Whether a rank has a part of one only."""
    with no_torch_function():
        specs = [each.live._spec for each in tensors if is_dtensor(type(each.live))]  # type: ignore[attr-defined] # noqa: SLF001 - torch's own record
        return any(not placement.is_replicate() for spec in specs for placement in spec.placements)


def told(shares: Sequence[Share]) -> list[list[Any]]:
    """What this rank would write, as JSON: which of the names, where in the tensor it begins, and its sizes."""
    return [[index, share.offsets, share.part.local_shape] for index, share in enumerate(shares) if share.is_here]


def left_to_others(said: Mapping[int, Mapping[str, Any]], shares: Sequence[Share]) -> dict[int, list[int]]:
    """By rank, the names whose part is written by another one that has the same.

    Args:
        said: What each rank says, its `told` as "pieces".
        shares: Of this rank, which has all names.

    Raises:
        SaveError: Some elements are nowhere, or in parts that overlap.
    """
    found: list[dict[Offsets, Offsets]] = [{} for _ in shares]
    made: dict[int, list[int]] = {}
    for rank, each in sorted(said.items()):
        for index, offsets, sizes in each["pieces"]:
            if tuple(offsets) in found[index]:
                made.setdefault(rank, []).append(index)
            else:
                found[index][tuple(offsets)] = tuple(sizes)
    for share, parts in zip(shares, found, strict=True):
        try:
            check_whole(share.name, share.part.shape, list(parts.items()))
        except Malformed as error:
            raise SaveError(
                f"The ranks' parts don't make up {share.name}: the model {error}.",
                path=share.name,
                hint="Every rank of its mesh has to take part. Nothing was changed.",
            ) from None
    return made


def does(shares: Sequence[Share], rest: object) -> str:
    """What a rank is about to save, in words that are the same on all ranks where that is.

    Args:
        shares: Its tensors; their names, dtypes and sizes count.
        rest: What else counts.
    """
    lines = [f"{each.name} {dtype_name(each.data.dtype)} {list(each.part.shape)}" for each in shares]
    return f"save {counted(len(shares), 'tensor')} ({digest_of_text([*lines, str(rest)])})"


def digest_of_text(lines: Iterable[str]) -> str:
    """A few digits that tell some lines from others."""
    return hashlib.blake2b("\0".join(lines).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _check(name: str, tensor: TensorToSave) -> None:
    if type(tensor) is not TensorToSave or not tensor.is_strided or tensor.data.is_quantized:
        raise SaveError(
            f"{name} is no plain tensor of numbers, and a model over ranks is saved as those.",
            path=name,
            hint="Leave it out, or save a plain tensor of it. Nothing was changed.",
        )


def _part(name: str, tensor: TensorToSave, *, is_first: bool) -> tuple[Part, bool]:
    live: Any = tensor.live
    try:
        part = part_of(live, name)
    except InvalidTargetError as error:
        raise SaveError(
            error.message.replace("can't be written", "can't be saved"),
            path=name,
            hint=f"{error.hint} Nothing was changed.",
        ) from None
    if part is None:
        shape = tuple(tensor.data.shape)
        return Part(shape, (), tuple(map(range, shape))), is_first
    with no_torch_function():
        spec = live._spec  # noqa: SLF001 - torch's own record
        at = spec.mesh.get_coordinate()
        is_copy = at is None or any(
            coordinate and placement.is_replicate() for coordinate, placement in zip(at, spec.placements, strict=True)
        )
        is_at_origin = at is not None and not any(at)
    return part, not is_copy and (math.prod(part.local_shape) > 0 or (part.n_elements == 0 and is_at_origin))


def _key(data: torch.Tensor) -> Any:
    """What tensors have in common that are the same one; memory of no length has no address."""
    if data.numel():
        return element_key(data)
    return data.untyped_storage()._cdata, data.storage_offset(), data.dtype  # noqa: SLF001 - which storage it is
