"""Ranks that do something together, or not at all: all of them say on the process group's store that they are there.

What a model that is spread over ranks does waits in its collectives for all of them, as long as the group's timeout
(minutes), and a change of some of them alone leaves a mixture. So each says what it is about to do, and only when all
have come, and say the same, does any go on. Whoever waits too long calls it off, for all by one compare-and-set; a rank
that comes afterwards begins another turn. The last rank that leaves a turn takes back what it left in the store.

A rank that keeps the store, rank 0 as a rule, and is stopped holds up whoever asks the store, as long as it is; where
it ends, they are told at once.
"""

from __future__ import annotations

import json
import secrets
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from nnwidgets.errors import NNWidgetsError, RankMissingError, RanksDisagreeError
from nnwidgets.formatting import inert, rank_names

PATIENCE = 4.0
"""Seconds that a rank waits for the others, unless told otherwise."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.01
_BEAT_SECONDS = 0.5
_BEATING = 4
_GO, _OFF, _DIFFER, _REFUSED = "go ", "off ", "differ", "refused "
_turns: weakref.WeakKeyDictionary[Any, dict[str, int]] = weakref.WeakKeyDictionary()
"""Of each store, how many times ranks met on it, by the names of the meetings."""


class Words(NamedTuple):
    """What a meeting is about, for its errors.

    Attributes:
        what: ``"forward"``.
        nothing: What did not happen: ``"Nothing was run."``
        hint: How all ranks do it, and how to wait longer.
    """

    what: str
    nothing: str
    hint: str


class Meeting:
    """One thing that ranks do together.

    Args:
        ranks: Which, this one among them.
        seconds: How long to wait for the others, or as long as this rank took before it agrees, where that is more.
        name: That of the meeting, the same on all of them.
        words: For errors.
        call: What was called here, where that may be refused before the ranks meet; the same on all of them.
        is_met: Whether this rank will agree. One that won't stays with its next turn, whatever others decided there.

    Attributes:
        turn: Which of the meetings of that name this is; the same on all ranks.
        is_on: Whether all ranks go on. From then on none may stay behind.
    """

    def __init__(
        self, ranks: Sequence[int], seconds: float, name: str, words: Words, call: str = "", *, is_met: bool = True
    ) -> None:
        store = _get_default_store()
        self.ranks = tuple(ranks)
        self._seconds, self._words, self._call = seconds, words, call
        whose = ",".join(map(str, ranks)) if len(ranks) < dist.get_world_size() else "all"
        self._name = f"{name}/{whose}"
        self._held, self._turns = PrefixStore(f"nnwidgets/{self._name}", store), _turns.setdefault(store, {})
        self._me, self._began = dist.get_rank(), time.monotonic()
        self._beaten, self._n_beats = 0.0, 0
        self.is_on, self._drawn = False, ""
        self._refused: dict[int, str] = {}
        self.turn = self._turns.get(self._name, 0)
        try:
            while is_met and self._held.check([f"{self.turn}/decided"]):
                decided = self._decided()
                if decided.startswith(_REFUSED):
                    rank, refused, why = json.loads(decided.removeprefix(_REFUSED))
                    if refused == call:  # what this rank is about to do
                        break
                    self._refused[rank] = f" Rank {rank} couldn't do {inert(refused, 200)!r}: {inert(why, 400)}"
                self._leave()
                self.turn += 1
        except RuntimeError:  # the store is gone, which the meeting will find
            pass

    def shared(self, value: str) -> str:
        """One value for all ranks: that of the first one who asks; nobody is waited for.

        Raises:
            RankMissingError: The store is gone.
        """
        try:
            return bytes(self._held.compare_set(f"{self.turn}/shared", "", value)).decode()
        except RuntimeError:
            raise self._gone() from None

    def beat(self) -> None:
        """Tell those that wait that this rank is on its way; may be called as often as there is something done."""
        now = time.monotonic()
        if now - self._beaten > _BEAT_SECONDS and not self.is_on:
            self._beaten, self._n_beats = now, self._n_beats + 1
            with suppress(RuntimeError):  # the store is gone, which the meeting will find
                self._held.set(f"{self.turn}/beat/{self._me}", str(self._n_beats))

    def afterwards(self) -> Any:
        """A part of the store for what those who met do next, which nothing else uses, nor did in another group."""
        return PrefixStore(f"{self.turn}/{self._drawn}", self._held)

    def refuse(self, why: str) -> None:
        """Tell the others that this rank won't come, and why."""
        if self.is_on or self._turns.get(self._name, 0) > self.turn:
            return
        with suppress(RuntimeError):
            self._decide(_REFUSED + json.dumps([self._me, self._call, why]))
            self._leave()

    def agree(self, said: str = "") -> None:
        """Go on only with all the ranks, which say the same.

        Raises:
            RankMissingError: Some didn't come, or one of them can't; those that came are told so too.
            RanksDisagreeError: They say different things.
        """
        began = time.monotonic()
        # Others may take as long for what led here; those that beat are waited for as long as they do.
        patience = max(self._seconds, (began - self._began) / (_BEATING if self._n_beats else 1))
        try:
            self._held.set(f"{self.turn}/{self._me}", said)
            if self._held.check([f"{self.turn}/{rank}" for rank in self.ranks]):
                self._decide(_GO + secrets.token_hex(4) if len(set(self._said().values())) == 1 else _DIFFER)
            beats = self._beats_of(self.ranks)
            while wait_for(self._held, f"{self.turn}/decided", time.monotonic() + patience) is None:
                late = [rank for rank in self.ranks if not self._held.check([f"{self.turn}/{rank}"])]
                known, beats = beats, self._beats_of(late)
                if not late or any(known.get(rank) == beats[rank] for rank in late):
                    self._decide(_OFF + " ".join(map(str, late)))
            decided = self._decided()
            self.is_on, self._drawn = decided.startswith(_GO), decided.removeprefix(_GO)
            theirs = self._said() if decided == _DIFFER else {}
            self._leave()
        except RuntimeError:
            if not self.is_on:
                raise self._gone() from None
        except BaseException:  # an interrupt: the others must not go on without this rank, nor it stay behind
            self.is_on = self._decide(_OFF + str(self._me)).startswith(_GO)
            self._leave()
            raise
        if not self.is_on:
            raise self._error(decided, said, theirs, time.monotonic() - began)

    def _gone(self) -> RankMissingError:
        self._turns[self._name] = self.turn + 1
        others = tuple(rank for rank in self.ranks if rank != self._me)
        return RankMissingError(
            f"This {self._words.what} needs {rank_names(self.ranks)}, and the store over which they agree is gone, "
            f"with the process that kept it. {self._words.nothing}",
            ranks=others,
        )

    def _error(self, decided: str, said: str, theirs: dict[int, str], seconds: float) -> Exception:
        what, nothing, hint = self._words
        if decided == _DIFFER:
            other = next(rank for rank, each in theirs.items() if each != said)
            return RanksDisagreeError(
                f"Rank {self._me}: {inert(said, 200)}. Rank {other}: {inert(theirs[other], 200)}. {nothing}",
                hint="Every rank runs the same lines on the same model.",
            )
        if decided.startswith(_REFUSED):
            rank, _, why = json.loads(decided.removeprefix(_REFUSED))
            return RankMissingError(f"Rank {rank} can't do it: {inert(why, 400)} {nothing}", ranks=(rank,))
        missing = tuple(int(rank) for rank in decided.removeprefix(_OFF).split())
        if self._me in missing:
            return RankMissingError(
                f"This {what} needs {rank_names(self.ranks)}, and this one, rank {self._me}, came when others had "
                f"given up. {nothing}",
                ranks=missing,
                hint=hint,
            )
        return RankMissingError(
            f"This {what} needs {rank_names(self.ranks)}, and {rank_names(missing)} didn't come within "
            f"{seconds:.1f} s.{''.join(self._refused.get(rank, '') for rank in missing)} {nothing}",
            ranks=missing,
            hint=hint,
        )

    def _beats_of(self, ranks: Sequence[int]) -> dict[int, bytes]:
        """What each rank has beaten last."""
        keys = {rank: f"{self.turn}/beat/{rank}" for rank in ranks}
        return {rank: bytes(self._held.get(key)) if self._held.check([key]) else b"" for rank, key in keys.items()}

    def _said(self) -> dict[int, str]:
        return {rank: bytes(self._held.get(f"{self.turn}/{rank}")).decode() for rank in self.ranks}

    def _decide(self, what: str) -> str:
        """Decide for all, unless another rank did; gives what is decided."""
        return bytes(self._held.compare_set(f"{self.turn}/decided", "", what)).decode()

    def _decided(self) -> str:
        return bytes(self._held.get(f"{self.turn}/decided")).decode()

    def _leave(self) -> None:
        """Say that this rank is done with the turn; the last one takes everything back."""
        if self._turns.get(self._name, 0) <= self.turn:
            self._turns[self._name] = self.turn + 1
            if self._held.add(f"{self.turn}/left", 1) == len(self.ranks):
                beats = (f"beat/{rank}" for rank in self.ranks)
                for key in (*self.ranks, "decided", "left", "shared", *beats):
                    self._held.delete_key(f"{self.turn}/{key}")


def words_of(error: BaseException) -> str:
    """What an error says, and what to do, as other ranks are told it; whether anything was changed they know.

    Example:
        >>> words_of(KeyError("step")), words_of(KeyboardInterrupt())
        ("KeyError: 'step'.", 'KeyboardInterrupt.')
    """
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, NNWidgetsError):
        hint = error.hint if type(error.hint) is str else ""
        said = f"{error.message} {hint}".replace(" Nothing was changed.", "").strip()
    return said if said.endswith((".", "…")) else f"{said}."


def wait_for(store: Any, key: str, deadline: float) -> bytes | None:
    """What a store has under a key, as soon as it is there; None where it isn't by the deadline.

    Not the store's own wait, which complains on stderr where nothing comes.
    """
    pause = _FIRST_PAUSE
    while not store.check([key]):
        if time.monotonic() >= deadline:
            return None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return bytes(store.get(key))
