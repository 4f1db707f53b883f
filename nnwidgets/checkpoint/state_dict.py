"""Which state dict of a checkpoint is meant, and where its optimizers' states are; what of a module is saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from nnwidgets.checkpoint.description import Described, Step, name_of, tensors_in
from nnwidgets.checkpoint.entries import (
    Choice,
    Contents,
    Model,
    Part,
    Reading,
    choose,
    plain_reading,
    read_contents,
    stripped_reading,
    usual_reading,
)
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.records import StateDictEntry
from nnwidgets.errors import (
    Advice,
    AdvisedText,
    CheckpointMismatchError,
    InvalidTargetError,
    PathNotFoundError,
    SaveError,
)
from nnwidgets.formatting import and_more, counted, inert, shape_text
from nnwidgets.introspect import LiveModel, ModuleTree, TensorEntry, paths
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.safe_access import objects


@dataclass(frozen=True, slots=True)
class StateDictLocation:
    """The parts of a checkpoint's content.

    Attributes:
        key: Where the state dict is, as ``entry=`` names it: ``""`` for the whole content, None where there is none.
        tensors: The state dict's tensors by name.
        others: What the state dict holds besides tensors (extra state, say), by name.
        parts: The dicts that it is made of.
        why: Why it is this one.
        alternatives: All others in the file.
        contents: All that is in the file.
        optimizers: Optimizers' states by where they are, each with the way to it.
    """

    key: str | None
    tensors: dict[str, Described]
    others: dict[str, Any]
    parts: tuple[Part, ...] = ()
    why: str = ""
    alternatives: tuple[str, ...] = ()
    contents: Contents | None = None
    optimizers: Mapping[str, tuple[tuple[Step, ...], Any]] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[StateDictEntry, ...]:
        """All state dicts in the file, to be shown."""
        listed = () if self.contents is None else self.contents.listed()
        return tuple(plain_reading(node).record() for node in listed)

    @property
    def entry(self) -> StateDictEntry:
        """It, to be shown."""
        n_elements = sum(each.n_elements for each in self.tensors.values())
        return StateDictEntry(self.key or "", len(self.tensors), n_elements, self.why)


def find(
    held: CheckpointReader, model: Callable[[], Model] | None = None, entry: str | None = None
) -> StateDictLocation:
    """Find the state dict that is meant in a checkpoint.

    It is the one that ``entry`` names; else the only one; else the one that fits the model best; without a model, the
    largest that isn't called an average.

    Args:
        held: The checkpoint.
        model: Gives shapes and dtypes of a model's tensors by path.
        entry: Name of the state dict.

    Raises:
        PathNotFoundError: There is none of the name ``entry``.
        CheckpointMismatchError: Several fit a model equally.
        InvalidTargetError: ``entry`` is no text.
    """
    content = held.content
    contents = read_contents(content)
    if not contents.nodes and entry is None:
        is_empty = isinstance(content, dict) and not content
        return StateDictLocation("" if is_empty else None, {}, {}, optimizers=contents.optimizers)
    if entry is not None:
        reading, why = _asked_for(held, contents, model, entry), "asked for"
        return _location(contents, reading, why)
    if model is None:
        return _location(contents, usual_reading(contents), "the largest in the file")
    if len(contents.nodes) == 1:
        return _location(contents, plain_reading(contents.nodes[0]), "the only state dict in the file")
    return _location(contents, *_fitting(held, contents, model()))


_SEVERAL = 2
_MOST_NAMED = 5
_MOST_TEXT = 80


def _fitting(held: CheckpointReader, contents: Contents, model: Model) -> tuple[Reading | None, str]:
    """The state dict that fits a model best, and why it is taken.

    Raises:
        CheckpointMismatchError: Several fit equally.
    """
    choice = choose(contents, model)
    best = choice.best
    if not model or not any(best[0].fit.rank):
        return usual_reading(contents), "no state dict in the file fits; it is the largest"
    if len(best) == 1:
        is_alone = sum(1 for _ in contents.listed()) < _SEVERAL
        return best[0], "the only state dict in the file" if is_alone else _why(best[0], choice, len(model))
    if best[0].fit.rank[0] >= len(model):
        raise _undecided(held, best, len(model))
    # With less than half of the model nothing is refused: the plan shows what is wrong with the largest.
    largest = max(best, key=lambda each: sum(tensor.n_elements for tensor in each.tensors.values()))
    return largest, "no state dict in the file has half of the model; it is the largest"


_LISTED = AdvisedText("", Advice.SEE_ENTRIES, " lists them.")


def _asked_for(held: CheckpointReader, contents: Contents, model: Callable[[], Model] | None, entry: Any) -> Reading:
    """The state dict of a name; of ways to read it, the one that fits best.

    Where no dict is called so, it is what the names of one begin with: ``"encoder"`` of ``"encoder.0.weight"``.

    Raises:
        InvalidTargetError: The name is no text.
        PathNotFoundError: There is none.
    """
    if not isinstance(entry, str):
        raise InvalidTargetError(
            f"entry is {inert(repr(entry), _MOST_TEXT)}, expected the name of a state dict in the file.",
            hint=_LISTED,
        )
    node = next((each for each in contents.nodes if each.name == entry), None)
    if node is not None:
        only = Contents((node,), {})
        return choose(only, model()).best[0] if model is not None and node.children else plain_reading(node)
    for node in contents.nodes:
        name = node.name
        if not name or entry.startswith(f"{name}."):
            found = stripped_reading(node, f"{entry[len(name) :].removeprefix('.')}.")
            if found is not None:
                return found
    names = [each.name for each in contents.nodes]
    error = PathNotFoundError.among(entry, names)
    told = ", ".join(inert(repr(each.name), _MOST_TEXT) for each in islice(contents.listed(), _MOST_NAMED))
    raise PathNotFoundError(
        f"{held.path.name} holds no state dict at {inert(repr(entry), _MOST_TEXT)}; it has {told or 'none'}"
        f"{and_more(sum(1 for _ in contents.listed()) - _MOST_NAMED)}.",
        path=entry,
        hint=error.hint if error.closest else _LISTED,
        closest=error.closest,
    )


def _undecided(held: CheckpointReader, best: Sequence[Reading], n_model: int) -> CheckpointMismatchError:
    names = [inert(repr(each.name), _MOST_TEXT) for each in best]
    more = and_more(len(names) - _MOST_NAMED)
    fit = best[0].fit
    said = f"{fit.n_named} by name and shape" if fit.n_named else f"{fit.n_shaped} by shape"
    return CheckpointMismatchError(
        f"{held.path.name} holds {counted(len(names), 'state dict')} that fit equally, {said} of "
        f"{counted(n_model, 'tensor')}: "
        f"{', '.join(names[:_MOST_NAMED])}{more}. Nothing was loaded.",
        path=str(held.path),
        hint=AdvisedText("Say which one: ", Advice.ENTRY, f"{names[0]} or {names[1]}."),
    )


def _why(reading: Reading, choice: Choice, n_model: int) -> str:
    fit = reading.fit
    told = f"it has {fit.n_named} of the model's {counted(n_model, 'tensor')} by name and shape"
    if not fit.n_named:
        told = f"it has {fit.n_shaped} of the model's {counted(n_model, 'tensor')} by shape, none by name"
    elif fit.prefix:
        told += f", but for the prefix {inert(repr(fit.prefix), _MOST_TEXT)}"
    if reading.together:
        names = (inert(repr(name), _MOST_TEXT) for name in reading.together[:_MOST_NAMED])
        told += f", put together from {', '.join(names)}{and_more(len(reading.together) - _MOST_NAMED)}"
    for those, one, several in (
        (choice.second, "fits as well, but by its name isn't", "fit as well, but by their names aren't"),
        (choice.same, "holds the same", "hold the same"),
    ):
        if those:
            first = f"{inert(repr(those[0].name), _MOST_TEXT)}{and_more(len(those) - 1)}"
            what = "tensors" if those is choice.same else "the weights as trained"
            told += f"; {first} {several if len(those) > 1 else one} {what}"
    return told


def versions_in(held: Any, found: StateDictLocation) -> dict[Any, Any]:
    """What a file says of the modules in its state dict, their versions for instance, by path; nothing in most formats.

    Args:
        held: The `CheckpointReader`.
        found: Its state dict.
    """
    name, first = next(iter((found.tensors or found.others).items()), ("", None))
    for content, attributes in held.attributes:
        if content.get(name) is first and isinstance(attributes.get("_metadata"), dict):
            made: dict[Any, Any] = attributes["_metadata"]
            return made
    return {}


def _location(contents: Contents, reading: Reading | None, why: str) -> StateDictLocation:
    if reading is None:
        return StateDictLocation(None, {}, {}, optimizers=contents.optimizers)
    known = {part.steps[:end] for part in reading.parts for end in range(len(part.steps) + 1)}
    alternatives = [node.name for node in contents.listed() if node.steps not in known]
    return StateDictLocation(
        key=reading.name,
        tensors=reading.tensors,
        others=_others(contents, reading.parts),
        parts=reading.parts,
        why=why,
        alternatives=tuple(alternatives),
        contents=contents,
        optimizers=contents.optimizers,
    )


def _others(contents: Contents, parts: Sequence[Part]) -> dict[str, Any]:
    """What a state dict holds besides tensors: neither state dicts nor optimizers' states."""
    nodes = {node.steps: node for node in contents.nodes}
    optimizers = {steps[:end] for steps, _ in contents.optimizers.values() for end in range(1, len(steps) + 1)}
    made: dict[str, Any] = {}
    for part in parts:
        node = nodes[part.steps]
        for key, value in node.held.items():
            if key in node.direct or key in node.children or not key.startswith(part.stripped):
                continue
            if not optimizers or (*node.steps, ("key", key)) not in optimizers:
                made[part.prefix + key.removeprefix(part.stripped)] = value
    return made


