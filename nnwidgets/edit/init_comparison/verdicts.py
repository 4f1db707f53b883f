"""What curves say, in a sentence with its numbers.

A rate per layer is the geometric mean over the steps from the first layer to the last: over n steps a signal that is
multiplied by c at each arrives multiplied by c^n. Xavier and He choose weights so that c is 1 (Glorot and Bengio 2010,
He et al. 2015). A signal is said to be kept where the last layer's lies within ten times the first's, either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nnwidgets.edit.init_comparison.comparison_records import SignalBand, SignalPoint
from nnwidgets.edit.init_comparison.signal_curves import Flaws
from nnwidgets.formatting import counted, inert
from nnwidgets.introspect.signal.thresholds import LIMITS

KEPT = 10.0
"""How many times the first layer's the last's may be, or the first's the last's."""

ALIKE = 1e-3
"""What share of an output may differ from sample to sample where these can't be told apart."""

_MOST_NAME = 60
Bands = Sequence[SignalBand | None]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a signal goes from one end of the layers to the other.

    Attributes:
        places: Where it was seen, in the direction in which it goes.
        stds: Its standard deviation there.
        bad: The first place with NaN or infinite values, or None.
        share: What share of the last differs from sample to sample, 1 where that isn't known.
    """

    places: tuple[str, ...]
    stds: tuple[float, ...]
    bad: str | None
    share: float = 1.0

    @property
    def n_zero(self) -> int:
        """At how many places nothing is left of it."""
        return sum(std == 0 for std in self.stds)

    @property
    def has_depth(self) -> bool:
        """Whether a rate says something."""
        return len(self.stds) >= LIMITS.n_layers and not self.n_zero

    @property
    def change(self) -> float:
        """What it is at the end over what it was at the beginning."""
        return self.stds[-1] / self.stds[0]

    @property
    def rate(self) -> float:
        """What each step multiplies by, the geometric mean of all."""
        return math.exp((math.log(self.stds[-1]) - math.log(self.stds[0])) / (len(self.stds) - 1))

    @property
    def is_kept(self) -> bool:
        """Whether it is there at the end, neither faded nor grown."""
        whole = self.bad is None and not self.n_zero and self.share > ALIKE
        return whole and 1 / KEPT <= self.change <= KEPT

    @property
    def distance(self) -> float:
        """How far it is from being kept as it was, in powers of ten."""
        if self.bad is not None or self.n_zero:
            return math.inf
        if self.share <= ALIKE:
            return -math.log10(self.share) if self.share else math.inf
        return abs(math.log10(self.stds[-1]) - math.log10(self.stds[0]))


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate, judged.

    Attributes:
        name: Its name.
        verdict: What it does, in a sentence.
        forward: How the signal goes; None where it was seen nowhere.
        backward: The same of gradients.
        is_kept: Whether the signal is kept both ways.
        is_flawed: Whether something else is wrong.
        is_seen: Whether it ran to its end, and its layers gave something.
        distance: How far it is from being kept without a flaw.
        noun: What the places are, ``"layer"`` or ``"call"``.
    """

    name: str
    verdict: str
    forward: _Way | None
    backward: _Way | None
    is_kept: bool
    is_flawed: bool
    is_seen: bool
    distance: float
    noun: str

    @property
    def is_clean(self) -> bool:
        """Whether the signal is kept, and nothing else is wrong."""
        return self.is_kept and not self.is_flawed

    @property
    def is_single(self) -> bool:
        """Whether it was seen at one place only."""
        return any(way is not None and len(way.stds) == 1 for way in (self.forward, self.backward))


