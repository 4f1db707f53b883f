"""The language of the filter box: what one word of it keeps.

A word is a target (a path, a glob, ``ClassName``, ``ClassName.tensor``), Python that leads to a part of the model as
*Copy* gives it, a condition on tensors, or a part of a name. `CONDITIONS` is what the page and messages say of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import cut, dtype_short
from nnwidgets.introspect import paths
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.server.rows.tree_index import TreeIndex, is_frozen

_GLOB = frozenset("*?[")
_GRADIENT = ".grad"
CONDITIONS = (
    "shape:768, shape:256x*, dtype:bf16, device:cuda, is:buffer, params>1e6, frozen, trainable, tied, @Shard(0), "
    "@rank:3, !word"
)


@dataclass(frozen=True)
class Kept:
    """What a word keeps.

    Attributes:
        nodes: Numbers of the modules it names.
        tensors: Numbers of the tensors that it names, or that meet its condition.
        is_condition: Whether it names nothing by itself: it holds for tensors alone.
    """

    nodes: set[int]
    tensors: set[int]
    is_condition: bool = False


def kept_by(index: TreeIndex, word: str) -> Kept:
    """Return what a word keeps of ``index``.

    Raises:
        InvalidTargetError: It is no condition that is known, or can't be read.
    """
    if word.startswith("!") and len(word) > 1:
        found = kept_by(index, word[1:])
        return Kept(set(), set(range(len(index.tensors))) - found.tensors - below(index, found.nodes)[1], True)
    named = target_rows(index, word)
    if word.isdecimal() and not any(named):
        named = {number for number, node in enumerate(index.nodes) if paths.last(node.path) == word}, set()
    if any(named):
        return Kept(*named)
    test = _condition(index, word)
    if test is not None:
        return Kept(set(), {number for number, entry in enumerate(index.tensors) if test(entry)}, True)
    path = _path_of(index, word)
    return Kept(*(_part_rows(index, word) if path is None else target_rows(index, path)))


def target_rows(index: TreeIndex, target: str) -> tuple[set[int], set[int]]:
    """Return the modules and tensors that a target means.

    Raises:
        InvalidTargetError: It is too long.
    """
    found = index.matcher.match(target, words=False)
    if not found.paths and target.endswith(_GRADIENT):
        # A gradient is shown with its tensor.
        of = index.matcher.match(target.removesuffix(_GRADIENT), words=False)
        found = replace(of, nodes=(), tensors=tuple(entry for entry in of.tensors if entry.has_grad))
    nodes = {index.number[node.path] for node in found.nodes}
    tensors = {index.tensor_at[entry.path] for entry in found.tensors if entry.path in index.tensor_at}
    for entry in found.tensors:
        place = index.resolve(entry.path) if entry.path not in index.tensor_at else None
        if place is not None:
            nodes.add(place.row)
    return nodes, tensors


def below(index: TreeIndex, nodes: set[int]) -> tuple[set[int], set[int]]:
    """Return the modules in and below some, and the tensors there."""
    found: set[int] = set()
    end = 0
    for number in sorted(nodes):
        if number >= end:
            end = number + index.size[number]
            found.update(range(number, end))
    first = index.first_tensor
    return found, {tensor for number in found for tensor in range(first[number], first[number + 1])}


def _part_rows(index: TreeIndex, word: str) -> tuple[set[int], set[int]]:
    """Return the rows whose own name or class holds a word; with a dot in it, those whose path does."""
    if not _GLOB.isdisjoint(word):
        return set(), set()
    part = word.casefold()
    if "." in part:
        nodes = {number for number, node in enumerate(index.nodes) if part in node.path.casefold()}
        return nodes, {number for number, entry in enumerate(index.tensors) if part in entry.path.casefold()}
    nodes = {
        number
        for number, node in enumerate(index.nodes)
        if part in node.path.rpartition(".")[2].casefold() or part in node.class_name.casefold()
    }
    return nodes, {
        number for number, entry in enumerate(index.tensors) if part in entry.path.rpartition(".")[2].casefold()
    }


# ---- conditions on tensors ----

_Test = Callable[[TensorEntry], bool]
_KEYED = re.compile(r"([a-z]+):(.*)", re.DOTALL)
_SIZED = re.compile(r"(?:params|elements)?(>=|<=|=|>|<)(.*?)([kmbgt]?)", re.IGNORECASE)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">": float.__gt__,
    "<": float.__lt__,
    ">=": float.__ge__,
    "<=": float.__le__,
    "=": float.__eq__,
}
_ROLES = ("parameter", "buffer", "unregistered")


def is_trainable(entry: TensorEntry) -> bool:
    """Return whether ``entry`` is a parameter that asks for a gradient."""
    return entry.role == "parameter" and entry.requires_grad


def _condition(index: TreeIndex, word: str) -> _Test | None:
    """Return the condition that a word is; None where it is none.

    Raises:
        InvalidTargetError: It looks like one and can't be read.
    """
    lowered = word.casefold()
    states: dict[str, _Test] = {
        "trainable": is_trainable,
        "frozen": is_frozen,
        "tied": lambda entry: index.tie(entry) is not None,
    }
    if lowered in states:
        return states[lowered]
    if lowered.isdecimal() or lowered.startswith("@"):
        return _shape(word, lowered) if lowered.isdecimal() else _placed(index, word, lowered[1:])
    keyed = _KEYED.fullmatch(lowered)
    if keyed is None:
        return _size(word, lowered)
    key, value = keyed.groups()
    made = {"shape": _shape, "dtype": _dtype, "device": _device}.get(key)
    if made is not None and value:
        return made(word, value)
    if key == "is" and value in states:
        return states[value]
    if key != "is" or value not in _ROLES:
        raise _unread(word)
    return lambda entry: entry.role == value


def _placed(index: TreeIndex, word: str, lowered: str) -> _Test:
    """``@Shard(0)``, ``@Replicate`` along some dimension of a mesh; ``@rank:3`` what a rank has some of."""
    key, colon, value = lowered.partition(":")
    if not colon and lowered:
        return lambda entry: any(
            lowered in (each.casefold(), each.casefold().partition("(")[0]) for each in entry.placements
        )
    if key != "rank" or not value.isdecimal():
        raise _unread(word)
    rank = int(value)
    n = len(index.tree.by_rank)
    if rank >= n:
        why = f"there are {n}" if n else "one process holds the model"
        raise InvalidTargetError(f"No rank {rank}: {why}.", path=word)
    return lambda entry: not index.owners or rank in index.owners.get(entry.path, ())


def _size(word: str, lowered: str) -> _Test | None:
    """``params>1e6``, ``>1M``."""
    sized = _SIZED.fullmatch(lowered)
    if sized is None:
        return None
    sign, number, unit = sized.groups()
    try:
        limit = float(number) * _UNITS[unit]
    except ValueError:
        raise _unread(word) from None
    compare = _COMPARED[sign]
    return lambda entry: entry.shape is not None and compare(float(entry.n_elements), limit)


def _dtype(_word: str, value: str) -> _Test:
    return lambda entry: value == dtype_short(entry.dtype) or entry.dtype.startswith(value)


def _device(_word: str, value: str) -> _Test:
    return lambda entry: entry.device.startswith(value)


def _shape(word: str, value: str) -> _Test:
    """``768`` in any dimension, or ``256x20`` and ``256,*`` as the whole shape."""
    sizes = re.split(r"[x×,]", value.strip("()[]"))
    if not all(size == "*" or size.isdecimal() for size in sizes):
        raise _unread(word)
    wanted = [None if size == "*" else int(size) for size in sizes]
    if len(wanted) == 1:
        return lambda entry: entry.shape is not None and (wanted[0] is None or wanted[0] in entry.shape)
    return lambda entry: (
        entry.shape is not None
        and len(entry.shape) == len(wanted)
        and all(size in (None, there) for size, there in zip(wanted, entry.shape, strict=True))
    )


def _unread(word: str) -> InvalidTargetError:
    return InvalidTargetError(
        f"{cut(word)!r} can't be read; understood are paths, globs, classes, and {CONDITIONS}.", path=word
    )


# ---- Python that leads to a part of the model ----

_NAME = re.compile(r"[^\W\d]\w*")
_STEPS = re.compile(
    r"""\.get_(?:submodule|parameter|buffer)\(\s*["'](?P<path>[^"']*)["']\s*\)"""
    r"""|(?:\._(?:modules|parameters|buffers))?\[\s*(?P<quote>["'])(?P<key>.*?)(?P=quote)\s*\]"""
    r"""|\[\s*(?P<at>-?\d+)\s*\]|\.(?P<name>[^\W\d]\w*)"""
)
_LONGEST = 400


def _path_of(index: TreeIndex, word: str) -> str | None:
    """Return the path that Python such as ``net.blocks[0][0].weight`` leads to, whatever the model is called there."""
    start = _NAME.match(word)
    if start is None or start.end() == len(word) or len(word) > _LONGEST:
        return None
    for path, at in (("", start.end()), (start.group(), start.end())):
        found = _followed(index, path, word, at)
        if found is not None:
            return found
    return None


def _followed(index: TreeIndex, path: str, word: str, at: int) -> str | None:
    while at < len(word):
        step = _STEPS.match(word, at)
        if step is None or index.resolve(path) is None:
            return None
        at = step.end()
        if step["path"] is not None:
            path = ".".join(filter(None, (path, step["path"])))
        elif step["at"] is not None:
            path = _item(index, path, int(step["at"]))
        else:
            path = paths.join(path, paths.component(step["name"] if step["key"] is None else step["key"]))
    return path if index.resolve(path) is not None else None


def _item(index: TreeIndex, path: str, at: int) -> str:
    """The path of an item: by its number where that is its name, else by its place among the children."""
    for named in (paths.join(path, str(at)), paths.join(path, paths.position(at))):
        if index.resolve(named) is not None:
            return named
    place = index.resolve(path)
    number = index.number.get(place.path) if place is not None else None
    children = () if number is None else index.nodes[number].children
    return children[at].path if -len(children) <= at < len(children) else paths.join(path, str(at))
