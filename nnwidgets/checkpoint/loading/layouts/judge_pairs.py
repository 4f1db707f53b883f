"""Of what goes together by name: whose values lie otherwise in the file, and are turned, or refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn.modules.conv import _ConvNd

from nnwidgets.checkpoint.description import Described, Strided, dtype_name
from nnwidgets.checkpoint.loading.layouts.conversions import convert, reshaped, rotary_rows, transposed
from nnwidgets.checkpoint.loading.layouts.join_layouts import Joined, join_pairs
from nnwidgets.checkpoint.loading.layouts.known_layouts import HALVED_ROTARY, SCALES, may_be_turned
from nnwidgets.checkpoint.records import Conversion
from nnwidgets.formatting import and_more
from nnwidgets.introspect.safe_access.objects import is_a, type_name

_MATRIX = 2


class Sized(Protocol):
    """A tensor of the model, as far as it matters here: a row of the tree, or the tensor of a comparison."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its sizes; None for a lazy one."""

    @property
    def dtype(self) -> Any:
        """Of its elements: a name, or itself."""


@dataclass(slots=True)
class Judgement:
    """What is known of pairs of names beyond their names.

    Attributes:
        conversions: By path: what is done to the file's values.
        refused: By path: why what has its name in the file isn't loaded.
        warnings: What to know.
    """

    conversions: dict[str, Conversion] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, reason: str, paths: list[str]) -> None:
        """Load none of these, for one reason."""
        self.refused.update(dict.fromkeys(paths, reason))


class _Pairs(NamedTuple):
    """What is judged: as the arguments of `judge`."""

    sources: Mapping[str, str]
    tensors: Mapping[str, Described]
    model: Mapping[str, Sized]
    modules: Mapping[str, Any]


def judge(
    sources: Mapping[str, str],
    tensors: Mapping[str, Described],
    model: Mapping[str, Sized],
    modules: Mapping[str, Any],
    *,
    format_name: str = "",
) -> Judgement:
    """Find what is turned and what is refused.

    Args:
        sources: Names in the file by path in the model.
        tensors: Those of the file.
        model: Those of the model, by path.
        modules: The model's, by path.
        format_name: What a safetensors file says that its values are laid out for.
    """
    made, pairs = Judgement(), _Pairs(sources, tensors, model, modules)
    _codes(made, pairs)
    _layout_forms(made, pairs)
    _turned_matrices(made, pairs)
    if format_name == "mlx":
        _channels_last(made, pairs)
    for path, conversion in list(made.conversions.items()):
        if convert(tensors[sources[path]], conversion) is None:
            del made.conversions[path]
            made.refuse(f"{path} lies in pieces in the file, which can't be {conversion.kind}", [path])
    return made


def codes_with_scales(tensors: Mapping[str, Described]) -> dict[str, str]:
    """Tensors of a file that hold codes, and the scale that lies beside each."""
    made = {}
    for name, tensor in tensors.items():
        is_quantized = isinstance(tensor, Strided) and tensor.quantizer is not None  # it has its scale in itself
        if tensor.dtype.itemsize > 1 or tensor.dtype is torch.bool or is_quantized:
            continue
        owner = name.rpartition(".")[0]
        beside = [f"{owner}.{scale}".lstrip(".") for scale in SCALES] + [f"{name}_scale", f"{name}_scale_inv"]
        beside += [f"{name}.absmax", f"{name}.scale"]
        scale = next((each for each in beside if each in tensors and each != name), None)
        if scale is not None:
            made[name] = scale
    return made


def _codes(made: Judgement, of: _Pairs) -> None:
    """Codes that the model wants as numbers."""
    sources, tensors = of.sources, of.tensors
    scales = codes_with_scales(tensors) if sources else {}
    taken = set(sources.values())
    those = [
        path
        for path, name in sources.items()
        if name in scales and scales[name] not in taken and _is_wide_float(of.model[path].dtype)
    ]
    if those:
        first = sources[those[0]]
        made.refuse(
            f"{first}{and_more(len(those) - 1)} in the file holds codes of {dtype_name(tensors[first].dtype)}, with "
            f"their scale beside them in {scales[first]}: the codes alone aren't the weights. Multiply them by it "
            "first",
            those,
        )


def _is_wide_float(name: Any) -> bool:
    dtype = getattr(torch, str(name).removeprefix("torch."), None)
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1


def _layout_forms(made: Judgement, of: _Pairs) -> None:
    """Pairs of a known layout whose values lie in two ways."""
    unsure: dict[str, list[str]] = {}
    swapped: dict[str, list[str]] = {}
    for path, pair in join_pairs(of.sources).items():
        ours, theirs = of.model[path].shape, tuple(of.tensors[pair.name].shape)
        if pair.form == pair.wanted or ours is None or path in made.refused:
            continue
        conversion = _conversion(pair, ours, theirs, of.modules)
        if conversion is not None:
            made.conversions[path] = conversion
        elif {pair.form, pair.wanted} == {"pairs", "halves"} and ours == theirs:
            unsure.setdefault(pair.title, []).append(path)
        elif {pair.form, pair.wanted} == {"shift-scale", "scale-shift"} and ours == theirs:
            swapped.setdefault(pair.title, []).append(path)
    for title, paths in swapped.items():
        made.refuse(
            f"{paths[0]}{and_more(len(paths) - 1)}: of {title}, one keeps the rows of the shift before those of the "
            "scale and the other behind them. Swap the two halves of the rows in the file first",
            paths,
        )
    for title, paths in unsure.items():
        made.warnings.append(
            f"{paths[0]}{and_more(len(paths) - 1)}: of {title}, one keeps the rows of queries and keys in pairs and "
            "the other in halves, as their rotary embeddings (RoPE) turn them. Nothing here tells which order this "
            "model wants, and the rows are loaded in the order that they have in the file."
        )


