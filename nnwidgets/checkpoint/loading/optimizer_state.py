"""An optimizer's state from a file: matched to the live optimizer's parameters, and exchanged with what is there."""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from nnwidgets.checkpoint.description import Composed, Step, Strided, distinct_storages, name_of
from nnwidgets.checkpoint.entries import read_contents
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.formats.folder_files import optimizer_files
from nnwidgets.checkpoint.loading.sharded_tensors import like as spread_like
from nnwidgets.checkpoint.loading.sharded_tensors import stored_here
from nnwidgets.checkpoint.records import LoadPlan
from nnwidgets.checkpoint.state_dict import StateDictLocation
from nnwidgets.edit.optimizer_state import summary_of
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import CheckpointMismatchError, InvalidTargetError
from nnwidgets.formatting import and_more, counted, inert
from nnwidgets.introspect.optimizers import optimizers_in
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch

_NOT_HYPERPARAMETERS = {"params", "param_names"}
_OF_SCHEDULERS = {"initial_lr"}
_COMMON_WORDS = {
    "optimizer",
    "optimizers",
    "optim",
    "opt",
    "state",
    "states",
    "dict",
    "model",
    "net",
    "module",
    "0",
    "1",
}
_MOST_NAMED = 3
_MOST_TEXT = 80


class LoadedState:
    """The state and hyperparameters of one optimizer, exchanged with what is in it now."""

    def __init__(
        self, optimizer: Optimizer, states: Sequence[tuple[Any, dict[str, Any]]], groups: Sequence[dict[str, Any]],
        saved: SavedState,
    ) -> None:  # fmt: skip
        """Take what it will get.

        Args:
            optimizer: It; held weakly.
            states: Parameter and its state.
            groups: Hyperparameters of each group.
            saved: Where they are in the file.
        """
        self.file, self.format = saved.held.path, saved.held.format
        self.steps = saved.steps
        self.has_text_numbers = saved.held.format == "distributed" and all(
            str(each).isdigit() for each in saved.content["state"]
        )
        self.summary = summary_of(type_name(type(optimizer)), [state for _, state in states])
        self._optimizer = weakref.ref(optimizer)
        self._states: list[tuple[weakref.ref[Any], Any]] = [(weakref.ref(held), state) for held, state in states]
        self._groups = list(groups)
        self._is_changed = False

    @property
    def is_changed(self) -> bool:
        """Whether the optimizer has what was loaded."""
        return self._is_changed

    def exchange(self) -> None:
        """Exchange what is in the optimizer and what is kept here."""
        optimizer = self._optimizer()
        states = [(tensor, state) for held, state in self._states if (tensor := held()) is not None]
        groups = self._groups
        if optimizer is not None:
            self._states = [(weakref.ref(tensor), dict.get(optimizer.state, tensor)) for tensor, _ in states]
            pairs = zip(optimizer.param_groups, groups, strict=True)
            self._groups = [{name: group.get(name) for name in new} for group, new in pairs]
        # All that was there is kept by now: whatever interrupts the rest, another exchange brings it back.
        self._is_changed = not self._is_changed
        if optimizer is None:
            return
        for tensor, state in states:
            if state is None:
                optimizer.state.pop(tensor, None)
            else:
                optimizer.state[tensor] = state
        for group, new in zip(optimizer.param_groups, groups, strict=True):
            group.update(new)


@dataclass(frozen=True, slots=True)
class SavedState:
    """An optimizer's state in a file.

    Attributes:
        held: The file.
        steps: The way to it.
        content: It.
    """

    held: CheckpointReader
    steps: tuple[Step, ...]
    content: Any

    @property
    def name(self) -> str:
        """Where it is, to be shown."""
        return inert(name_of(self.steps), _MOST_TEXT) or self.held.path.name


def optimizer_states(
    held: CheckpointReader, found: StateDictLocation, optimizer: object, model: ChangeScope, plan: LoadPlan,
    *, folder: Path | None = None,
) -> LoadedState | None:  # fmt: skip
    """Read the optimizer's state in a file, for the optimizer passed; None where none was passed.

    Args:
        held: The file.
        found: Its parts.
        optimizer: The live one.
        model: The model.
        plan: What is loaded into it.
        folder: Where ``optimizer.pt`` may lie, if the file has none: the folder that was named to be loaded.

    Raises:
        CheckpointMismatchError: The file has none, or it is of another optimizer or other parameters; or several fit.
        CorruptCheckpointError: It is damaged.
        InvalidTargetError: ``optimizer`` is none, or several.
    """
    given = optimizers_in(optimizer)
    if not given:
        return None
    if len(given) > 1:
        raise InvalidTargetError(f"{counted(len(given), 'optimizer')} passed, expected one.", hint="Pass one of them.")
    live = given[0]
    with ExitStack() as opened:
        saved = [SavedState(held, steps, content) for steps, content in found.optimizers.values()]
        for file in optimizer_files(folder) if folder is not None and not saved else ():
            beside = opened.enter_context(open_checkpoint(file))
            beside.verify_files()
            saved += [SavedState(beside, *each) for each in read_contents(beside.content).optimizers.values()]
        chosen, targets = _chosen(saved, live, model, plan, held, found.key or "")
        return _read(chosen, targets, live)


