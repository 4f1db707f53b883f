"""The state dicts of a file, and how well each fits a model: told by names and shapes, not by what a key is called.

Every dict of tensors by name is one, however deep it lies; so is a dict of such dicts, by dotted names, and several
dicts beside each other that are the model together. `state_dict.find` chooses among them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from nnwidgets.checkpoint.description import DESCRIBED, Described, Opaque, Step, dtype_name, name_of, wrapped_in
from nnwidgets.checkpoint.objects.inside_objects import Insides
from nnwidgets.checkpoint.records import StateDictEntry

Model = Mapping[str, tuple[tuple[int, ...] | None, str]]
"""Shape and dtype of each tensor of a model's state dict, by path; a lazy one has no shape yet."""

_CONTAINERS = (dict, list, tuple, Opaque)
_MOST_DEPTH = 32
_MOST_PREFIX = 8
_MOST_SHARED = 12
_MOST_SAMPLED = 500
EXTRA_STATE = "_extra_state"
"""What the name of a module's extra state ends in: whatever it holds belongs to the state dict that it is in."""
_SECOND = frozenset({
    "ema", "emas", "swa", "averaged", "average", "avg", "shadow", "polyak", "lookahead",
    "grad", "grads", "gradients", "momentum",
})  # fmt: skip
"""Words of a name that say: averages of the weights, or numbers that belong to them, not the weights as trained."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


@dataclass(eq=False)
class Node:
    """A dict by text in a file that has tensors, in it or below, or else a model's state.

    Attributes:
        steps: The way to it.
        held: It.
        direct: The tensors in it.
        children: The dicts by text in it that have tensors.
        n_tensors: How many are in it and below.
    """

    steps: tuple[Step, ...]
    held: dict[str, Any]
    direct: dict[str, Described]
    children: dict[str, Node] = field(default_factory=dict)
    n_tensors: int = 0

    @cached_property
    def has_others_alone(self) -> bool:
        """Whether it is the state dict of a model without plain tensors: of extra state, or of wrapped ones alone."""
        return not self.n_tensors and (
            any(key.endswith(EXTRA_STATE) for key in self.held) or bool(wrapped_in(self.held))
        )

    @property
    def n_elements(self) -> int:
        """Elements of the tensors in it and below."""
        return sum(tensor.n_elements for _, node in _dicts_below(self) for tensor in node.direct.values())

    @property
    def is_main(self) -> bool:
        """Whether no dict in it has more elements in tensors than it has itself, or more than twice as many tensors."""
        n_elements, n = sum(tensor.n_elements for tensor in self.direct.values()), 2 * len(self.direct)
        below = self.children.values()
        return n > 0 and all(child.n_elements <= n_elements and child.n_tensors <= n for child in below)

    @property
    def name(self) -> str:
        """Where it is: ``""`` for the whole file, ``"model"``, ``"models[1]"``."""
        return name_of(self.steps)


@dataclass(frozen=True, slots=True)
class Part:
    """A dict that a state dict is made of.

    Attributes:
        steps: The way to it.
        prefix: What stands before its names in the state dict.
        stripped: What its names begin with and the state dict's don't; others of it are left out.
        is_mixed: Whether the dict holds anything but tensors.
    """

    steps: tuple[Step, ...]
    prefix: str = ""
    stripped: str = ""
    is_mixed: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a state dict fits a model.

    Attributes:
        n_named: Tensors of the model that it has by name and shape, after `prefix`.
        n_shaped: Tensors of the model that it has by shape, whatever their names.
        n_typed: Those that it has by name, shape and dtype.
        prefix: What its names, or the model's, begin with and the others don't.
        n_extra: Its tensors that the model doesn't have by name.
    """

    n_named: int = 0
    n_shaped: int = 0
    n_typed: int = 0
    prefix: str = ""
    n_extra: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        """The more, the better."""
        return self.n_named + self.n_shaped, self.n_named


NO_FIT = Fit()


@dataclass(slots=True, eq=False)
class Reading:
    """One way to take a state dict from a file.

    Attributes:
        node: The dict that it is, or is in.
        parts: What it is made of.
        tensors: Its tensors by name.
        fit: How well it fits.
        together: Names of the dicts that are put together, where these aren't all that the node has.
    """

    node: Node
    parts: tuple[Part, ...]
    tensors: dict[str, Described]
    fit: Fit = NO_FIT
    together: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How ``entry=`` calls it."""
        first = self.parts[0]
        stripped = first.stripped.removesuffix(".")
        return name_of((*self.node.steps, ("key", stripped))) if stripped else self.node.name

    def record(self, why: str = "") -> StateDictEntry:
        """It, to be shown."""
        n_elements = sum(each.n_elements for each in self.tensors.values())
        return StateDictEntry(self.name, len(self.tensors), n_elements, why)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        nodes: Its dicts of tensors, each before those in it.
        optimizers: Optimizers' states, by where they are.
    """

    nodes: tuple[Node, ...]
    optimizers: dict[str, tuple[tuple[Step, ...], Any]]

    def listed(self) -> Iterator[Node]:
        """The state dicts to be told of: those with tensors in them, and those that put several together.

        The file as a whole is one where it has as much in tensors of its own as any dict in it: what lies beside the
        model is a best loss or the state of a random generator.
        """
        for node in self.nodes:
            if node.has_others_alone or (node.is_main if not node.steps else node.direct or len(node.children) > 1):
                yield node