def rest_of(content: Any, found: StateDictLocation) -> dict[str, Described]:
    """The tensors that aren't the state dict's, by their whole place."""
    own = {id(each) for each in found.tensors.values()}
    if isinstance(content, dict):
        content = {key: each for key, each in content.items() if id(each) not in own}
    return {name_of(steps): each for steps, each in tensors_in(content) if id(each) not in own}


@dataclass(frozen=True, slots=True)
class State:
    """What of a module is saved.

    Attributes:
        content: Its tensors by name, and perhaps extra state.
        by_path: Whether the names are paths, since torch made no state dict.
        warnings: Why.
    """

    content: Any
    by_path: bool = False
    warnings: list[str] = field(default_factory=list)


def state_of(module: Any) -> State:
    """What of a module is saved; its tensors themselves, none copied.

    Where its ``state_dict`` raises, for a key that isn't text, a circle of modules or a hook that throws, its
    parameters and persistent buffers are taken by path.

    Example:
        >>> from torch import nn
        >>> odd = nn.Module()
        >>> odd._modules[nn.ReLU()] = nn.Linear(2, 1)
        >>> list(state_of(odd).content)
        ['[0].weight', '[0].bias']
    """
    try:
        with torch.no_grad():
            made = module.state_dict()
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the warning's text
        return _by_path(module, f"its state_dict() raised {objects.reason(error).rstrip('.')}")
    if not objects.is_a(made, dict):
        return _by_path(module, f"its state_dict() gave a {objects.type_name(type(made))}")
    odd = next((key for key, _ in objects.plain_items(made) if objects.text_of(key) is None), None)
    if odd is not None:
        return _by_path(module, f"its state_dict() has a key that is a {objects.type_name(type(odd))}")
    _refuse_stubs(module, made)
    return State(made)


