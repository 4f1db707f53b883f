"""What was done to a model, taken back and made again: `history`, `undo`, `redo`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import script
from nnwidgets.edit.log import DEFAULT_BUDGET_BYTES, Entry, Log, State, log_of
from nnwidgets.edit.over_ranks.agreement import current, on_all_ranks
from nnwidgets.edit.undo_copy.threads import retry_until_complete
from nnwidgets.edit.undo_copy.undo import UndoRecord
from nnwidgets.errors import Advice, AdvisedText, ChangedSinceError, InvalidTargetError
from nnwidgets.formatting import and_more, budget_text, inert, short_bytes, some
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.records import Record
from nnwidgets.introspect.tracing.unsharded import live_with_shards, shard_again

_SHOWN_IN_HISTORY = AdvisedText("", Advice.SEE_HISTORY, " shows what was done.")


class MadeChange:
    """A change whose bytes are written, and which isn't logged yet.

    Args:
        log: Where it will be.
        entry: As what.
        undo: What takes it back.
        reshard: Cuts again what FSDP keeps whole, so that the next forward reads what was written.
    """

    def __init__(self, log: Log, entry: Entry, undo: UndoRecord, reshard: Callable[[], None]) -> None:
        self._log, self._undo, self._reshard = log, undo, reshard
        self._before = log.state
        self.entry = entry

    def revoke(self) -> None:
        """Take back what was kept, as if it had never been."""
        with self._log.lock_over(self.entry.tensors):
            self._undo.turn(done=False)
            is_last = self._log.state.done[-1:] == (self.entry,)
            self._log.state = self._before if is_last else _without(self._log.state, self.entry)
            self._reshard()

    def set_aside(self) -> None:
        """Put everything back, keeping what makes it again."""
        self._undo.exchange(check=False)

    def keep(self) -> None:
        """Make it again, and log it.

        Raises:
            ChangedSinceError: Other code has written there since, or changed the history.
        """
        with self._log.lock_over(self.entry.tensors):
            _check_state(self._log, self._before, self.entry.change.label)
            _turn(self._undo, self.entry.change.label, "redo", force=False)
            self.logged()

    def logged(self) -> Change:
        """Log it; may be called again."""
        if not any(each is self.entry for each in self._log.state.done):
            self._log.push(self.entry)
        self._reshard()
        return self.entry.change


def _without(state: State, entry: Entry) -> State:
    """A history in which a change has never been."""
    done, undone = (
        tuple(each for each in entries if each.change is not entry.change) for entries in (state.done, state.undone)
    )
    return State(done, undone)


def _check_state(log: Log, expected: State, label: str) -> None:
    if log.state is not expected:
        raise ChangedSinceError(
            f"The history of the model here is another one than when {label} was prepared.",
            hint="Nothing was changed. Do it again.",
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class History(Record):
    """The changes of a model, as they were when asked for; holds no tensor.

    Attributes:
        changes: Those in force, the oldest first.
        undone: Those that `redo` would bring back, the next one first.
        n_dropped: How many of ``changes`` can't be undone any more, the oldest ones, for the budget's sake.
        kept_bytes: Bytes of the undo copies.
        budget_bytes: How much they may be, with those of marks.
        marked_bytes: Bytes of the marks that `snapshot` made and somebody still keeps.
    """

    changes: tuple[Change, ...]
    undone: tuple[Change, ...] = field(default=())
    n_dropped: int = 0
    kept_bytes: int = 0
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    marked_bytes: int = 0

    def to_code(self, name: str = "net", optimizer: str = "optimizer") -> str:
        """Python that makes all changes in force again, in order, bit for bit, with torch alone.

        Args:
            name: The variable that holds the model.
            optimizer: The variable that holds the optimizer, where its state was cleared.

        Raises:
            InvalidTargetError: A name is none.
        """
        return script([change._recipe for change in self.changes], name, optimizer)  # noqa: SLF001 - the same package

    def __repr__(self) -> str:
        if not self.changes and not self.undone:
            return "History: no changes"
        lines = [
            _line(index, change, "can't be undone: its copy was dropped" if index <= self.n_dropped else "")
            for index, change in enumerate(self.changes, start=1)
        ]
        lines += [_line(index, change, "undone") for index, change in enumerate(self.undone, start=len(lines) + 1)]
        marks = f", marks: {short_bytes(self.marked_bytes)}" if self.marked_bytes else ""
        lines.append(f"undo copies: {short_bytes(self.kept_bytes)} of {budget_text(self.budget_bytes)}{marks}")
        return "\n".join(lines)


_MOST_PATHS = 3


def _line(index: int, change: Change, mark: str) -> str:
    paths = some(change.paths, _MOST_PATHS)
    seed = "" if change.seed is None else f"seed {change.seed}"
    parts = (f"{index:>3}", change.when, inert(change.label, 60), paths, seed, mark)
    return "  ".join(part for part in parts if part)


def history_of(log: Log) -> History:
    """A log as it is now; nobody is waited for."""
    state = log.state
    return History(
        changes=tuple(entry.change for entry in state.done),
        undone=tuple(entry.change for entry in state.undone),
        n_dropped=sum(entry.undo is None for entry in state.done),
        kept_bytes=log.kept_bytes,
        budget_bytes=log.budget_bytes,
        marked_bytes=log.marked_bytes,
    )


def set_budget(module: object, n_bytes: int) -> None:
    """Say how many bytes the undo copies of a model may hold; older ones are dropped at once where they don't fit.

    Raises:
        InvalidTargetError: ``module`` is no module, or ``n_bytes`` no count of bytes.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.edit import history
        >>> net = nn.Linear(2, 3)
        >>> set_budget(net, 8 * 2**30)
        >>> history(net).budget_bytes
        8589934592
    """
    if type(n_bytes) is not int or n_bytes < 0:
        raise InvalidTargetError(f"The budget is {n_bytes!r}, expected a count of bytes.", hint="Such as 8 * 2**30.")
    log = log_of(module)
    with log.lock:
        log.budget_bytes = n_bytes
        log.trim()


@over_handles
@on_all_ranks
def undo(module: object, *, force: bool = False) -> Change:
    """Take back the last change of a model: bytes, flags and optimizer state.

    Args:
        module: The model.
        force: Undo even where other code has written over what the change left.

    Returns:
        The change taken back; `redo` makes it again.

    Raises:
        InvalidTargetError: There is nothing to undo, or its copy was dropped.
        ChangedSinceError: Other code has changed what it left.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from nnwidgets.edit import init
        >>> net = nn.Linear(2, 3)
        >>> old = net.weight.clone()
        >>> _ = init(net, "weight", "zeros")
        >>> undo(net).label, torch.equal(net.weight, old)
        ('zeros_', True)
    """
    return _swap(module, "undo", force=force)


@over_handles
@on_all_ranks
def redo(module: object, *, force: bool = False) -> Change:
    """Make the change again that was undone last, bit for bit.

    Args:
        module: The model.
        force: Do it even where other code has written over what undoing left.

    Returns:
        The change.

    Raises:
        InvalidTargetError: There is nothing to redo.
        ChangedSinceError: Other code has changed what undoing left.
    """
    return _swap(module, "redo", force=force)


@over_handles
def history(module: object) -> History:
    """Give what was done to a model since it was first changed: an entry per change, with time, seed and paths.

    Args:
        module: The model.

    Raises:
        InvalidTargetError: It is no module.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.edit import assign
        >>> net = nn.Linear(2, 3)
        >>> _ = assign(net, "bias[0]", 1.5)
        >>> print(history(net).to_code())
        import torch
        <BLANKLINE>
        with torch.no_grad():
            net.bias[0] = 1.5
        <BLANKLINE>
    """
    return history_of(log_of(module))


class _Swap:
    """An undo or redo, to be made, taken back and made again."""

    def __init__(self, module: object, log: Log, verb: str, *, force: bool) -> None:
        self._log, self._verb, self._force = log, verb, force
        self.entry, self._after = _next(log.state, verb)
        self.told = replace(self.entry.change, _outcome="undone" if verb == "undo" else "redone")
        self._before = log.state
        live = live_with_shards(module)
        self._reshard = partial(shard_again, live.scan)
        self._kept = _usable(live, log, self.entry, verb)
        self._was_done = self._kept.is_done

    def make(self) -> None:
        """Exchange the bytes."""
        _turn(self._kept, self.entry.change.label, self._verb, force=self._force)

    def take_back(self) -> None:
        """Be as before; may be called again."""
        self._log.state = self._before
        self._kept.turn(done=self._was_done)

    set_aside = take_back

    def revoke(self) -> None:
        """Take back what was kept, as if it had never been."""
        with self._log.lock_over(self.entry.tensors):
            state = self._log.state
            self.take_back()
            if state is not self._after:  # there are changes of the rank's own since, which stay
                others = _without(state, self.entry)
                at = len(self._before.done) - 1
                done = (*others.done[:at], self.entry, *others.done[at:]) if self._was_done else others.done
                self._log.state = State(done, others.undone)
            self._reshard()

    def keep(self) -> None:
        """Make it again, and have the history say so.

        Raises:
            ChangedSinceError: Other code has written there since, or changed the history.
        """
        with self._log.lock_over(self.entry.tensors):
            _check_state(self._log, self._before, self.entry.change.label)
            self.make()
            self.logged()

    def logged(self) -> Change:
        """Have the history say so; may be called again."""
        self._log.state = self._after
        self._reshard()
        return self.told


def _swap(module: object, verb: str, *, force: bool) -> Change:
    log, agreement = log_of(module), current()
    begun: list[_Swap] = []
    try:
        while True:
            state = log.state
            with log.lock_over(_next(state, verb)[0].tensors):
                if log.state is not state:  # another thread came first
                    continue
                swap = _Swap(module, log, verb, force=force)
                begun.append(swap)
                swap.make()
                if agreement is not None and not agreement.settle(_said(verb, swap.entry), swap):
                    return swap.told
                return swap.logged()
    except BaseException:
        for swap in begun:
            with log.lock_over(swap.entry.tensors, surely=True):
                is_settled = agreement is not None and agreement.is_settled
                retry_until_complete(swap.logged if is_settled else swap.take_back)
        raise


def _said(verb: str, entry: Entry) -> str:
    return f"{verb} of {entry.said or entry.change.label}"


def _turn(kept: UndoRecord, label: str, verb: str, *, force: bool) -> None:
    if force:
        kept.exchange(check=False)
    elif kept.foreign_states() or not kept.exchange(check=True):
        raise _foreign(kept, label, verb)


def _next(state: State, verb: str) -> tuple[Entry, State]:
    """The entry to undo or redo, and the log's state after it."""
    if verb == "undo":
        if not state.done:
            raise InvalidTargetError("There is nothing to undo.", hint=_SHOWN_IN_HISTORY)
        last = state.done[-1]
        return last, State(state.done[:-1], (last, *state.undone))
    if not state.undone:
        raise InvalidTargetError("There is nothing to redo.", hint="A new change clears what was undone.")
    first = state.undone[0]
    return first, State((*state.done, first), state.undone[1:])