def read_contents(content: Any) -> Contents:
    """Find the state dicts and the optimizers' states in what a file holds, in its described objects too.

    Raises:
        CheckpointMismatchError: A pickled module near the top holds itself, or its names are without end.

    Example:
        >>> read_contents({"epoch": 3, "optimizer_states": [{"state": {}, "param_groups": []}]}).optimizers.keys()
        dict_keys(['optimizer_states[0]'])
    """
    nodes: list[tuple[Node, Node | None]] = []
    optimizers: dict[str, tuple[tuple[Step, ...], Any]] = {}
    insides = Insides()
    waiting: list[tuple[tuple[Step, ...], Any, Node | None, bool]] = [((), content, None, False)]
    while waiting:
        steps, held, parent, is_within = waiting.pop()
        value = insides.of(held, steps, is_within=is_within)
        is_within = is_within or value is not held
        if is_optimizer(value):
            optimizers.setdefault(name_of(steps), (steps, value))
            continue
        kind: Literal["key", "index"] = "index"
        node = None
        inside: Iterable[tuple[Any, Any]] = enumerate(value) if isinstance(value, list | tuple) else ()
        if isinstance(value, dict):
            kind, inside = "key", value.items()
            if all(isinstance(key, str) for key in value):
                direct = {key: each for key, each in value.items() if isinstance(each, DESCRIBED)}
                node = Node(steps, value, direct, n_tensors=len(direct))
                nodes.append((node, parent))
        if len(steps) < _MOST_DEPTH:
            below = [
                ((*steps, (kind, key)), each, node, is_within)
                for key, each in inside
                if isinstance(each, _CONTAINERS) and not (isinstance(key, str) and key.endswith(EXTRA_STATE))
            ]
            waiting.extend(reversed(below))
    for node, parent in reversed(nodes):
        if parent is not None and node.n_tensors:
            parent.children[str(node.steps[-1][1])] = node
            parent.n_tensors += node.n_tensors
    for node, _ in nodes:
        node.children = dict(reversed(node.children.items()))
    return Contents(tuple(node for node, _ in nodes if node.n_tensors or node.has_others_alone), optimizers)


