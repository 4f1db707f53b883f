"""The one way in which bytes of a model are written: all that a change does, or nothing.

A plan says what; everything is checked before, the old bytes are copied, and whatever happens on the way, an
interrupt too, the model is left bit for bit as it was.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from nnwidgets.edit.change import Change, Kind, Numbers
from nnwidgets.edit.code import Recipe, expressions, optimizer_name
from nnwidgets.edit.history import MadeChange
from nnwidgets.edit.log import FEW, Entry, Log, State, log_of
from nnwidgets.edit.optimizer_state import KeptState, states_of, warning_of
from nnwidgets.edit.over_ranks.agreement import Within, agreed_by, current, said_of, world_size
from nnwidgets.edit.over_ranks.part import data_of
from nnwidgets.edit.targets import ChangeScope, TensorTarget, Tie
from nnwidgets.edit.undo_copy.threads import retry_until_complete
from nnwidgets.edit.undo_copy.undo import Exchangeable, Flag, UndoRecord, sites_of, summarize
from nnwidgets.edit.writable import n_distinct_elements
from nnwidgets.errors import InitializerError, InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import budget_text, short_bytes
from nnwidgets.introspect import sampled_stats
from nnwidgets.introspect.optimizers import optimizers_in
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import local_shard, whose
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import plain_torch
from nnwidgets.introspect.statistics.exact_stats import exact_stats, version


class WriteGuard(Protocol):
    """What stands between a writer and the bytes that it writes over."""

    def before(self, part: torch.Tensor | None = None) -> None:
        """Keep what is about to be written: all that the plan names, or what lies around one part of it.

        To be called before anything is written, in whichever thread.
        """

    def fingerprint(self, address: int, n_bytes: int) -> bytes:
        """The fingerprint of what was left in a run of memory on the CPU, where that is known; else nothing.

        After writing.
        """


@dataclass
class Plan:
    """What a change would do.

    Attributes:
        kind: As of `Change`.
        label: As of `Change`.
        places: The tensors written, each once.
        plains: What of their memory is written, as plain tensors.
        ties: Other names of it.
        write: Writes it; may raise. Lets the guard it is given keep the old bytes first. None where only flags change.
        code: Makes the recipe, asked after writing.
        seed: As of `Change`.
        warnings: As of `Change`.
        flags: Parameters whose ``requires_grad`` changes.
        states: What else is exchanged, an optimizer's states to clear for instance.
        verify: Looks after writing whether all is well; raises where not.
        told_after: Gives what to warn of once it is written, from the paths that changed.
        reports_changed: Whether only the tensors whose bytes came out different are named.
        recover: Puts back, before the bytes, what else ``write`` may have changed.
        preview: Gives statistics of what it would write, by path, and writes nothing.
        beforehand: Statistics of old values that the undo copy won't give, since it holds a part of the tensor.
        may_exceed_budget: Whether it is made even where its undo copy is beyond the history's budget; the copy is then
            let go as soon as all went well.
        others: Names of tensors that ``states`` changes, besides those of places.
        final: Why it can't be undone, where it can't: a sentence.
        n_written: Elements written, those on other ranks too, where ``plains`` doesn't tell.
    """

    kind: Kind
    label: str
    places: Sequence[TensorTarget]
    plains: Sequence[torch.Tensor]
    ties: tuple[Tie, ...]
    code: Callable[[], Recipe]
    seed: int | None = None
    warnings: list[str] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    states: list[Exchangeable] = field(default_factory=list)
    told_after: Callable[[Sequence[str]], Sequence[str]] | None = None
    reports_changed: bool = False
    write: Callable[[WriteGuard], None] | None = None
    verify: Callable[[WriteGuard], None] | None = None
    recover: Callable[[], None] | None = None
    preview: Callable[[], dict[str, TensorStats]] | None = None
    beforehand: dict[str, TensorStats] = field(default_factory=dict)
    may_exceed_budget: bool = False
    others: tuple[str, ...] = ()
    final: str = ""
    n_written: int | None = None

    @property
    def n_elements(self) -> int:
        """Elements written, those on other ranks too."""
        if self.n_written is not None:
            return self.n_written
        if any(place.entry.placements for place in self.places):
            return sum(place.entry.n_elements for place in self.places)
        return sum(data.numel() for data in self.plains) or sum(place.entry.n_elements for place in self.places)


def carry_out(model: ChangeScope, plan: Plan, *, preview: bool) -> Change:
    """Carry out a plan, or tell what it would do."""
    if preview and plan.preview is not None:
        return preview_change(model, plan, plan.preview())
    return commit(model, plan)


def commit(model: ChangeScope, plan: Plan) -> Change:
    """Carry out a plan as a whole, and log it.

    Of a model that ranks hold together, all of them carry it out or none does.

    Raises:
        NNWidgetsError: There is no room for the undo copy, or ranks don't agree; nothing is changed.
        BaseException: What the plan's ``write`` raised; nothing is changed.
    """
    log, agreement = log_of(model.module), current()
    written = _written(model, plan)
    begun: list[tuple[UndoRecord, State]] = []
    made: list[MadeChange] = []
    try:
        with log.lock_over(written):
            within = None if agreement is None else Within(agreement)
            with nullcontext() if within is None else agreed_by(within):
                change = _carry_out(model, plan, log, begun, made)
            if agreement is not None and within is not None:
                paths = [place.path for place in plan.places]
                said = said_of(plan.label, paths, plan.seed, change.to_code(), within.noted)
                made[0].entry = replace(made[0].entry, said=said)
                if not agreement.settle(said, made[0]):
                    return change
            return made[0].logged()
    except BaseException:
        if not begun:
            raise
        with log.lock_over(written, surely=True):
            if made and agreement is not None and agreement.is_settled:
                # Interrupted when the other ranks had gone on: it stays here too.
                retry_until_complete(made[0].logged)
                raise
            _put_back(plan, log, begun)
        raise


def try_out(model: ChangeScope, plan: Plan) -> dict[str, TensorStats]:
    """Statistics of what is there once a plan is carried out, by path; it is put back before this returns.

    Versions too, which tell autograd and views that something was written: a graph from before has its backward still.

    Raises:
        InitializerError: Its copy of what it writes over would take the room of undo copies.
        BaseException: What the plan's ``write`` raised; nothing is changed.
    """
    log = log_of(model.module)
    begun: list[tuple[UndoRecord, State]] = []
    with log.lock_over(_written(model, plan)):
        size = sum(data.nbytes for data in plan.plains)
        if log.kept_bytes + log.marked_bytes + size > log.budget_bytes:
            raise InitializerError(
                f"{plan.label} can't be previewed: the {short_bytes(size)} that it takes aren't left for undo copies.",
                path=plan.places[0].path,
                hint="Apply it; undo takes it back.",
            )
        versions = _versions_of(model)
        try:
            change = _carry_out(model, plan, log, begun, [])
            tensors = {path: model.tensor(path) for path in (*(place.path for place in plan.places), *change.paths)}
            return {path: replace(exact_stats(data_of(each)), of=whose(each)) for path, each in tensors.items()}
        finally:
            _put_back(plan, log, begun)
            for each in versions:
                each.__exit__(None, None, None)


def _versions_of(model: ChangeScope) -> list[Any]:
    """What gives all tensors of a model the versions again that they have now, and their parts here."""
    whole = [each for each in model.live.scan.slot_values if is_tensor(each)]
    parts = [part for each in whole if (part := local_shard(each)) is not None and part is not each]
    with plain_torch():
        return [
            torch.autograd._unsafe_preserve_version_counter(each)  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
            for each in (*whole, *parts)
            if not each.is_inference()
        ]


def _put_back(plan: Plan, log: Log, begun: Sequence[tuple[UndoRecord, State]]) -> None:
    """Have everything be as it was before a plan was begun, history and all."""
    for undo, before in begun:
        log.state = before
        if plan.recover is not None:
            retry_until_complete(plan.recover)
        retry_until_complete(undo.restore)


def _written(model: ChangeScope, plan: Plan) -> list[Any]:
    return [*(place.tensor for place in plan.places), *(model.tensor(tie.path) for tie in plan.ties)]


def _carry_out(
    model: ChangeScope, plan: Plan, log: Log, begun: list[tuple[UndoRecord, State]], made: list[MadeChange]
) -> Change:
    """Write, and have ``made`` be what remains: to log it."""
    known = {place.path: place.tensor for place in plan.places}
    paths = model.in_walk_order([*known, *(tie.path for tie in plan.ties)])
    size = _size_within(log, plan)
    with _as_no_room(plan, size), gc_paused():
        sites = sites_of((path, known[path] if path in known else model.tensor(path)) for path in paths)
        undo = UndoRecord(sites, plan.plains, plan.flags, plan.states, log.make_room(size))
        # Before anything is copied: wherever that is interrupted, its threads have to be called off.
        begun.append((undo, log.state))
    # What a rank has no element of, it sees written by its version alone.
    cut = (place for place in plan.places if place.entry.placements and not place.entry.local_bytes)
    unseen = [(place, version(place.tensor)) for place in cut]
    if plan.write is not None:
        plan.write(undo.kept)
    undo.kept.seal()
    if plan.verify is not None:
        plan.verify(undo.kept)
    for flag in plan.flags:
        flag.set(after=True)
    for state in plan.states:
        if not state.is_changed:
            state.exchange()
    undo.touch()
    n_elements = plan.n_elements
    if plan.reports_changed:
        named = {*undo.changed(), *(place.path for place, before in unseen if version(place.tensor) != before)}
        named |= {tie.path for tie in plan.ties if tie.of in named}
        paths = model.in_walk_order(named)
        n_elements = n_distinct_elements([place for place in plan.places if place.path in named])
        if not paths:
            plan.warnings.append("It changed nothing.")
    if plan.told_after is not None:
        plan.warnings += plan.told_after(paths)
    is_few = len(paths) <= FEW and plan.kind not in ("freeze", "unfreeze")
    at_once = {path: sampled_stats(model.tensor(path)) for path in paths} if is_few else {}
    paths = model.in_walk_order([*paths, *plan.others]) if plan.others else paths
    change = _change(plan, paths, _numbers(undo, at_once, plan.beforehand), n_elements)
    made.append(MadeChange(log, Entry(change, None if plan.final else undo, plan.final), undo, model.reshard))
    return change


def _size_within(log: Log, plan: Plan) -> int:
    """The bytes of the undo copy, which the history has room for, or the plan warns that it hasn't.

    Raises:
        InvalidTargetError: It hasn't, and the plan may not exceed it.
    """
    size = sum(data.numel() * data.element_size() for data in plan.plains)
    if size > log.budget_bytes and plan.may_exceed_budget:
        plan.warnings.append(
            f"It can't be undone: the undo copies of this model may hold {budget_text(log.budget_bytes)}, and its own "
            f"would be {short_bytes(size)}. nnwidgets.edit.set_budget(net, {size}) raises that."
        )
    elif size > log.budget_bytes:
        raise InvalidTargetError(
            f"{plan.label} would change {short_bytes(size)}, and the undo copies of this model may hold "
            f"{budget_text(log.budget_bytes)}.",
            path=plan.places[0].path if plan.places else None,
            hint=f"Raise the budget: nnwidgets.edit.set_budget(net, {size}).",
        )
    return size


@contextmanager
def _as_no_room(plan: Plan, size: int) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        raise NNWidgetsError(
            f"The undo copy of {short_bytes(size)} for {plan.label} couldn't be made ({type(error).__name__}); "
            "nothing was changed.",
            path=plan.places[0].path if plan.places else None,
            hint="Free memory, or change fewer tensors at once.",
        ) from error


def _change(
    plan: Plan, paths: tuple[str, ...], numbers: Numbers, n_elements: int, *, is_preview: bool = False
) -> Change:
    agreement = current()
    return Change(
        label=plan.label,
        kind=plan.kind,
        paths=paths,
        seed=plan.seed,
        warnings=tuple(plan.warnings),
        time=time.time(),
        n_elements=n_elements,
        ties=plan.ties,
        is_preview=is_preview,
        ranks=() if agreement is None else agreement.ranks,
        world_size=world_size(),
        _recipe=plan.code(),
        _numbers=numbers,
    )


def preview_change(model: ChangeScope, plan: Plan, after: dict[str, TensorStats]) -> Change:
    """The change a plan would make, with statistics made beforehand."""
    paths = model.in_walk_order([*(place.path for place in plan.places), *(tie.path for tie in plan.ties)])
    before = {path: summarize(model.tensor(path)) for path in paths if path in after}
    return _change(plan, paths, Numbers(lambda _: before, lambda _: after), plan.n_elements, is_preview=True)


def _numbers(undo: UndoRecord, at_once: dict[str, TensorStats], beforehand: dict[str, TensorStats]) -> Numbers:
    """Statistics that hold the undo copy weakly: a change that is kept keeps no model's bytes."""
    held = weakref.ref(undo)

    def made(name: str, paths: Collection[str] | None) -> dict[str, TensorStats]:
        there = held()
        return {} if there is None else getattr(there, name)(paths)

    return Numbers(lambda paths: made("before", paths), lambda paths: made("after", paths), at_once, beforehand)


def with_optimizers(
    module: Any, plan: Plan, optimizer: object, tied: Sequence[tuple[str, Any]], *, clear: bool
) -> list[str]:
    """Warn of what optimizers remember of the tensors a plan writes, and plan to clear it where asked.

    Args:
        module: The model.
        plan: Gets warnings and states.
        optimizer: One, several or None.
        tied: Every name written, with its tensor.
        clear: Whether states are cleared.

    Returns:
        Code that clears them.
    """
    optimizers = optimizers_in(optimizer)
    by_id: dict[int, tuple[str, Any]] = {}
    for path, tensor in tied:
        by_id.setdefault(id(tensor), (path, tensor))
    lines = []
    code = expressions(module).code
    for number, each in enumerate(optimizers):
        held = [by_id[id(tensor)] for _, _, tensor in states_of([each], [tensor for _, tensor in by_id.values()])]
        if held:
            plan.warnings.append(warning_of(each, held, cleared=clear))
        if clear:
            plan.states += [KeptState(each, tensor) for _, tensor in held]
            lines += [f"{optimizer_name(number)}.state.pop({code(path)}, None)" for path, _ in held]
    return lines
