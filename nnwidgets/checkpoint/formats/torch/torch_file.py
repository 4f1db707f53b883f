"""What torch's own files have in common: a pickle that names storages, and tensors over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from nnwidgets.checkpoint.description import Composed, Described, Storage, Strided, dtype_name
from nnwidgets.checkpoint.formats.malformed import CUT_SHORT, BeyondLimits, Elsewhere, Malformed, brief
from nnwidgets.checkpoint.formats.pickle.arguments import MOST, StorageType
from nnwidgets.checkpoint.formats.pickle.machine import PickleResult, Truncated
from nnwidgets.checkpoint.formats.pickle.names import does_harm
from nnwidgets.checkpoint.formats.pickle.rebuild_tensors import INTEGERS
from nnwidgets.checkpoint.formats.pickle.unpickle import unpickle
from nnwidgets.checkpoint.formats.reader import CheckpointReader
from nnwidgets.errors import CorruptCheckpointError, UnsafeCheckpointError


class TorchFile(CheckpointReader):
    """A file of ``torch.save``."""

    def tensor(self, described: Described, storages: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        """As in `CheckpointReader`; one that was saved from the meta device has no values."""
        if isinstance(described, Composed) and described.layout == "meta":
            raise CorruptCheckpointError(
                f"{self.path.name} has no values of a tensor of shape {described.shape}: it was saved from the meta "
                "device.",
                path=str(self.path),
                hint="Save the model once it has its weights.",
            )
        return super().tensor(described, storages)

    def _strided(self, described: Strided, storages: dict[str, torch.Tensor] | None) -> torch.Tensor:
        if described.dtype not in INTEGERS:
            return super()._strided(described, storages)
        data = super()._strided(replace(described, dtype=INTEGERS[described.dtype], quantizer=None), storages)
        # A storage that stands for itself has no quantizer: it is its integers.
        return data if described.quantizer is None else self.quantized(data, described)

    def quantized(self, data: torch.Tensor, described: Strided) -> torch.Tensor:
        """A quantized tensor over its integers."""
        try:
            made = self._empty(described)
        except (RuntimeError, ValueError, OverflowError) as error:
            raise self.fault(f"has a quantized tensor that can't be put together ({error})") from None
        return made.set_(data.untyped_storage(), data.storage_offset(), data.shape, data.stride())

    def _empty(self, described: Strided) -> torch.Tensor:
        """A quantized tensor with nothing in it yet."""
        scheme, *given = described.quantizer or ()
        if scheme is torch.per_tensor_affine:
            scale, zero_point = given
            return torch._empty_affine_quantized(  # noqa: SLF001 - torch's own reader has no other way
                described.shape, scale=float(scale), zero_point=zero_point, dtype=described.dtype
            )
        *parts, axis = given
        kinds = _FLOAT_ZEROS if scheme is torch.per_channel_affine_float_qparams else _WHOLE_ZEROS
        scales, zero_points = (
            self.tensor(each) if isinstance(each, Strided) else torch.tensor(each, dtype=kind)
            for each, kind in zip(parts, kinds, strict=True)
        )
        return torch._empty_per_channel_affine_quantized(  # noqa: SLF001 - the same
            described.shape, scales=scales, zero_points=zero_points, axis=axis, dtype=described.dtype
        )

    def unpickle(self, data: bytes, start: int, persistent: Callable[[Any], Any]) -> PickleResult:
        """Read a pickle of this file.

        Raises:
            UnsafeCheckpointError: It wants what only running code could make.
            Malformed: It is damaged.
        """
        found = unpickle(data, start, persistent)
        if found.wanted:
            raise self.refusal(found)
        self.departures += found.notes
        self.attributes = found.attributes
        self.is_torchs &= found.is_torchs
        return found

    def refusal(self, found: PickleResult) -> UnsafeCheckpointError:
        """The error that says what a file would do."""
        does = f", to {', to '.join(found.deeds)}" if found.deeds else ""
        rest = f" The rest of it can't be looked at: {self.path.name} {found.fault}." if found.fault else ""
        hint = (
            "State dicts need none of these: don't load it, whoever asks you to."
            if any(map(does_harm, found.wanted))
            else "What these do when they are called isn't known to be plain data. Get a file that holds a state dict "
            "only; torch.load with weights_only=False would run them."
        )
        return UnsafeCheckpointError(
            f"{self.path.name} wants to import {', '.join(found.wanted)}{does}. Nothing was imported or run.{rest}",
            path=str(self.path),
            hint=hint,
        )

    @contextmanager
    def _closed_unless_whole(self) -> Iterator[None]:
        """For reading the header: what is wrong with the file is told as its fault."""
        try:
            yield
        except Malformed as error:
            self.close()
            raise self.fault(error) from None
        except BaseException:
            self.close()
            raise

    def fault(self, error: Malformed | str) -> CorruptCheckpointError:
        """The error that says what is wrong with the file."""
        hint = error.hint if isinstance(error, Malformed) else ""
        return CorruptCheckpointError(
            f"{self.path.name} {error}.",
            path=str(self.path),
            hint=hint.replace("{file}", repr(self.path.name))
            or _HINTS.get(type(error), "It was damaged, or made to mislead; get it again."),
        )


def storage_id(found: Any, length: int) -> tuple[StorageType, str, int]:
    """Kind, key and number of elements in a persistent id.

    Raises:
        Malformed: It is no storage's.
    """
    if type(found) is not tuple or len(found) != length or found[0] not in ("storage", b"storage"):
        raise Malformed(f"has a pickle that refers to {brief(found)}, expected a storage")
    _, kind, key, location, n = found[:5]
    if type(kind) is not StorageType or type(key) is not str or type(location) is not str:
        raise Malformed(f"names a storage by {brief(kind)}, {brief(key)} and {brief(location)}")
    if type(n) is not int or not 0 <= n <= MOST:
        raise Malformed(f"has a storage {key[:40]!r} of {brief(n)} elements")
    if kind.dtype in _PACKED:
        raise Malformed(f"has a storage of {dtype_name(kind.dtype)}, several elements to a byte, which isn't read")
    return kind, key, n


def as_flat_tensor(kind: StorageType, storage: Storage, n: int) -> Strided:
    """A storage as a tensor of one dimension."""
    return Strided(kind.dtype, (n,), (1,), storage)


_WHOLE_ZEROS = (torch.double, torch.long)
_FLOAT_ZEROS = (torch.float, torch.float)
_PACKED = {torch.quint4x2, torch.quint2x4}
_HINTS: dict[type, str] = {
    BeyondLimits: "No more of it is read: it may be made to take all memory, or hold more than weights.",
    Truncated: CUT_SHORT,
    Elsewhere: "Only the program that wrote it can read it; have it save a state dict with torch.save.",
}