def is_optimizer(value: Any) -> bool:
    """Whether it is what an optimizer's ``state_dict()`` gives."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("state"), dict) and isinstance(value.get("param_groups"), list)


def is_second(name: str) -> bool:
    """Whether a name says that it holds averages of weights, gradients or moments, not the weights as trained.

    Example:
        >>> is_second("model_ema"), is_second("netG_EMA"), is_second("schema")
        (True, True, False)
    """
    return any(word.lower() in _SECOND for word in _WORD.findall(name))


def _dicts_below(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """A dict and the dicts in it that have tensors of their own, in order, with what is put before their names."""
    waiting: list[tuple[str, Node]] = [(prefix, node)]
    while waiting:
        prefix, here = waiting.pop()
        if here.direct or here.has_others_alone:
            yield prefix, here
        waiting.extend((f"{prefix}{key}.", child) for key, child in reversed(here.children.items()))


def plain_reading(node: Node) -> Reading:
    """A dict as it is; by dotted names where only the dicts in it have tensors."""
    if node.direct or node.has_others_alone:
        return _reading_of(node, [("", node)])
    return deep_reading(node)


def deep_reading(node: Node) -> Reading:
    """A dict with the dicts in it, by dotted names."""
    return _reading_of(node, list(_dicts_below(node)))


def _reading_of(node: Node, dicts: Sequence[tuple[str, Node]], together: Sequence[str] = ()) -> Reading:
    parts = tuple(Part(each.steps, prefix, is_mixed=len(each.direct) < len(each.held)) for prefix, each in dicts)
    tensors = {f"{prefix}{name}": tensor for prefix, each in dicts for name, tensor in each.direct.items()}
    if len(dicts) == 1 and not dicts[0][0]:
        tensors = dicts[0][1].direct
    return Reading(node, parts, tensors, together=tuple(together))


def stripped_reading(node: Node, prefix: str) -> Reading | None:
    """The tensors of a dict whose names begin alike, without that; None where none do."""
    found = {name.removeprefix(prefix): each for name, each in node.direct.items() if name.startswith(prefix)}
    return Reading(node, (Part(node.steps, stripped=prefix),), found) if found else None


def joined_reading(node: Node, model: Model) -> Reading | None:
    """The dicts in a dict that are the model together, each under its key or as it is; None where one alone is."""
    ways = [("", [("", node)])] if node.direct else []
    ways += [
        (key, list(_dicts_below(child, prefix))) for key, child in node.children.items() for prefix in ("", f"{key}.")
    ]
    choices: list[tuple[bool, int, str, list[tuple[str, Node]], dict[str, Described]]] = []
    for key, dicts in ways:
        tensors = _reading_of(node, dicts).tensors
        choices.append((is_second(key), -count_named(tensors, model), key, dicts, tensors))
    # The weights as trained go first: an average of them has the same names.
    choices.sort(key=lambda each: each[:2])
    made: dict[str, Described] = {}
    chosen: dict[str, list[tuple[str, Node]]] = {}
    for _, n_named, key, dicts, tensors in choices:
        if n_named and key not in chosen and made.keys().isdisjoint(tensors):
            made |= tensors
            chosen[key] = dicts
    together = [key or "the tensors beside them" for key in chosen]
    if len(chosen) in (0, 1):
        return None
    return _reading_of(node, [each for dicts in chosen.values() for each in dicts], together)


class ModelNames:
    """A model's tensors as other names are held against them: by path, by shape, and by the endings of paths."""

    def __init__(self, model: Model) -> None:
        """Take a model's."""
        self.model = model
        self.shapes: Counter[Any] = Counter(shape for shape, _ in model.values())

    @cached_property
    def beginnings(self) -> dict[str, list[str]]:
        """What stands before each ending of the paths; nothing of an ending that many paths share."""
        made: dict[str, list[str]] = {}
        for path in self.model:
            for rest in _endings(path):
                made.setdefault(rest, []).append(path[: -len(rest)])
        return {rest: before for rest, before in made.items() if len(before) <= _MOST_SHARED}


def count_named(tensors: Mapping[str, Described], model: Model) -> int:
    """How many tensors of the model these are, by name and shape."""
    return sum(_is_shape(model.get(name), tensor) for name, tensor in tensors.items())


def _is_shape(ours: tuple[tuple[int, ...] | None, str] | None, theirs: Described) -> bool:
    return ours is not None and (ours[0] is None or ours[0] == tuple(theirs.shape))


def fit_of(tensors: Mapping[str, Described], ours: ModelNames, prefix: str = "", *, is_added: bool = False) -> Fit:
    """How well tensors fit a model.

    Args:
        tensors: By name.
        ours: The model's.
        prefix: What the tensors' names, or where ``is_added`` the model's, begin with and the others don't.
        is_added: See there.
    """
    model = ours.model
    if is_added:
        paths = {name: prefix + name for name in tensors}
    else:
        paths = {name: name.removeprefix(prefix) for name in tensors if name.startswith(prefix)}
    named = [name for name, path in paths.items() if _is_shape(model.get(path), tensors[name])]
    n_shaped = len(named)
    if n_shaped < min(len(model), len(tensors)):
        theirs: Counter[Any] = Counter(tuple(tensors[name].shape) for name in paths)
        n_shaped = max(n_shaped, sum((theirs & ours.shapes).values()))
    return Fit(
        n_named=len(named),
        n_shaped=n_shaped,
        n_typed=sum(model[paths[name]][1] == dtype_name(tensors[name].dtype) for name in named),
        prefix=prefix,
        n_extra=len(tensors) - len(named),
    )