def judge(
    name: str,
    points: Sequence[SignalPoint],
    curves: tuple[Bands, Bands],
    shares: Sequence[float | None],
    *,
    layers: Sequence[int],
    flaws: Flaws,
    error: str | None = None,
) -> Judged:
    """Say what a candidate does.

    Args:
        name: Its name.
        points: The x axis.
        curves: Its bands, forward and back.
        shares: Of each point, what share differs from sample to sample.
        layers: Which points count, as `places_of` has it.
        flaws: What isn't seen in them.
        error: What raised, with where, or None.
    """
    noun = "layer" if all(points[at].is_layer for at in layers) else "call"
    forward = _way(points, curves[0], layers)
    if forward is not None:
        forward = replace(forward, share=_last_share([shares[at] for at in layers]))
    # A gradient that is the same everywhere, as a mean's is, does arrive, and its std tells nothing.
    given = [band and (band if band.mean or band.n_zero else None) for band in curves[1]]
    backward = _way(points, given, layers[::-1])
    said = [f"raised {inert(error, 200)}"] if error else []
    if forward is not None:
        said.append(_forward_words(forward, noun))
    if backward is not None:
        said.append(_backward_words(backward, noun))
    said += _flaw_words(flaws)
    ways = [way for way in (forward, backward) if way is not None]
    is_flawed = bool(error or flaws.n_symmetric or flaws.n_silent) or 2 * flaws.n_saturated > flaws.n_flat_kinds
    distance = math.inf if error else max((way.distance for way in ways), default=math.inf)
    verdict = "; ".join(said) or "nothing was seen of it"
    return Judged(
        name,
        f"{verdict}.",
        forward,
        backward,
        bool(ways) and not error and all(way.is_kept for way in ways),
        is_flawed,
        bool(ways) and not error,
        math.inf if is_flawed else distance,
        noun,
    )


def places_of(points: Sequence[SignalPoint], filled: Sequence[str]) -> list[int]:
    """Which points count: layers, or all calls where most of what is filled belongs to none of them.

    Args:
        points: The x axis.
        filled: The paths of the matrices that are filled.

    Example:
        >>> points = [SignalPoint("rnn", 0, "LSTM", False), SignalPoint("head", 0, "Linear", True)]
        >>> places_of(points, ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]), places_of(points, ["head.weight"])
        ([0, 1], [1])
    """
    layers = [at for at, point in enumerate(points) if point.is_layer]
    paths = {points[at].path for at in layers}
    n_outside = sum(_owner(each) not in paths for each in filled)
    return layers if layers and 2 * n_outside <= len(filled) else list(range(len(points)))


def _owner(path: str) -> str:
    before, found, _ = f".{path}".rpartition(".parametrizations.")
    return (before if found else f".{path}".rpartition(".")[0]).removeprefix(".")


def _way(points: Sequence[SignalPoint], bands: Bands, order: Sequence[int]) -> _Way | None:
    found = [(at, band) for at in order if (band := bands[at]) is not None]
    known = [(at, band) for at, band in found if not math.isnan(band.mean)]
    bad = next((at for at, band in found if band.n_nonfinite), None)
    if not known and bad is None:
        return None
    return _Way(
        tuple(_place(points[at]) for at, _ in known),
        tuple(band.mean for _, band in known),
        None if bad is None else _place(points[bad]),
    )


def _last_share(shares: Sequence[float | None]) -> float:
    """The share at the last layer; 1 where it isn't known, or samples are alike from the beginning."""
    known = [each for each in shares if each is not None]
    return known[-1] if known and known[-1] is shares[-1] and known[0] > KEPT * ALIKE else 1.0


def _place(point: SignalPoint) -> str:
    again = f" (call {point.call_index + 1})" if point.call_index else ""
    return f"{point.path or 'the model itself'}{again}"


def _forward_words(way: _Way, noun: str) -> str:
    if way.bad is not None:
        return f"there are NaN or infinite values at {way.bad}"
    if way.n_zero:
        where = way.places[way.stds.index(0)]
        more = f", and at {way.n_zero} of {counted(len(way.stds), noun)}" if way.n_zero > 1 else ""
        return f"std is 0 at {where}{more}"
    last = f"{way.stds[-1]:.2g} at {way.places[-1]}"
    if len(way.stds) == 1:
        return f"std is {last}"
    if not way.has_depth:
        return f"std is {way.stds[0]:.2g} at {way.places[0]} and {last}"
    alike = f", of which {way.share:.1g} differs from sample to sample" if way.share <= ALIKE else ""
    return f"std {_verb(way)} per {noun}: {last}, the last of {len(way.stds)}{alike}{_on_the_way(way)}"


def _backward_words(way: _Way, noun: str) -> str:
    if way.bad is not None:
        return f"there are NaN or infinite gradients at {way.bad}"
    if way.n_zero:
        return f"no gradient arrives at {way.n_zero} of {counted(len(way.stds), noun)}"
    if len(way.stds) == 1:
        return f"the gradient at {way.places[0]} is {way.stds[0]:.2g}"
    share = f"{way.change:.2g} of that at {way.places[0]}"
    if not way.has_depth:
        return f"the gradient at {way.places[-1]} is {share}"
    return f"the gradient {_verb(way)} per {noun} on the way back: at {way.places[-1]} it is {share}{_on_the_way(way)}"


