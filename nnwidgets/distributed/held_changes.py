"""Changes that a rank has made and set aside, until whoever asked all ranks says that they stay.

A notebook that changes a model over ranks asks each to prepare, then whether all are there still, and only then to
commit. What is prepared and never committed changes nothing; what is told to commit too late is let go. What takes it
back is held until all have committed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from nnwidgets.checkpoint import LoadReport
from nnwidgets.distributed.changes import CHANGES
from nnwidgets.distributed.inputs import from_json
from nnwidgets.distributed.merging import change_json
from nnwidgets.distributed.serving.at_work import current_work
from nnwidgets.distributed.shares import flat_shares, place_in_group, rows_said, share_of
from nnwidgets.edit import Change
from nnwidgets.edit.log import log_of
from nnwidgets.edit.over_ranks.agreement import Step, agreed_by
from nnwidgets.errors import InvalidTargetError, RankMissingError
from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.inputs import device_of
from nnwidgets.introspect.tracing.unsharded import live_with_shards

Said = dict[str, Any]


class HeldChange:
    """An agreement that sets a change aside, and what it takes to make it again.

    Args:
        number: Which change of the notebook's this is: after the notebook's own, which it may forget, and a slash.
        within: Seconds after which the notebook has given up where it doesn't come back to it.
    """

    ranks: tuple[int, ...] = ()
    is_settled = False

    def __init__(self, number: str, within: float) -> None:
        self.number, self._within = number, within
        self.by = number.partition("/")[0]
        self.said = ""
        self.step: Step | None = None
        self.is_kept = False
        self.seen = time.monotonic()
        self._work = current_work()

    @property
    def is_awaited(self) -> bool:
        """Whether the notebook may still come back to it: between its steps it asks once for statistics."""
        return time.monotonic() - self.seen < 2 * self._within + _PAUSE

    def seed(self, drawn: int) -> int:
        """The notebook gives one where it matters."""
        return drawn

    def beat(self) -> None:
        """Say that it is being made, unless the notebook wants it no more."""
        self._work.beat()

    def begin(self, said: str) -> bool:  # noqa: ARG002 - nothing is said yet
        """It will be set aside, for which what it writes over has to be kept."""
        return False

    def settle(self, said: str, step: Step) -> bool:
        """Set it aside."""
        step.set_aside()
        self.said, self.step = said, step
        return False


def prepare(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Make a change and set it aside; a preview only tells it."""
    asked = _asked(body, function=str, given=Mapping, within=int | float)
    if asked["function"] not in CHANGES:
        raise InvalidTargetError(_MALFORMED)
    given = from_json(asked["given"], device_of(read(module)))
    match given:
        case [list() | tuple() as arguments, dict() as options]:
            pass
        case _:
            raise InvalidTargetError(_MALFORMED)
    held = HeldChange(asked["number"], asked["within"])
    log = log_of(module)
    if log.held is not None and log.held.by != held.by and log.held.is_awaited:
        raise InvalidTargetError(
            "Another notebook, or this one before its kernel was restarted, is about to change this model. Nothing was "
            "changed.",
            hint="Try again a little later.",
        )
    log.held = None  # whoever prepared that one has forgotten it
    with agreed_by(held):
        try:
            told = {"progress": current_work().progress} if asked["function"] == "load" else {}
            made = CHANGES[asked["function"]](module, *arguments, **options, **told)
        except TypeError as error:  # it takes no such arguments
            raise InvalidTargetError(f"{asked['function']}: {inert(str(error), 200)}.") from None
    if held.step is not None:
        log.held = held
        held.seen = time.monotonic()
    if not isinstance(made, LoadReport):
        return {"does": held.said, "change": change_json.to_json(made)} | _previewed(module, made)
    if made.change is None:
        raise InvalidTargetError("There is nothing to load into.")
    report = replace(made, change=None)
    return {"does": held.said, "change": change_json.to_json(made.change), "report": report.to_dict()}


def _previewed(module: nn.Module, change: Change) -> Said:
    """The numbers of a preview, of what of each tensor is here: what `answering` says to "stats"."""
    after = {path: each for path, each in change.after.items() if each.is_exact} if change.is_preview else {}
    if not after:
        return {}
    live = live_with_shards(module)
    flat = flat_shares(live.scan)
    shares = [share_of(live.tensor(path), *place_in_group(), flat) for path in after]
    return {"after": {"paths": list(after), **rows_said(shares, list(after.values()))}}


def see(module: nn.Module, body: Mapping[str, Any]) -> None:
    """Note that whoever prepared it waits for other ranks still."""
    held = log_of(module).held
    if held is not None and held.number == _asked(body)["number"]:
        held.seen = time.monotonic()


def renew(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Say that it is there still: from now on there is time to commit it."""
    _held_now(module, body).seen = time.monotonic()
    return {}


def commit(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Have it stay.

    Raises:
        RankMissingError: It comes too late: whoever asked has given up.
        ChangedSinceError: Other code has written there meanwhile.
    """
    held = _held_now(module, body)
    now = time.monotonic()
    if now - held.seen > _asked(body, within=int | float)["within"]:
        log_of(module).held = None
        raise RankMissingError("It was told to commit too late. Nothing was changed.")
    if held.step is not None and not held.is_kept:
        try:
            held.step.keep()
        except BaseException:
            log_of(module).held = None
            raise
        held.is_kept, held.seen = True, now
    return {}


def release(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Hold what takes it back no longer: all ranks have committed it."""
    held = log_of(module).held
    if held is not None and held.number == _asked(body)["number"]:
        log_of(module).held = None
    return {}


def revoke(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Let it go, whether or not it was committed."""
    held = log_of(module).held
    if held is not None and held.number == _asked(body)["number"]:
        log_of(module).held = None
        if held.is_kept and held.step is not None:
            held.step.revoke()
    return {}


_PAUSE = 1.0
"""Seconds that whoever asks may need between two questions."""


def _asked(body: Mapping[str, Any], **kinds: Any) -> Mapping[str, Any]:
    """What a request says of the change, which came over a network."""
    asked = body.get("change")
    if not isinstance(asked, Mapping) or not all(
        isinstance(asked.get(name), kind) for name, kind in {"number": str, **kinds}.items()
    ):
        raise InvalidTargetError(_MALFORMED)
    return asked


_MALFORMED = "The request is of no change that can be made here."


def _held_now(module: nn.Module, body: Mapping[str, Any]) -> HeldChange:
    held: HeldChange | None = log_of(module).held
    if held is None or held.number != _asked(body)["number"]:
        raise InvalidTargetError("No such change is prepared here.")
    return held