def _prefixed_fit(tensors: Mapping[str, Described], ours: ModelNames) -> Fit | None:
    """The fit by the prefix that brings most names together, of many names some; None where none does."""
    removed: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for name, tensor in islice(tensors.items(), 0, None, max(1, len(tensors) // _MOST_SAMPLED)):
        removed.update(name[: -len(rest)] for rest in _endings(name) if _is_shape(ours.model.get(rest), tensor))
        added.update(ours.beginnings.get(name, ()))
    found = [
        fit_of(tensors, ours, votes.most_common(1)[0][0], is_added=votes is added)
        for votes in (removed, added)
        if votes
    ]
    return max(found, key=lambda fit: fit.rank, default=None)


def _endings(name: str) -> Iterator[str]:
    """What is left of a name without its first components."""
    rest = name
    for _ in range(_MOST_PREFIX):
        _, dot, rest = rest.partition(".")
        if not dot or not rest:
            return
        yield rest


@dataclass(frozen=True, slots=True)
class Choice:
    """The state dicts of a file that fit a model best.

    Attributes:
        best: One, or several that nothing tells apart; none where the file has no state dict.
        second: Those that have as much of the model, and are called averages or the like.
        same: Those that hold the very bytes of the first.
    """

    best: list[Reading]
    second: list[Reading]
    same: list[Reading]


def choose(contents: Contents, model: Model) -> Choice:
    """Hold the state dicts of a file against a model."""
    ours = ModelNames(model)
    readings: list[Reading] = []
    covered: set[tuple[Step, ...]] = set()
    for node in contents.nodes:
        if node.direct:
            reading = plain_reading(node)
            reading.fit = fit_of(reading.tensors, ours)
            readings.append(reading)
            if reading.fit.n_named == len(model) == len(node.direct):
                # What it lies in has it under longer names only.
                covered.update(node.steps[:end] for end in range(len(node.steps)))
    for node in contents.nodes:
        if node.children and node.steps not in covered:
            reading = deep_reading(node)
            reading.fit = fit_of(reading.tensors, ours)
            readings.append(reading)
    _try_prefixes(readings, ours)
    if not any(each.fit.n_named == len(model) and not each.fit.n_extra for each in readings):
        for node in contents.nodes:
            joined = joined_reading(node, model) if node.children else None
            if joined is not None:
                joined.fit = fit_of(joined.tensors, ours)
                readings.append(joined)
    return _tell_apart(_first(readings, lambda fit: fit.rank))


def _try_prefixes(readings: Sequence[Reading], ours: ModelNames) -> None:
    """Fit names after a prefix, where that could make a reading as good as the best."""
    best = max((each.fit.rank[0] for each in readings), default=0)
    for reading in readings:
        fit = reading.fit
        if fit.n_named < fit.n_shaped and 2 * fit.n_shaped >= best:
            found = _prefixed_fit(reading.tensors, ours)
            if found is not None and found.rank > fit.rank:
                reading.fit = found


def _first(readings: Sequence[Reading], by: Callable[[Fit], Any]) -> list[Reading]:
    """Those of the highest rank."""
    highest = max((by(each.fit) for each in readings), default=None)
    return [each for each in readings if by(each.fit) == highest]


def _tell_apart(readings: list[Reading]) -> Choice:
    """Of readings that have as much of a model, those that are left when all that tells them apart was asked."""
    readings = _without_relatives(readings)
    raw, second = [each for each in readings if not is_second(each.name)], []
    if raw:
        second = [each for each in readings if is_second(each.name)]
    else:
        raw = readings
    for by in (lambda fit: -fit.n_extra, lambda fit: fit.n_typed, lambda fit: not fit.prefix):
        raw = _first(raw, by)
    is_same = [index > 0 and each.tensors == raw[0].tensors for index, each in enumerate(raw)]
    return Choice(
        [each for each, same in zip(raw, is_same, strict=True) if not same],
        second,
        [each for each, same in zip(raw, is_same, strict=True) if same],
    )


def _without_relatives(readings: list[Reading]) -> list[Reading]:
    """One of those that lie in each other: the one whose names are the model's as they are, the outer one of two such.

    Of two whose names aren't, the inner one; of the same dict, the one with the fewest tensors that aren't the model's.
    """
    by_steps: dict[tuple[Step, ...], Reading] = {}
    for each in sorted(readings, key=lambda each: (bool(each.fit.prefix), each.fit.n_extra, len(each.parts))):
        by_steps.setdefault(each.node.steps, each)
    dropped: set[tuple[Step, ...]] = set()
    for steps in by_steps:
        for end in range(len(steps)):
            outer = by_steps.get(steps[:end])
            if outer is not None:
                is_outer_better = not outer.fit.prefix and outer.fit.n_named
                dropped.add(steps if is_outer_better else outer.node.steps)
    return [each for each in readings if each is by_steps[each.node.steps] and each.node.steps not in dropped]


def usual_reading(contents: Contents) -> Reading | None:
    """The state dict that is meant where no model says: the largest in the file that isn't called an average."""
    node = contents.nodes[0] if contents.nodes else None
    if node is not None and node.steps:
        node = _largest(each for each in contents.nodes if not each.steps[:-1] or each.steps[-1][0] == "index")
    is_top = True
    while node is not None and not (node.is_main if is_top else node.direct):
        raw = [child for key, child in node.children.items() if not is_second(key)] or list(node.children.values())
        if len(raw) > 1 and not is_top:
            break
        node, is_top = _largest(raw), False
    return None if node is None else plain_reading(node)


def _largest(nodes: Iterable[Node]) -> Node | None:
    return max(nodes, key=lambda node: node.n_elements, default=None)
