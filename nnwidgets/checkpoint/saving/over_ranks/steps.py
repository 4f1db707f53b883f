"""What ranks say to each other while they save, on the process group's store, and how one that falls silent is noticed.

Ranks that write take as long as their bytes do, so no time is set for a step: whoever works says now and then that it
does, and who says nothing for some seconds is given up. Then the save is called off for all by one compare-and-set,
which fails once the first rank has begun to give the files their names.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist

from nnwidgets.errors import RankMissingError, RanksDisagreeError
from nnwidgets.formatting import inert, rank_names
from nnwidgets.introspect.meeting import PATIENCE, Meeting, words_of

NOTHING = "Nothing was saved, and what was there is as it was."

_GO = "go"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.02
_BEAT, _LOOK = 0.4, 0.2
_PART = 2**20
"""Most characters of a value of the store, which takes no more than eight million."""

_LONGEST_CALL = 600.0
"""Seconds that a rank may be in one call of the system, such as a sync, which can't say how far it is."""


class Steps:
    """A save's steps on this rank, after all have met.

    Args:
        meeting: That agreed on it.
        seconds: How long a rank may say nothing.
        sign: Called whenever this rank says something.

    Attributes:
        ranks: Those that save.
        me: This rank.
        is_first: Whether it is the one that gives the files their names.
    """

    def __init__(self, meeting: Meeting, seconds: float = PATIENCE, sign: Callable[[], None] | None = None) -> None:
        self.ranks, self.me = meeting.ranks, dist.get_rank()
        self.first = self.ranks[0]
        self.is_first = self.me == self.first
        self._store, self._seconds = meeting.afterwards(), seconds
        self._sign = sign
        self._n_beats, self._last_beat, self._last_step = 0, 0.0, time.monotonic()
        self._last_work = self._last_step
        self._is_over = self._is_in_others = False
        self._told_all: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self._is_over:
            with contextlib.suppress(RuntimeError):
                self._call_off({"rank": self.me, "why": words_of(error)})

    def beat(self) -> None:
        """Say that this rank works, unless it has just said so."""
        now = self._last_work = time.monotonic()
        if now - self._last_beat < _BEAT:
            return
        self._last_beat = now
        with self._lost():
            self._say_beat()
            self._check_on()

    def _say_beat(self) -> None:
        self._n_beats += 1
        self._store.set(f"beat/{self.me}", str(self._n_beats))
        if self._sign is not None:
            self._sign()

    def check_on(self) -> None:
        """Go no further where a rank has called it off.

        Raises:
            RankMissingError: One did.
        """
        with self._lost():
            self._check_on()

    def call(self, progress: Callable[..., None], *told: int) -> None:
        """Call a function of the user's, which doesn't count as work: for all that is known of it, it never ends."""
        self._is_in_others = True
        try:
            progress(*told)
        finally:
            self._is_in_others = False

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Say that this rank works, also while it is in a call of the system: a slow disk may hold up any of them."""
        is_done = threading.Event()
        self._last_work = time.monotonic()

        def beat() -> None:
            while not is_done.wait(_BEAT) and time.monotonic() < self._last_work + _LONGEST_CALL:
                if self._is_in_others:
                    continue
                try:
                    self._say_beat()
                except RuntimeError:
                    return

        thread = threading.Thread(target=beat, name="nnwidgets-save", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_done.set()
            thread.join()

    def say(self, step: str, what: Any) -> None:
        """Say something to the first rank; it says it to all."""
        text = b64encode(zlib.compress(json.dumps(what).encode("utf-8", "surrogatepass"), 1)).decode()
        parts = [text[at : at + _PART] for at in range(0, len(text), _PART)]
        with self._lost():
            for number, part in enumerate(parts):
                self._store.set(f"{step}/{self.me}/{number}", part)
            self._store.set(f"{step}/{self.me}", str(len(parts)))
        if self.is_first:
            self._told_all += [f"{step}/{self.me}", *(f"{step}/{self.me}/{number}" for number in range(len(parts)))]

    def hear_all(self, step: str) -> dict[int, Any]:
        """What each rank says at a step, as the first one hears it.

        Raises:
            RankMissingError: One said nothing, or can't; all are told.
        """
        self._wait(step, self.ranks)
        return {rank: self._heard(step, rank, is_last=True) for rank in self.ranks}

    def hear(self, step: str) -> Any:
        """What the first rank says at a step.

        Raises:
            RankMissingError: It said nothing, or some rank can't go on.
        """
        self._wait(step, (self.first,))
        return self._heard(step, self.first)

    def settle(self) -> None:
        """Have no rank call it off from now on.

        Raises:
            RankMissingError: One did.
        """
        with self._lost():
            decided = self._decide(_GO)
        if decided != _GO:
            raise self._error(json.loads(decided))

    def compare(self, does: str, **more: Any) -> dict[int, Any]:
        """Say what this rank is about to save, and go no further where others say something else.

        Args:
            does: What; the same on all.
            more: What else the first rank has to know.

        Returns:
            What each rank said, on the first one.

        Raises:
            RanksDisagreeError: Ranks would save different things.
            RankMissingError: One said nothing, or can't.
        """
        self.say("ready", {"does": does, **more})
        if not self.is_first:
            return {}
        said = self.hear_all("ready")
        other = next((rank for rank in self.ranks if said[rank]["does"] != does), None)
        if other is not None:
            told = f"Rank {self.me}: {inert(does, 200)}. Rank {other}: {inert(said[other]['does'], 200)}."
            raise self._error(json.loads(self._call_off({"differ": told})))
        return said

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """As the first rank, tell all what went wrong once none can call it off."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(RuntimeError):
                self.end({"error": words_of(error), "is_sure": isinstance(error, Exception)})
            raise

    def hear_end(self) -> dict[str, Any]:
        """The report, as JSON, as the first rank tells it to all.

        Raises:
            RankMissingError: It couldn't do it, or was lost.
        """
        found: dict[str, Any] = self.hear("end")
        if "error" in found:
            if not found["is_sure"]:  # interrupted, perhaps when the files had their names already
                self._is_over = True
                raise RankMissingError(
                    f"Rank {self.first} was stopped: {inert(found['error'], 400)} {_OLD_OR_NEW}", ranks=(self.first,)
                )
            raise self._error({"rank": self.first, "why": found["error"]})
        return found

    def leave(self) -> None:
        """Say that this rank knows how it ended; the first one waits for that, since the store may end with it."""
        self._is_over = True
        with contextlib.suppress(RuntimeError):
            n, end, pause = self._store.add("left", 1), time.monotonic() + self._seconds, _FIRST_PAUSE
            while self.is_first and n < len(self.ranks) and time.monotonic() < end:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                n = self._store.add("left", 0)
            if self.is_first and n >= len(self.ranks):  # else a late one has yet to hear how it ended
                for key in (*self._told_all, *(f"beat/{rank}" for rank in self.ranks), "decided", "left"):
                    self._store.delete_key(key)

    def end(self, report: Any) -> None:
        """As the first rank, tell all how it ended."""
        self.say("end", report)

    def _wait(self, step: str, ranks: Iterable[int]) -> None:
        began = looked = time.monotonic()
        patience = max(self._seconds, began - self._last_step)  # others may take as long for what led here
        keys = {rank: f"{step}/{rank}" for rank in ranks}
        seen: dict[int, bytes] = {}
        since = dict.fromkeys(keys, began)
        pause = _FIRST_PAUSE
        with self._lost():
            while not self._store.check(list(keys.values())):
                self.beat()
                now = time.monotonic()
                if now - looked >= _LOOK:
                    looked = now
                    self._check_on()
                    late = [rank for rank, key in keys.items() if not self._store.check([key])]
                    for rank in late:
                        beat = self._store.get(f"beat/{rank}") if self._store.check([f"beat/{rank}"]) else b""
                        if beat != seen.get(rank):
                            seen[rank], since[rank] = beat, now
                    silent = [rank for rank in late if now - since[rank] >= patience]
                    if silent:
                        decided = self._call_off({"silent": silent, "seconds": patience})
                        if decided != _GO:
                            raise self._error(json.loads(decided))
                        raise self._lost_while_placing(patience)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            self._check_on()
        self._last_step = time.monotonic()

    def _heard(self, step: str, rank: int, *, is_last: bool = False) -> Any:
        key = f"{step}/{rank}"
        with self._lost():
            keys = [f"{key}/{number}" for number in range(int(self._store.get(key)))]
            text = b"".join(bytes(self._store.get(each)) for each in keys)
            if is_last and rank != self.first:
                for each in (key, *keys):
                    self._store.delete_key(each)
        return json.loads(zlib.decompress(b64decode(text)).decode("utf-8", "surrogatepass"))

    def _check_on(self) -> None:
        if self._store.check(["decided"]):
            decided = bytes(self._store.get("decided")).decode()
            if decided != _GO:
                raise self._error(json.loads(decided))

    def _call_off(self, why: dict[str, Any]) -> str:
        return self._decide(json.dumps(why))

    def _decide(self, what: str) -> str:
        return bytes(self._store.compare_set("decided", "", what)).decode()

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        """What the store refuses is that it is gone, with the rank that had it."""
        try:
            yield
        except RuntimeError as error:
            self._is_over = True
            host = tuple(rank for rank in self.ranks if rank != self.me)[:1]
            raise RankMissingError(
                f"The process group's store is gone, and with it the rank that had it, {rank_names(host)} as a rule. "
                f"{_OLD_OR_NEW}",
                ranks=host,
            ) from error

    def _lost_while_placing(self, seconds: float) -> RankMissingError:
        self._is_over = True
        return RankMissingError(
            f"Rank {self.first} said nothing for {seconds:.1f} s, while it gave the files their names. {_OLD_OR_NEW}",
            ranks=(self.first,),
        )

    def _error(self, why: dict[str, Any]) -> Exception:
        self._is_over = True
        if "differ" in why:
            return RanksDisagreeError(
                f"{why['differ']} {NOTHING}", hint="Every rank runs the same lines on the same model."
            )
        if "silent" in why:
            silent = tuple(why["silent"])
            if self.me in silent:
                return RankMissingError(
                    f"This one, rank {self.me}, said nothing for {why['seconds']:.1f} s, and the others gave up. "
                    f"{NOTHING}",
                    ranks=silent,
                )
            return RankMissingError(
                f"This save needs {rank_names(self.ranks)}, and {rank_names(silent)} said nothing for "
                f"{why['seconds']:.1f} s. {NOTHING}",
                ranks=silent,
            )
        return RankMissingError(
            f"Rank {why['rank']} can't do it: {inert(why['why'], 400)} {NOTHING}", ranks=(why["rank"],)
        )


_OLD_OR_NEW = "What is at the path is what was there before, or what was to be saved: one of them, whole."
