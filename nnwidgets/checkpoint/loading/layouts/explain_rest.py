"""What names in a file mean that go with nothing in the model: adapters, halves of a norm, fused weights, codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nnwidgets.checkpoint.description import Described
from nnwidgets.checkpoint.loading.layouts.judge_pairs import codes_with_scales
from nnwidgets.checkpoint.loading.layouts.known_layouts import ADAPTERS, FUSED, SYNONYMS
from nnwidgets.formatting import and_more

_QKV = {name for names in SYNONYMS if names[0] in "qkv" for name in names}


class Explained(NamedTuple):
    """What is known of them.

    Attributes:
        names: In the file; none of them is a tensor of the model by another name.
        sentences: What they are.
    """

    names: set[str]
    sentences: list[str]


def explain(left: Mapping[str, Described], missing: list[str]) -> Explained:
    """Tell what is left of a file.

    Args:
        left: Tensors of the file that go with nothing, by the names that they have after renaming.
        missing: Paths of the model that nothing goes with.
    """
    parts = {part for path in missing for part in path.split(".")}
    made = Explained(set(), [])
    for those, sentence in (
        _adapter(left, parts), _norm_halves(left, parts), _fused(left, parts), _codes(left), _quantized(left)
    ):  # fmt: skip
        made.names.update(those)
        if those:
            made.sentences.append(sentence)
    return made


def _adapter(left: Mapping[str, Described], parts: set[str]) -> tuple[list[str], str]:
    kinds = {part: kind for part, kind in ADAPTERS.items() if part not in parts}
    those = {name: kinds[part] for name in left for part in name.split(".") if part in kinds}
    if not those:
        return [], ""
    first, kind = next(iter(those.items()))
    return list(those), (
        f"{first}{and_more(len(those) - 1)} is of a {kind} adapter: it is added to the weights of a base model, and is "
        "none of them. What made it puts it on a base model; of PEFT's that is PeftModel.from_pretrained(net, folder)."
    )


_HALVES = (
    ("weight_g", ("weight_v",), "weight norm"),
    ("parametrizations.weight.original0", ("parametrizations.weight.original1",), "weight norm"),
    ("weight_orig", ("weight_u", "weight_v"), "spectral norm"),
    ("weight_orig", ("weight_mask",), "pruning"),
    ("bias_orig", ("bias_mask",), "pruning"),
    ("parametrizations.weight.original", ("parametrizations.weight.0._u", "parametrizations.weight.0._v"),
     "spectral norm"),
)  # fmt: skip


def _norm_halves(left: Mapping[str, Described], parts: set[str]) -> tuple[list[str], str]:
    """Parts that a norm or a pruning makes a weight of, where the model has no such thing."""
    those: list[str] = []
    told = ""
    for name in left:
        for last, others, norm in _HALVES:
            owner = name.removesuffix(last)
            if not name.endswith(last) or (owner and not owner.endswith(".")):
                continue
            together = [name, *(f"{owner}{other}" for other in others)]
            is_whole = all(each in left for each in together)
            if is_whole and not {"weight_g", "weight_orig", "bias_orig", "parametrizations"} & parts:
                those += together
                what = "bias" if last.startswith("bias") else "weight"
                told = told or (
                    f"{' and '.join(together[:2])} in the file are parts of a {norm}, which makes the {what} of them; "
                    f"neither is {owner}{what}. Put the {norm} on the model before loading, or take it off the one "
                    "that is saved."
                )
    return those, told


def _fused(left: Mapping[str, Described], parts: set[str]) -> tuple[list[str], str]:
    those = [name for name in left if any(part in FUSED for part in name.split(".")[-2:])]
    if not those or not parts & _QKV or parts.intersection(FUSED):
        return [], ""
    return those, (
        f"{those[0]}{and_more(len(those) - 1)} in the file holds query, key and value in one; the model has them "
        "apart. Split it first: a rename can't."
    )


def _codes(left: Mapping[str, Described]) -> tuple[list[str], str]:
    scales = codes_with_scales(left)
    if not scales:
        return [], ""
    first, scale = next(iter(scales.items()))
    return [*scales, *scales.values()], (
        f"{first}{and_more(len(scales) - 1)} in the file holds codes, with their scale beside them in {scale}: the "
        "codes alone aren't the weights."
    )


def _quantized(left: Mapping[str, Described]) -> tuple[list[str], str]:
    those = [name for name in left if name.endswith(".scale") and f"{name.removesuffix('scale')}zero_point" in left]
    if not those:
        return [], ""
    return [each for name in those for each in (name, f"{name.removesuffix('scale')}zero_point")], (
        f"{those[0]}{and_more(len(those) - 1)} in the file is of a quantized module, or one prepared for it: load the "
        "file into a model that was quantized or prepared in the same way."
    )
