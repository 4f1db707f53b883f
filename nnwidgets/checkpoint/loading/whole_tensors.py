"""Tensors that torch copies as a whole: sparse ones, quantized ones, and those of classes made of others (torchao's).

What such a class keeps beside tensors must be the same on both sides: then its own copying is that of its tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.checkpoint.bytes_equal import are_same
from nnwidgets.checkpoint.description import Composed, Described, Opaque, Strided, Wrapped, dtype_name
from nnwidgets.errors import CheckpointMismatchError, InvalidTargetError
from nnwidgets.formatting import and_more
from nnwidgets.introspect import TensorEntry
from nnwidgets.introspect.safe_access.objects import (
    ORDINARY,
    is_a,
    is_tensor,
    object_dict,
    plain_items,
    reason,
    tensor_dict,
    whole_name,
)
from nnwidgets.introspect.safe_access.tensors import plain_torch, torch_attribute, unreadable_reason

_MOST_NESTED = 8


class WholeTensors:
    """Live tensors whose new values stand ready, exchanged with the old ones by torch's own copying: all or none.

    Attributes:
        paths: Names of those that are filled.
        n_elements: Of them, each counted once.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.n_elements = 0
        self._made: dict[int, _Whole] = {}
        self._n_exchanged = 0

    def prepare(
        self, path: str, tensor: Any, described: Described | Wrapped, read: Callable[[Described], torch.Tensor]
    ) -> None:
        """Make ready what a tensor gets; nothing is changed.

        Args:
            path: Its.
            tensor: It.
            described: What the file has.
            read: Reads that.

        Raises:
            CheckpointMismatchError: Torch can't copy it, or another name of the tensor gets other values.
            InvalidTargetError: It has no data, or was made in inference mode.
        """
        self.paths.append(path)
        self.n_elements += 0 if id(tensor) in self._made else described.n_elements
        if not isinstance(described, Wrapped):
            self._prepare(path, tensor, read(described))
            return
        held = tensor_dict(tensor)
        for name, part in described.parts:
            self._prepare(path, held[name], read(part))
        self._made.setdefault(id(tensor), _Whole(path, tensor, None, None))

    def _prepare(self, path: str, tensor: Any, value: torch.Tensor) -> None:
        known = self._made.get(id(tensor))
        why = unreadable_reason(tensor)
        if why is None and torch_attribute(tensor, "is_inference")():
            why = "it was made in inference mode, where torch forbids changes in place outside of it"
        if why is not None:
            raise InvalidTargetError(f"{path} can't be written: {why}.", path=path)
        with plain_torch():
            old = _copied(torch_attribute(tensor, "detach")()) if known is None else known.old
            new = _copied(old)
            try:
                new.copy_(value)
            except (RuntimeError, ValueError, NotImplementedError) as error:
                raise CheckpointMismatchError(
                    f"{path} can't take what the file has for it, torch says: {reason(error)} Nothing was changed.",
                    path=path,
                    hint="load_state_dict would refuse it too.",
                ) from error
            if known is not None and not are_same(new, known.new):
                raise CheckpointMismatchError(
                    f"{path} and {known.path} are one tensor in the model and differ in the file; nothing was changed.",
                    path=path,
                )
        if known is None:
            self._made[id(tensor)] = _Whole(path, tensor, old, new)

    @property
    def is_changed(self) -> bool:
        """Whether they have their new values, be it some of them."""
        return self._n_exchanged > 0

    def exchange(self) -> None:
        """Copy the new values, or the old ones back."""
        those = [each for each in self._made.values() if each.new is not None]
        with plain_torch():
            if self.is_changed:
                for each in reversed(those[: self._n_exchanged]):
                    torch_attribute(each.tensor, "copy_")(each.old)
                    self._n_exchanged -= 1
                return
            for each in those:
                # One that is interrupted half-way is put back too.
                self._n_exchanged += 1
                torch_attribute(each.tensor, "copy_")(each.new)

    def foreign(self) -> list[str]:
        """Names of those that hold something else than was left."""
        with plain_torch():
            return [
                each.path
                for each in self._made.values()
                if each.new is not None
                and not are_same(torch_attribute(each.tensor, "detach")(), each.new if self.is_changed else each.old)
            ]


def _copied(data: torch.Tensor) -> torch.Tensor:
    """A copy of it: torch clones no tensor whose zero points are no integers, and copies none that is compressed."""
    return copy.deepcopy(data) if data.is_quantized else data.clone()


@dataclass(frozen=True, slots=True)
class _Whole:
    path: str
    tensor: Any
    old: Any
    new: Any


def is_whole(tensor: Any) -> bool:
    """Whether a live tensor that has data is filled as a whole, whatever the file has for it."""
    return torch_attribute(tensor, "layout") is not torch.strided or bool(torch_attribute(tensor, "is_quantized"))


def is_written_in_place(entry: TensorEntry) -> bool:
    """Whether a tensor of the model is one whose elements are written where they lie: none of the above."""
    is_here = entry.held is None or bool(entry.placements)
    return is_here and entry.layout == "strided" and entry.dtype[:1] != "q"


