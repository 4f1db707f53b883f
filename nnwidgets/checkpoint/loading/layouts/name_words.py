"""Words of names: what means the same, and what speaks against two names being one tensor, however much else agrees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from nnwidgets.checkpoint.loading.layouts.known_layouts import SYNONYMS, WRAPPERS

Parts = tuple[str, ...]

_MEANING = {each.replace("_", ""): names[0].replace("_", "") for names in SYNONYMS for each in names}
_COMPONENT = re.compile(r"[^\d]+|\d+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_OF_A_NORM = frozenset({"gamma", "beta"})
_NORM = re.compile(r"norm|bn|ln", re.IGNORECASE)


def words(name: str) -> Parts:
    """A name's components, each as the word that stands for all of its meaning; numbers apart; wrappers left out.

    Example:
        >>> words("module.blocks.3.self_attn.LayerNorm1.gamma")
        ('layer', '3', 'attn', 'norm', '1', 'weight')
    """
    made: list[str] = []
    for plain, meaning in _plain_and_meaning(_parts(name)):
        if meaning is not None:
            made.append(meaning)
        else:
            made += [_MEANING.get(each, each) for each in _COMPONENT.findall(plain)]
    return tuple(made)


def components(name: str) -> Parts:
    """A name's components, each as the word that stands for all of its meaning."""
    return tuple(plain if meaning is None else meaning for plain, meaning in _plain_and_meaning(_parts(name)))


def _parts(name: str) -> list[str]:
    """A name's components but for wrappers."""
    return [part for part in name.split(".") if part not in WRAPPERS]


def _plain_and_meaning(parts: Sequence[str], before: str = "") -> list[tuple[str, str | None]]:
    """Components without case and underscores, and what each means as a whole.

    Gamma and beta are a norm's weight and bias; elsewhere they are gates and scales of layers.
    """
    made: list[tuple[str, str | None]] = []
    for part in parts:
        plain = part.lower().replace("_", "") or part
        is_other = plain in _OF_A_NORM and not _NORM.search(before)
        made.append((plain, None if is_other else _MEANING.get(plain)))
        before = part
    return made


def difference(name: str, path: str) -> tuple[Counter[str], Counter[str]]:
    """The words that only one of two names has: those of the one, those of the other.

    Example:
        >>> [list(each) for each in difference("layers.0.pre_norm.weight", "blocks.0.post_norm.weight")]
        [['pre'], ['post']]
    """
    theirs, ours = _parts(name), _parts(path)
    start, end = 0, min(len(theirs), len(ours))
    while start < end and theirs[start] == ours[start]:
        start += 1
    while start < end and theirs[-1] == ours[-1]:
        end -= 1
        theirs.pop()
        ours.pop()
    before = theirs[start - 1] if start else ""
    one, other = Counter(_small_words(theirs[start:], before)), Counter(_small_words(ours[start:], before))
    return one - other, other - one


def _small_words(parts: Sequence[str], before: str) -> list[str]:
    made: list[str] = []
    for part, (_, meaning) in zip(parts, _plain_and_meaning(parts, before), strict=True):
        made += [each.lower() for each in _WORD.findall(part)] if meaning is None else [meaning]
        if meaning == "attn" and "self" in part:
            made.append("self")
    return made


def are_contrary(name: str, path: str, apart: tuple[Counter[str], Counter[str]] | None = None) -> bool:
    """Whether words of two names speak against their being one tensor.

    Args:
        name: The one.
        path: The other.
        apart: Their `difference`, where it is known.

    Example:
        >>> are_contrary("fc_mu.weight", "fc_logvar.weight"), are_contrary("out.weight", "output.weight")
        (True, False)
    """
    theirs, ours = difference(name, path) if apart is None else apart
    if is_another_kind(name, path) or is_no_weights(theirs) or is_no_weights(ours):
        return True
    if _are_contrary_in_place(name, path):
        return True
    if not (theirs and ours):
        return not QUALIFIERS.isdisjoint(theirs or ours)
    if len(theirs) == len(ours) == 1 and all(len(each) == 1 and each.isalpha() for each in (*theirs, *ours)):
        return True
    return _are_numbered(name, theirs, path, ours) or _are_in_contrast(theirs, ours)


def _are_contrary_in_place(name: str, path: str) -> bool:
    """Whether components in one place are in contrast, or are one another turned round: ``a_to_b`` and ``b_to_a``."""
    theirs, ours = _parts(name), _parts(path)
    if len(theirs) != len(ours):
        return False
    for one, other in zip(theirs, ours, strict=True):
        if one != other:
            words, others = _small_words([one], ""), _small_words([other], "")
            if "to" in words and sorted(words) == sorted(others):
                return True
            if _are_in_contrast(Counter(words), Counter(others)):
                return True
    return False


def _are_numbered(name: str, theirs: Counter[str], path: str, ours: Counter[str]) -> bool:
    """Whether numbers within words differ: ``fc2`` isn't ``fc3``, while ``layers.2`` may have become ``layers.3``."""
    both = [[each for each in those if each.isdecimal()] for those in (theirs, ours)]
    return all(both) and not ({*both[0]}.issubset(name.split(".")) and {*both[1]}.issubset(path.split(".")))