def _chosen(  # noqa: PLR0917 - what is held against each other
    saved: Sequence[SavedState], live: Optimizer, model: ChangeScope, plan: LoadPlan, held: CheckpointReader, entry: str
) -> tuple[SavedState, list[tuple[Any, Any]]]:
    """The state that fits an optimizer, and each parameter with what is saved for it.

    Raises:
        CheckpointMismatchError: None fits, or several do.
    """
    name, path = held.path.name, str(held.path)
    if not saved:
        raise CheckpointMismatchError(
            f"{name} holds no optimizer's state.", path=path, hint="Leave optimizer out, or load another file."
        )
    fitting: list[tuple[SavedState, list[tuple[Any, Any]]]] = []
    faults: list[CheckpointMismatchError] = []
    for each in saved:
        try:
            fitting.append((each, _targets(each, live, model, plan)))
        except CheckpointMismatchError as error:
            faults.append(error)
    if not fitting:
        first = faults[0]
        if len(faults) == 1:
            raise first
        said = f"None of the {len(faults)} optimizers' states in {name} fits. {first.message}"
        raise CheckpointMismatchError(said, path=path, hint=first.hint)
    if len(fitting) > 1:
        words = _words(entry)
        named = [each for each in fitting if words & _words(each[0].name)]
        fitting = named if len(named) == 1 else fitting
    if len(fitting) > 1:
        names = [repr(each.name) for each, _ in fitting]
        raise CheckpointMismatchError(
            f"{len(fitting)} optimizers' states in {name} fit the {type_name(type(live))} passed: "
            f"{', '.join(names[:_MOST_NAMED])}{and_more(len(names) - _MOST_NAMED)}. Nothing was loaded.",
            path=path,
            hint="Load without optimizer, then pass the one you mean to its load_state_dict; nnwidgets.read gives it.",
        )
    return fitting[0]


def _words(name: str) -> set[str]:
    """The parts of a name that tell it from others of its kind."""
    return {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word} - _COMMON_WORDS


def _targets(saved: SavedState, live: Optimizer, model: ChangeScope, plan: LoadPlan) -> list[tuple[Any, Any]]:
    """Each parameter of an optimizer with what is saved for it.

    Raises:
        CheckpointMismatchError: It is the state of another kind of optimizer, or of other parameters.
    """
    held, content = saved.held, saved.content
    name, path = held.path.name, str(held.path)
    if not _is_state(content):
        raise CheckpointMismatchError(
            f"{name} holds no optimizer's state.", path=path, hint="Leave optimizer out, or load another file."
        )
    groups = content["param_groups"]
    _check_groups(live, groups, held)
    numbers = [number for group in groups for number in group["params"]]
    names = [each for group in groups for each in group.get("param_names") or ()]
    if not names and all(isinstance(number, str) and not number.isdigit() for number in numbers):
        names = numbers
    parameters = [tensor for group in live.param_groups for tensor in group["params"]]
    targets = _by_name(names, parameters, model, plan) if len(names) == len(numbers) else None
    if targets is None:
        targets = parameters
    if len(numbers) != len(targets):
        raise CheckpointMismatchError(
            f"The optimizer in {name} has {counted(len(numbers), 'parameter')}, and the one passed has {len(targets)}.",
            path=path,
            hint="Make it over the same parameters as the saved one.",
        )
    made: list[tuple[Any, Any]] = []
    kept = content["state"]
    for number, tensor in zip(numbers, targets, strict=True):
        # A distributed checkpoint writes numbers as text.
        state = kept.get(number, kept.get(str(number)))
        if state is not None and tensor is not None:
            _check_state(held, state, tensor, live)
            made.append((tensor, state))
    if kept and not made:
        raise CheckpointMismatchError(
            f"The optimizer's state in {name} belongs to none of the parameters that its groups name.",
            path=path,
            hint="It is damaged, or in a layout that isn't known here.",
        )
    return made


def _read(saved: SavedState, targets: Sequence[tuple[Any, Any]], live: Optimizer) -> LoadedState:
    held, content = saved.held, saved.content
    here = [(tensor, _state_here(held, state, tensor)) for tensor, state in targets]
    read = chain(*(state.values() for _, (state, _) in here), *(group.values() for group in content["param_groups"]))
    held.verify(distinct_storages(each for each in read if isinstance(each, Strided | Composed)).values())
    states = [(tensor, _read_state(held, *state, tensor)) for tensor, state in here]
    hyperparameters = [
        {
            key: held.tensor(value) if isinstance(value, Strided) else value
            for key, value in group.items()
            if key not in _NOT_HYPERPARAMETERS
        }
        for group in content["param_groups"]
    ]
    return LoadedState(live, states, hyperparameters, saved)