def refusals(
    sources: Mapping[str, str],
    tensors: Mapping[str, Described | Wrapped],
    entries: Mapping[str, TensorEntry],
    live: Callable[[str], Any],
) -> Iterator[tuple[str, list[str]]]:
    """What torch's copying would refuse though names and shapes agree: why, and of which paths.

    Args:
        sources: Names in the file by path in the model.
        tensors: Those of the file.
        entries: Those of the model, by path.
        live: Gives the live tensor at a path.
    """
    reasons: dict[str, list[str]] = {}
    for path, name in sources.items():
        ours, theirs = entries[path], tensors[name]
        is_plain = type(theirs) is Strided and theirs.quantizer is None
        if (is_plain and is_written_in_place(ours)) or ours.shape != tuple(theirs.shape):
            continue
        why = _why_not(ours, theirs, live)
        if why:
            reasons.setdefault(why, []).append(path)
    for why, paths in reasons.items():
        yield f"{sources[paths[0]]}{and_more(len(paths) - 1)} {why}", paths


def _why_not(ours: TensorEntry, theirs: Described | Wrapped, live: Callable[[str], Any]) -> str:
    is_wrapper = ours.held is not None and ours.held.kind == "wrapper"
    if isinstance(theirs, Wrapped):
        kind, tensor = theirs.class_name.rpartition(".")[2], live(ours.path)
        if is_wrapper and whole_name(type(tensor)) == theirs.class_name:
            return _difference(kind, theirs, tensor)
        parts = " + ".join(f"{name} {dtype_name(part.dtype)}" for name, part in theirs.parts)
        return (
            f"in the file is of class {kind}, made of {parts}, and in the model of class {ours.class_name}: only the "
            "class says what such numbers are. Make the model's one of these first, or save what they stand for"
        )
    if is_wrapper:
        return (
            f"in the file is a plain tensor, and in the model a {ours.class_name}, which is made of others: load "
            "before it is made one"
        )
    layout = theirs.layout if isinstance(theirs, Composed) else "strided"
    if layout != ours.layout:
        return ""  # said of the pair itself
    return _unlike_codes(dtype_name(theirs.dtype), ours.dtype, is_quantized=bool(getattr(theirs, "quantizer", None)))


def _unlike_codes(theirs: str, ours: str, *, is_quantized: bool) -> str:
    """Why torch doesn't copy between two tensors one of which is quantized; empty where it does."""
    if is_quantized and ours[:1] != "q":
        return f"in the file is quantized ({theirs}), and the model's isn't ({ours}): dequantize it first"
    if is_quantized and theirs != ours:
        return f"in the file is {theirs}, and the model's {ours}: quantize both alike"
    is_refused = not is_quantized and ours[:1] == "q" and theirs != "float32"
    return f"in the file is {theirs}, which torch doesn't turn into {ours}" if is_refused else ""


def sharded_warning(refused: Mapping[TensorEntry, str]) -> list[str]:
    """What to know of tensors of which this process has a part that can't be loaded, each with the reason."""
    reasons = [why for entry, why in refused.items() if entry.placements]
    entries = [entry for entry in refused if not entry.placements]
    held = entries[0].held if entries else None
    if held is None:
        return reasons
    verb, kept = ("is", "so it keeps its value") if len(entries) == 1 else ("are", "so they keep their values")
    how = "Gather them first, load, and scatter them again."
    said = f"{entries[0].path}{and_more(len(entries) - 1)} {verb} sharded in the model ({held.how})"
    return [*reasons, f"{said}: a load here would fill this process's part alone, {kept}. {how}"]


def _difference(kind: str, theirs: Wrapped, tensor: Any) -> str:
    """In what two tensors of one wrapping class differ besides the values of their parts; empty where in nothing."""
    held = {key: value for key, value in plain_items(tensor_dict(tensor)) if type(key) is str}
    parts = dict(theirs.parts)
    for name in {**parts, **{key: value for key, value in held.items() if is_tensor(value)}}:
        there, here = parts.get(name), held.get(name)
        is_alike = there is not None and id(type(here)) in ORDINARY and there.shape == tuple(here.shape)  # type: ignore[union-attr]
        if not is_alike or there.dtype is not here.dtype:  # type: ignore[union-attr] # both are tensors
            return f"is a {kind} on both sides, and their {name} differ in shape or dtype: make both alike"
    for name, value in theirs.attributes.items():
        if name not in held or not _agrees(value, held[name], _MOST_NESTED):
            return f"is a {kind} on both sides, and their {name} isn't the same: make both alike"
    return ""


def _agrees(described: Any, live: Any, left: int) -> bool:  # noqa: PLR0911 - one kind each
    """Whether a live value is the one that a file describes."""
    if not left:
        return False
    if isinstance(described, list | tuple):
        is_alike = type(live) in (list, tuple, torch.Size) and len(live) == len(described)
        return is_alike and all(_agrees(one, other, left - 1) for one, other in zip(described, live, strict=True))
    if type(described) is dict:
        return type(live) is dict and described.keys() == live.keys() and all(
            _agrees(value, live[key], left - 1) for key, value in described.items()
        )  # fmt: skip
    if type(described) is not Opaque:
        return type(described) is type(live) and bool(described == live)
    if whole_name(type(live)) != described.class_name:
        return False
    if type(described.state) is dict:
        return _agrees(described.state, dict(object_dict(live)), left - 1)
    if described.arguments and described.arguments == (object_dict(live).get("_value_"),):
        return True  # of an enumeration
    if is_a(live, tuple):
        return _agrees(described.arguments, (*tuple.__iter__(live),), left - 1)
    return described.is_bare and not object_dict(live)
