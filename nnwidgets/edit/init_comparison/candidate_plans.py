"""The plan that a candidate makes of a seed, as `init` makes it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from torch import nn

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe
from nnwidgets.edit.init_comparison.candidates import Candidate, Fill, errors_of
from nnwidgets.edit.operations.init import plan_init
from nnwidgets.edit.operations.initializers import RESET, get_initializer
from nnwidgets.edit.operations.swapped_memory import SwappedMemory, Unguarded
from nnwidgets.edit.rng import check_seed
from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, carry_out, with_optimizers
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect import paths
from nnwidgets.introspect.records import TensorStats

_SEEDS_APART = 1_000
_SEEDS = 2**64


class Applier:
    """Fills a model as candidates did, holding neither it nor its tensors.

    Args:
        module: The model.
        candidates: Those that were compared.
        target: What those of their fills are for that have no target of their own.
    """

    def __init__(self, module: nn.Module, candidates: Sequence[Candidate], target: Any) -> None:
        self._module = weakref.ref(module)
        self._candidates = {each.name: each for each in candidates}
        self._target = target

    def __call__(self, name: str, *, seed: int, optimizer: Any, preview: bool, clear_state: bool) -> Change:
        """Fill it as one of them did, as one change."""
        candidate, module = self._candidates[name], self._module()
        if not candidate.fills:
            raise InvalidTargetError(f"{name} is the model as it was: there is nothing to fill.")
        if module is None:
            raise InvalidTargetError(
                "The model that was compared on is gone.", hint="Compare again on the one you have."
            )
        model = ChangeScope(module)
        plan = plan_candidate(
            model, candidate, self._target, check_seed(seed), optimizer=optimizer, clear_state=clear_state
        )
        return carry_out(model, plan, preview=preview)


def plan_candidate(
    model: ChangeScope,
    candidate: Candidate,
    target: Any,
    seed: int,
    *,
    optimizer: Any = None,
    clear_state: bool = False,
) -> Plan:
    """What a candidate would do with a seed, checked and not carried out.

    Args:
        model: The model.
        candidate: One that changes something.
        target: What those of its fills are for that have no target of their own.
        seed: Of the first of its fills; each further one has a seed that is 1,000 more, so that they don't draw the
            same numbers.
        optimizer: As for `init`.
        clear_state: As for `init`.

    Raises:
        NNWidgetsError: As `init`; it names the candidate.
    """
    with errors_of(candidate.name):
        plans = [
            plan_init(model, _target_of(each, target), each.how, each.kwargs, seed=(seed + at * _SEEDS_APART) % _SEEDS)
            for at, each in enumerate(candidate.fills)
        ]
        plan = plans[0] if len(plans) == 1 else _together(model, candidate, plans, seed)
        everyone = [(place.path, place.tensor) for place in plan.places]
        everyone += [(tie.path, model.tensor(tie.path)) for tie in plan.ties]
        lines = with_optimizers(model.module, plan, optimizer, everyone, clear=clear_state)
        if lines:
            written = plan.code
            plan.code = lambda: Recipe((*(made := written()).lines, *lines), made.imports)
        return plan


def _target_of(fill: Fill, target: Any) -> Any:
    if fill.target is not None:
        return fill.target
    is_reset = type(fill.how) is str and get_initializer(fill.how).name == RESET
    if is_reset and type(target) is list and all(type(each) is str for each in target):
        return list(dict.fromkeys(map(paths.parent, target)))
    return target


def _together(model: ChangeScope, candidate: Candidate, plans: Sequence[Plan], seed: int) -> Plan:
    """Several plans as one, carried out in their order."""
    by_path = {place.path: place for plan in plans for place in plan.places}
    named: list[TensorTarget] = [by_path[path] for path in model.in_walk_order(by_path)]
    places, warnings = distinct_memory(named)

    def write(guard: WriteGuard) -> None:
        for fill in filter(None, (plan.write for plan in plans)):
            fill(guard)

    def verify(guard: WriteGuard) -> None:
        for check in filter(None, (plan.verify for plan in plans)):
            check(guard)

    def recover() -> None:
        for put_back in filter(None, (plan.recover for plan in plans)):
            put_back()

    def code() -> Recipe:
        made = [plan.code() for plan in plans]
        lines = [line for recipe in made for line in (*recipe.lines, "")][:-1]
        return Recipe(tuple(lines), tuple(dict.fromkeys(line for recipe in made for line in recipe.imports)))

    def preview() -> dict[str, TensorStats]:
        tensors = {place.path: place.tensor for place in places}
        tensors.update((tie.path, model.tensor(tie.path)) for tie in model.ties_of(places))
        with SwappedMemory(list(tensors.values())).laid_under():
            write(Unguarded())
            return {path: summarize(tensor) for path, tensor in tensors.items()}

    return Plan(
        kind="init",
        label=candidate.name,
        places=places,
        plains=check_writable(places),
        ties=model.ties_of(places),
        write=write,
        code=code,
        seed=seed,
        warnings=list(dict.fromkeys([*(each for plan in plans for each in plan.warnings), *warnings])),
        told_after=lambda changed: [each for plan in plans if plan.told_after for each in plan.told_after(changed)],
        reports_changed=True,
        verify=verify,
        recover=recover,
        preview=preview,
    )