def _refuse_stubs(module: Any, made: Any) -> None:
    """Make sure that no empty tensor stands for one whose elements are elsewhere; a state dict says nothing of it."""
    if all(each.numel() for _, each in objects.plain_items(made) if type(each) is torch.Tensor):
        return
    for entry in tree_of(LiveModel(module).scan).tensors:
        held = entry.held
        if held is not None and held.is_part and not held.placements and entry.path in made:
            raise SaveError(
                f"{entry.path} is {held.how}: this process has {shape_text(held.local_shape)} of its "
                f"{shape_text(held.shape)}.",
                path=entry.path,
                hint="Gather it first, as deepspeed.zero.GatheredParameters does. Nothing was changed.",
            )


def optimizer_state(optimizer: Any) -> Any:
    """An optimizer's state dict; a dict is taken for one.

    Raises:
        SaveError: It has none.
    """
    if objects.is_a(optimizer, dict):
        return optimizer
    make = getattr(optimizer, "state_dict", None)
    if not callable(make):
        raise SaveError(
            f"The optimizer is a {objects.type_name(type(optimizer))}, "
            "expected one of torch.optim or its state_dict().",
            hint="Nothing was changed.",
        )
    try:
        with torch.no_grad():
            return make()
    except Exception as error:
        raise SaveError(
            f"The optimizer's state_dict() raised {objects.reason(error).rstrip('.')}.", hint="Nothing was changed."
        ) from error


def _by_path(module: Any, why: str) -> State:
    model = LiveModel(module)
    live, entries = model.tensors, tree_of(model.scan).tensors
    kept = {entry.path: live[entry.path] for entry in entries if entry.path in live and is_saved(entry)}
    said = f"Saved under path names, since {why}; to_load_code() of the report gives the Python that loads them."
    return State(kept, by_path=True, warnings=[said])


def is_saved(entry: TensorEntry) -> bool:
    """Whether a state dict has a tensor: parameters and persistent buffers."""
    return entry.role == "parameter" or (entry.role == "buffer" and entry.persistent)


def saved_entries(tree: ModuleTree) -> dict[str, TensorEntry]:
    """What a state dict has, under every name: those of the walk in order, then those through aliases.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> shared = nn.Linear(2, 2, bias=False)
        >>> list(saved_entries(tree(nn.Sequential(shared, shared))))
        ['0.weight', '1.weight']
    """
    made = {entry.path: entry for entry in tree.tensors if is_saved(entry)}
    listed = {entry.path for entry in tree.tensors}
    for group in tree.ties:
        owner = next((made[path] for path in group.members if path in made), None)
        if owner is not None:
            made.update({path: owner for path in group.members if path not in listed})
    return made


def name_in_state_dict(path: str) -> str:
    """What ``state_dict`` calls the tensor at a path: its keys as they are; a path through other keys stays a path.

    Example:
        >>> name_in_state_dict("0.weight"), name_in_state_dict('heads["[CLS]"].weight'), name_in_state_dict("[0].bias")
        ('0.weight', 'heads.[CLS].weight', '[0].bias')
    """
    if "[" not in path:
        return path
    parts = paths.split(path)
    if any(part.startswith("[") and not part.startswith('["') for part in parts):
        return path
    return ".".join(json.loads(part[1:-1]) if part.startswith("[") else part for part in parts)