def _is_state(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get("state"), dict):
        return False
    groups = content.get("param_groups")
    return isinstance(groups, list) and all(
        isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups
    )


def _check_groups(live: Optimizer, groups: list[dict[str, Any]], held: CheckpointReader) -> None:
    kind = type_name(type(live))
    if len(groups) != len(live.param_groups):
        raise CheckpointMismatchError(
            f"The optimizer in {held.path.name} has {counted(len(groups), 'group')} of parameters, and the "
            f"{kind} passed has "
            f"{len(live.param_groups)}.",
            path=str(held.path),
            hint="Make it with the same groups.",
        )
    for saved, group in zip(groups, live.param_groups, strict=True):
        theirs = set(saved) - set(group) - _NOT_HYPERPARAMETERS - _OF_SCHEDULERS
        ours = set(group) - set(saved) - _NOT_HYPERPARAMETERS - _OF_SCHEDULERS
        if theirs and ours:
            raise CheckpointMismatchError(
                f"The optimizer in {held.path.name} has {', '.join(sorted(map(str, theirs))[:3])}, and the {kind} "
                f"passed has {', '.join(sorted(map(str, ours))[:3])}: it is of another kind.",
                path=str(held.path),
                hint="Pass an optimizer of the class that was saved.",
            )


def _by_name(names: list[Any], parameters: list[Any], model: ChangeScope, plan: LoadPlan) -> list[Any] | None:
    """The live parameter of each saved name, None where it has none; None where names don't help."""
    paths = {entry.source: entry.path for entry in plan.entries if entry.is_loaded}
    held = {id(tensor) for tensor in parameters}
    found = []
    for name in names:
        path = paths.get(name, name)
        tensor = model.tensor(path) if path in model.by_path else None
        found.append(tensor if id(tensor) in held else None)
    return found if any(each is not None for each in found) else None


def _check_state(held: CheckpointReader, state: Any, tensor: Any, optimizer: Optimizer) -> None:
    """See to it that a state can be a parameter's.

    Raises:
        CheckpointMismatchError: It can't.
    """
    kind = type_name(type(optimizer))
    if not isinstance(state, dict):
        raise CheckpointMismatchError(f"The optimizer's state in {held.path.name} isn't a dict for each parameter.")
    if kind == "LBFGS":  # whose state is of all parameters at once
        return
    with plain_torch():
        shape = tuple(tensor.shape)
    for name, value in state.items():
        is_spread = is_dtensor(type(tensor)) and tuple(value.shape) not in {shape, (), (1,)}
        if isinstance(value, Strided | Composed) and (is_spread or not _is_for(tuple(value.shape), shape)):
            raise CheckpointMismatchError(
                f"{kind}'s {name} in {held.path.name} has shape {value.shape}, and its parameter {shape}.",
                path=str(held.path),
                hint="The optimizer was saved over other parameters, or in another order.",
            )


def _state_here(held: CheckpointReader, state: dict[str, Any], tensor: Any) -> tuple[dict[str, Any], set[str]]:
    """The state of one parameter, of a sharded one what goes with the part that is here; and names of what is cut."""
    described = {name: value for name, value in state.items() if isinstance(value, Strided | Composed)}
    spread = {name for name, value in described.items() if is_dtensor(type(tensor)) and value.shape == tensor.shape}
    here = {
        name: stored_here(held, value, tensor, name)[0] if name in spread else held.located(value)
        for name, value in described.items()
    }
    return {**state, **here}, spread


def _read_state(held: CheckpointReader, state: dict[str, Any], spread: set[str], tensor: Any) -> dict[str, Any]:
    """The state of one parameter, on its device and in its dtype, as torch's own loading has it."""
    made: dict[str, Any] = {}
    with plain_torch():
        like = as_plain_tensor(tensor) if tensor.device.type != "meta" else tensor
        for name, value in state.items():
            if not isinstance(value, Strided | Composed):
                made[name] = value
                continue
            data = held.tensor(value)
            device = torch.device("cpu") if like.device.type == "meta" else like.device
            if name == "step":
                made[name] = data
            else:
                made[name] = data.to(dtype=like.dtype if like.is_floating_point() else None, device=device)
    return {name: spread_like(each, tensor) if name in spread else each for name, each in made.items()}


def _is_for(state: tuple[int, ...], parameter: tuple[int, ...]) -> bool:
    """Whether a state of this shape can be a parameter's: element by element, by rows or by columns, or one number."""
    if len(state) == len(parameter):
        return all(mine in (1, its) for mine, its in zip(state, parameter, strict=True))
    without_one = {parameter[:dim] + parameter[dim + 1 :] for dim in range(len(parameter))}
    return state in ((), (1,)) or state in without_one
