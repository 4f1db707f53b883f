"""What of a plan is loaded, and where that is refused: why, and what would help, tried before it is said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.loading.plan import entries_that_fit, make_plan
from nnwidgets.checkpoint.records import LoadPlan, PlanEntry
from nnwidgets.checkpoint.state_dict import StateDictLocation
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import Advice, AdvisedText, CheckpointMismatchError, NNWidgetsError
from nnwidgets.formatting import and_more, counted, cut

_FEW = 3
_MOST_OBSTACLES = 3


def loaded_entries(
    scope: ChangeScope,
    held: CheckpointReader,
    found: StateDictLocation,
    plan: LoadPlan,
    rename: Mapping[Any, str] | None,
    *,
    strict: bool,
) -> list[PlanEntry]:
    """The entries of a plan that are loaded.

    Args:
        scope: The model.
        held: The file.
        found: Its state dict.
        plan: What was planned for them.
        rename: With what.
        strict: Whether it must be all.

    Raises:
        CheckpointMismatchError: Some aren't, or none is.
    """
    entries = [entry for entry in plan.entries if entry.is_loaded]
    others = [entry for entry in plan.entries if not entry.is_loaded and entry.path not in plan.kept]
    is_nothing = all(entry.status == "own_code" and entry.source is None for entry in entries)
    if (others and strict) or (is_nothing and (others or (entries and not strict))):
        trial = _with_renames(scope, held, found, plan)
        hint = _hint(plan, trial, rename=rename, strict=strict)
        raise CheckpointMismatchError(_mismatch(plan, others, n_loaded=len(entries)), path=plan.file, hint=hint)
    return entries


def _with_renames(
    scope: ChangeScope, held: CheckpointReader, found: StateDictLocation, plan: LoadPlan
) -> LoadPlan | None:
    """The plan with all renames that are sure; None where there are none."""
    if not plan.renames:
        return None
    try:
        return make_plan(scope, held, found, plan.renames)
    except NNWidgetsError:
        return None


def _mismatch(plan: LoadPlan, others: Sequence[PlanEntry], *, n_loaded: int) -> str:
    told = []
    unlike = [entry for entry in others if entry.status == "shape_mismatch"]
    for those, verb in (
        ([entry for entry in unlike if not entry.reason], "of another shape"),
        ([entry for entry in unlike if entry.reason], "of another kind"),
        ([entry for entry in others if entry.status == "missing"], "missing"),
        ([entry for entry in others if entry.status == "unexpected"], "unexpected"),
        ([entry for entry in others if entry.status == "sharded"], "sharded in the model"),
    ):
        if those:
            names = ", ".join(_name_of(entry) for entry in those[:_FEW])
            more = and_more(len(those) - _FEW)
            told.append(f"{len(those)} {verb} ({names}{more})")
    n_model = sum(entry.path is not None for entry in plan.entries)
    return (
        f"{os.path.basename(plan.file)} fits {n_loaded} of the model's {counted(n_model, 'tensor')}: {'; '.join(told)}."  # noqa: PTH119 - text
    )


def _name_of(entry: PlanEntry) -> str:
    name = cut(str(entry.path if entry.path is not None else entry.source))
    if entry.status == "shape_mismatch" and entry.reason:
        return f"{name}, {entry.reason}"
    if entry.status == "shape_mismatch":
        return f"{name} is {entry.source_shape} in the file and {entry.shape} in the model"
    return name


def _hint(plan: LoadPlan, trial: LoadPlan | None, *, rename: Mapping[Any, str] | None, strict: bool) -> str:
    """What would help: of what was tried."""
    fit = entries_that_fit(plan)
    if len(fit) == 1:
        return (
            f"All of the model is in the file under {fit[0]!r}, with more beside it: entry={fit[0]!r} takes it alone."
        )
    if fit:
        named = " or ".join(f"entry={name!r}" for name in fit[:_FEW])
        return f"All of the model is in the file {counted(len(fit), 'time')}: say which with {named}."
    why = "".join(f"{each} " for each in plan.obstacles[:_MOST_OBSTACLES])
    call = "plan(net, file).renames" if not rename else "plan(net, file, rename=yours).renames"
    n_model = sum(entry.path is not None for entry in plan.entries)
    if trial is not None:
        why += "".join(f"{each} " for each in trial.obstacles[:_MOST_OBSTACLES] if each not in plan.obstacles)
        n_new = len([name for name in plan.renames if name not in plan.rename])
        first = next(pair for pair in plan.renames.items() if pair[0] not in plan.rename)
        such = f"{counted(n_new, 'rename')}, such as {cut(first[0])} to {cut(first[1])}"
        if trial.is_complete:
            return f"{why}It would fit with {such}: pass rename={call}."
        n = _n_loaded(trial)
        if n > _n_loaded(plan):
            return AdvisedText(
                f"{why}With {such}, {n} of {n_model} would be loaded: pass rename={call} and ",
                Advice.LOAD_PARTLY,
                f", and {_rest(trial)}.",
            )
    seen = f"{why}plan(net, file) shows both sides"
    if plan.suggestions:
        n_names = len(plan.suggestions)
        seen += f", with candidates for {counted(n_names, 'name')}"
    n = _n_loaded(plan)
    if strict and n:
        return AdvisedText(f"{seen}; ", Advice.LOAD_PARTLY, f" loads the {n} of {n_model} that fit.")
    return f"{seen}."


def _n_loaded(plan: LoadPlan) -> int:
    return sum(entry.is_loaded for entry in plan.entries)


def _rest(plan: LoadPlan) -> str:
    """What a partial load leaves."""
    stay = [cut(str(entry.path)) for entry in plan.entries if entry.path is not None and not entry.is_loaded]
    if stay:
        as_before = "as it is" if len(stay) == 1 else "as they are"
        return f"{', '.join(stay[:_FEW])}{and_more(len(stay) - _FEW)} would stay {as_before}"
    unused = [cut(str(entry.source)) for entry in plan.entries if entry.path is None]
    return f"{', '.join(unused[:_FEW])}{and_more(len(unused) - _FEW)} of the file would be left out"