def _usable(live: LiveModel, log: Log, entry: Entry, verb: str) -> UndoRecord:
    kept, label = entry.undo, entry.change.label
    if kept is None and entry.final:
        raise InvalidTargetError(f"{label} can't be undone: {entry.final}", hint=_SHOWN_IN_HISTORY)
    if kept is None:
        raise InvalidTargetError(
            f"{label} can't be undone any more: its copy was dropped to stay within {budget_text(log.budget_bytes)}.",
            hint="Raise the budget with nnwidgets.edit.set_budget(net, n_bytes) before large changes.",
        )
    for site in kept.sites:
        if not site.is_there(live.tensor(site.path)):
            raise InvalidTargetError(
                f"{site.path} is another tensor now than the one {label} changed, so there is nothing to {verb}.",
                path=site.path,
                hint="Changes are taken back in place; a tensor that was replaced, or got other memory, can't be.",
            )
    return kept


def _foreign(kept: UndoRecord, label: str, verb: str) -> ChangedSinceError:
    changed = kept.foreign()
    names = ", ".join(changed[:3]) + and_more(len(changed) - 3)
    return ChangedSinceError(
        f"{names or 'The model'} was changed by other code since {label}; to {verb} it would overwrite that.",
        path=changed[0] if changed else None,
        hint=AdvisedText("", Advice.FORCE_UNDO if verb == "undo" else Advice.FORCE_REDO, " does it all the same."),
    )