def _verb(way: _Way) -> str:
    if way.share <= ALIKE and 1 / KEPT <= way.change <= KEPT:
        return f"stays at {way.rate:.2g}"
    if way.is_kept:
        return f"keeps {way.rate:.2g}"
    return f"falls to {way.rate:.2g}" if way.change < 1 else f"grows {way.rate:.2g} times"


def _on_the_way(way: _Way) -> str:
    """What both ends hide: that it was far beyond them in between."""
    low, high = min(way.stds), max(way.stds)
    ends = sorted((way.stds[0], way.stds[-1]))
    if low * KEPT >= ends[0] and high <= ends[1] * KEPT:
        return ""
    return f", between {low:.2g} and {high:.2g} on the way"


def _flaw_words(flaws: Flaws) -> list[str]:
    said = []
    if flaws.n_symmetric:
        said.append(
            f"all units of {counted(flaws.n_symmetric, 'weight')} of {flaws.n_weights} get the same gradient and stay "
            "alike"
            if flaws.n_symmetric > 1
            else "all units of a weight get the same gradient and stay alike"
        )
    if flaws.n_saturated:
        verb = "is" if flaws.n_saturated == 1 else "are"
        said.append(f"{flaws.n_saturated} of {counted(flaws.n_flat_kinds, 'activation')} {verb} saturated")
    if flaws.n_silent:
        gives = "gives" if flaws.n_silent == 1 else "give"
        said.append(f"{flaws.n_silent:,} of {counted(flaws.n_units, 'unit')} {gives} 0 for all of the batch")
    return said


def compare(judged: Sequence[Judged]) -> str:
    """What candidates do beside each other, in a few sentences: the farthest off, then what keeps the signal.

    Args:
        judged: All of them, in the order they were given.
    """
    if len(judged) == 1:
        return _sentence(judged[0])
    clean = sorted((each for each in judged if each.is_clean), key=lambda each: each.distance)
    others = [each for each in judged if not each.is_clean]
    if not others and all(each.is_single for each in clean):
        told = "; ".join(f"{_name(each)} gives {_numbers(each)}" for each in clean)
        return f"There is one {clean[0].noun} only, which tells nothing of depth: {told}."
    if not others:
        told = "; ".join(f"{_name(each)} {_numbers(each)}" for each in clean)
        return f"All keep the signal within {KEPT:.0f} times from the first layer to the last: {told}."
    worst = max(others, key=lambda each: each.distance)
    if clean:
        told = "; ".join(f"{_name(each)} {'gives' if each.is_single else 'keeps'} {_numbers(each)}" for each in clean)
        return f"{_sentence(worst)} {told}."
    is_kept = any(each.is_kept for each in others)
    none = "None keeps the signal without a flaw." if is_kept else "None keeps the signal."
    if not any(each.is_seen for each in others):
        none = "None can be judged."
    nearest = min(others, key=lambda each: each.distance)
    if nearest is worst or math.isinf(nearest.distance):
        return f"{none} {' '.join(map(_sentence, others))}"
    return f"{none} Nearest to it: {_sentence(nearest)} Farthest: {_sentence(worst)}"


def _sentence(each: Judged) -> str:
    return f"{_name(each)}: {each.verdict}"


def _name(each: Judged) -> str:
    return inert(each.name, _MOST_NAME)


def _numbers(each: Judged) -> str:
    """Rates per layer where there is depth, else what the last is of the first; of gradients the other way round."""
    ways = [way for way in (each.forward, each.backward) if way is not None]
    if each.is_single:
        return f"a std of {ways[0].stds[-1]:.2g} at {ways[0].places[-1]}"
    has_depth = all(way.has_depth for way in ways)
    said = [f"{way.rate if has_depth else way.change:.2g}" for way in ways]
    what = " of the std" if len(said) == 1 else f" of the std and {said[1]} of the gradient"
    unit = " per layer" if has_depth else " from one end to the other"
    return f"{said[0]}{what}{unit}"