def _conversion(pair: Joined, ours: Any, theirs: Any, modules: Mapping[str, Any]) -> Conversion | None:
    """What is done with one such pair; None where that isn't known, or the shapes speak against it."""
    forms = {pair.form, pair.wanted}
    if forms == {"T", ""} and len(ours) == _MATRIX and theirs == ours[::-1]:
        return transposed(ours, f"transposed, as {pair.title} keep it in two ways")
    if forms == {"1x1", ""} and (theirs == (*ours, 1, 1) or ours == (*theirs, 1, 1)):
        return reshaped(ours, "a convolution of one pixel is a linear layer")
    if forms == {"pairs", "halves"} and ours == theirs:
        owner = modules.get(pair.path.rpartition(".")[0].rpartition(".")[0])
        head_dim = _head_dim(owner)
        is_told = pair.wanted == "pairs" or _turns_halves(owner)
        if head_dim and is_told and ours[0] % head_dim == 0:
            why = f"rows of each head put in the order of this model's rotary embedding, which {pair.title} keep apart"
            return rotary_rows(ours, head_dim, to_halves=pair.wanted == "halves", why=why)
    return None


def _turns_halves(module: Any) -> bool:
    """Whether it is an attention of transformers that is known to turn halves."""
    where = type.__getattribute__(type(module), "__module__")
    is_theirs = isinstance(where, str) and where.startswith("transformers.")
    return is_theirs and type_name(type(module)).rpartition(".")[2] in HALVED_ROTARY


def _head_dim(module: Any) -> int:
    """How many rows a head has, as the attention itself says; 0 where it doesn't."""
    held = object.__getattribute__(module, "__dict__").get("head_dim") if module is not None else None
    return held if type(held) is int and held > 0 and held % 2 == 0 else 0


def _channels_last(made: Judgement, of: _Pairs) -> None:
    """Convolutions that MLX keeps ``[out, *kernel, in]``, where both ways make one shape."""
    those = [
        path
        for path, name in of.sources.items()
        if len(shape := tuple(of.tensors[name].shape)) > _MATRIX
        and shape == of.model[path].shape == (shape[0], *shape[2:], shape[1])
        and shape[1] > 1
        and is_a(of.modules.get(path.rpartition(".")[0]), _ConvNd)
    ]
    if those:
        made.refuse(
            f"{those[0]}{and_more(len(those) - 1)}: the file is laid out for MLX, which keeps the channels of a "
            "convolution last, and the shape doesn't show whether they were turned. Turn them first, and save without "
            "the format mlx",
            those,
        )


def _turned_matrices(made: Judgement, of: _Pairs) -> None:
    """Matrices that lie the other way in the file: those that show it by their shapes, and square ones among them."""
    matrices = {
        path: (tuple(of.tensors[name].shape), shape)
        for path, name in of.sources.items()
        if (shape := of.model[path].shape) is not None
        and len(shape) == len(of.tensors[name].shape) == _MATRIX
        and path not in made.conversions
        and path not in made.refused
        and min(shape) > 1
    }
    turned = {path for path, (theirs, ours) in matrices.items() if theirs == ours[::-1] and theirs != ours}
    if not turned:
        return
    straight = {path for path, (theirs, ours) in matrices.items() if theirs == ours and ours[0] != ours[1]}
    known = set(filter(may_be_turned, matrices))
    if turned & known and not straight & known:
        why = "transposed: the file keeps it [in, out], as Conv1D does, and the model [out, in]"
        made.conversions.update(
            (path, transposed(ours, why)) for path, (theirs, ours) in matrices.items()
            if path in known and theirs == ours[::-1]
        )  # fmt: skip
        turned -= known
    if not turned:
        return
    # A square one shows nothing. It is doubted where one of its own class is turned.
    classes = {type(of.modules.get(path.rpartition(".")[0])) for path in turned}
    doubted = [
        path
        for path, (theirs, ours) in matrices.items()
        if ours[0] == ours[1] == theirs[0] == theirs[1]
        and path not in made.conversions
        and type(of.modules.get(path.rpartition(".")[0])) in classes
    ]
    first = next(path for path in matrices if path in turned)
    shapes = matrices[first]
    told = (
        f"{first}{and_more(len(turned) - 1)} is {shapes[0]} in the file and {shapes[1]} in the model: it looks "
        "transposed"
    )
    made.warnings.append(f"{told}.")
    if doubted:
        more = and_more(len(doubted) - 1)
        made.refuse(f"{told}, and so may be {doubted[0]}{more}, whose square shape doesn't show it", doubted)