def _are_in_contrast(theirs: Counter[str], ours: Counter[str]) -> bool:
    one, other = contrasts_of(theirs), contrasts_of(ours)
    return any(one[contrast].isdisjoint(other[contrast]) for contrast in one.keys() & other.keys())


def contrasts_of(those: Iterable[str]) -> dict[int, set[int]]:
    """By contrast that words are in: on which sides of it."""
    made: dict[int, set[int]] = {}
    for word in those:
        for contrast, side in _CONTRASTS_OF.get(word, ()):
            made.setdefault(contrast, set()).add(side)
    return made


def is_another_kind(name: str, path: str) -> bool:
    """Whether one name ends in what torch calls a kind of tensor, and the other's ending doesn't mean that.

    Example:
        >>> is_another_kind("fc.weight_orig", "fc.weight"), is_another_kind("norm.gamma", "norm.weight")
        (True, False)
    """
    if name.rpartition(".")[2] == path.rpartition(".")[2]:
        return False
    theirs, ours = (components(each)[-1:] for each in (name, path))
    return theirs != ours and any(_KIND.fullmatch("".join(each)) for each in (theirs, ours))


def is_no_weights(those: Iterable[str]) -> bool:
    """Whether words of a name say that the tensor only belongs to weights of the same name.

    Example:
        >>> is_no_weights(["exp", "avg"]), is_no_weights(["ema", "model"])
        (True, False)
    """
    return not _NO_WEIGHTS.isdisjoint(those)


_KIND = re.compile(r"weight|bias|runningmean|runningvar|numbatchestracked|(weight|bias)(ih|hh)l\d+(reverse)?")
"""The last component of tensors that torch's own modules have, as `components` writes it."""

QUALIFIERS = frozenset({
    "orig", "raw", "ema", "avg", "average", "swa", "shadow", "momentum", "scale", "scales", "zero", "zeros", "log",
    "inv", "inverse", "reverse", "data", "qdata", "quant", "quantized", "int", "int8", "fp8", "packed", "codes",
    "delta", "diff", "aux", "auxiliary", "extra", "prev", "previous", "old", "backup", "init", "initial", "teacher",
    "target", "std", "var", "mean", "min", "max", "count", "norm", "cross", "pre", "post", "context", "added", "second",
    "secondary", "index", "ids",
})  # fmt: skip
"""Words that, in one name alone, make it another tensor than the one without them."""

_NO_WEIGHTS = frozenset({
    "grad", "grads", "gradient", "gradients", "fisher", "mask", "masks", "exp", "sq", "square", "moment", "moments",
    "buffer",
})  # fmt: skip

CONTRASTS = (
    ("weight w", "bias b", "mean mu", "var variance logvar logstd std sigma", "tracked", "scale", "shift offset"),
    ("q query", "k key", "v value", "o out output oproj", "r receptance"),
    ("encoder enc", "decoder dec"),
    ("up", "down", "gate"),
    ("in input pre before first start begin", "out output post after last end final"),
    ("left", "right"), ("top", "bottom"), ("row h height vertical", "col column w width horizontal"), ("x", "y", "z"),
    ("teacher", "student"), ("online", "target"), ("generator gen", "discriminator disc", "critic"),
    ("actor policy pi", "critic value vf qf baseline"),
    ("visual vision image img pixel", "text txt language lang word", "audio speech wav mel acoustic", "video"),
    ("rgb", "flow", "depth"), ("real", "imag"), ("forward fwd", "backward bwd reverse"),
    ("src source", "tgt trg target dst"), ("user", "item"), ("head", "tail"), ("subject", "object"),
    ("question", "answer"), ("anchor", "positive", "negative"), ("content", "style"), ("clean", "noisy"),
    ("cls class classes classifier classification", "reg regressor regression bbox box boxes",
     "mask masks seg segmentation", "obj objectness", "iou", "kpt keypoint keypoints", "depth", "angle"),
    ("position pos positional wpe", "token tok tokens word wte", "type segment", "time timestep"),
    ("hh", "ih"), ("self", "cross encoder enc"), ("dw depthwise", "pw pointwise"), ("spatial", "temporal"),
    ("alpha", "beta", "gamma", "delta", "lambda", "mu", "sigma", "theta", "phi", "rho", "tau", "eps"),
    ("min", "max", "mean"), ("low", "high"), ("small", "large"), ("short", "long"), ("local", "global"),
    ("coarse", "fine"), ("shallow", "deep"), ("hard", "soft"), ("train", "eval", "test", "val"),
    ("attn attention att input", "mlp ffn ff feed feedforward", "final"), ("encoderq", "encoderk"),
    ("embed embedding emb embeddings", "unembed", "norm ln bn layernorm"),
    ("lm", "shared"),
    ("norm ln bn layernorm batchnorm", "proj linear lin fc dense conv dwconv"),
)  # fmt: skip
"""Words that are never one another, however much speaks for it; those of one text mean the same here."""

_CONTRASTS_OF: dict[str, list[tuple[int, int]]] = {}
for _contrast, _those in enumerate(CONTRASTS):
    for _side, _texts in enumerate(_those):
        for _text in _texts.split():
            _CONTRASTS_OF.setdefault(_text, []).append((_contrast, _side))
