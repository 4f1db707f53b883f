"""Ranks with a side door each: asked from a process that is none of them, whatever they do meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nnwidgets.distributed.serving.door import Address
from nnwidgets.distributed.serving.messages import NONCE_BYTES, Channel, WrongTokenError, read
from nnwidgets.distributed.sources.source import Answers, Missing
from nnwidgets.errors import InvalidTargetError, RankMissingError

_WHERE_SECONDS = 0.4
_SETTLE_SECONDS = 1.5


class Way(NamedTuple):
    """The way to a side door.

    Attributes:
        address: Where it is.
        token: What opens it.
    """

    address: Address
    token: str


class DoorSource:
    """Ranks that are asked at their side doors.

    Args:
        doors: The ways there, by rank.
    """

    def __init__(self, doors: Mapping[int, Way]) -> None:
        self.doors = dict(doors)

    def call(self, request: Mapping[str, Any], ranks: Iterable[int] | None, deadline: float) -> Answers:
        """Ask each; of one that hasn't answered by the deadline, what it is doing is told, where it tells that."""
        asked = [*self.doors] if ranks is None else list(ranks)
        return self._ask(asked, {"request": dict(request)}, deadline)

    def where(self, ranks: Iterable[int]) -> dict[int, Mapping[str, Any]]:
        """What each of some ranks is doing at this moment; without those that don't tell."""
        found = self._exchange(list(ranks), {}, time.monotonic() + _WHERE_SECONDS)
        return {rank: said for rank, said in found.items() if isinstance(said, dict)}

    def settled(self) -> Answers:
        """How each rank is, after having looked on for a second where one waits."""
        return self._ask([*self.doors], {"settle": True}, time.monotonic() + _SETTLE_SECONDS)

    def _ask(self, ranks: list[int], question: Mapping[str, Any], deadline: float) -> Answers:
        began = time.monotonic()
        found = self._exchange(ranks, question, deadline)
        answers: dict[int, Mapping[str, Any] | Missing] = {}
        late = [rank for rank, said in found.items() if not isinstance(said, dict)]
        where = self.where(rank for rank in late if not isinstance(found[rank], ConnectionError))
        for rank, said in found.items():
            if isinstance(said, dict):
                answers[rank] = {**said.get("reply", {"ok": True}), "host": said["host"], "where": said["where"]}
            elif rank not in where:
                answers[rank] = _why(said, began)
            else:
                answers[rank] = Missing.late(began, where[rank]["host"], where[rank]["where"])
        return answers

    def _exchange(
        self, ranks: list[int], question: Mapping[str, Any], deadline: float
    ) -> dict[int, dict[str, Any] | Exception]:
        """What each rank said, or what became of the question; at the deadline all threads have ended."""
        found: dict[int, dict[str, Any] | Exception] = {}

        def one(rank: int) -> None:
            try:
                found[rank] = exchange(self.doors[rank], question, deadline)
            except (OSError, WrongTokenError, ValueError) as error:
                found[rank] = error

        threads = [threading.Thread(target=one, args=(rank,), name="nnwidgets-ask", daemon=True) for rank in ranks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {rank: found[rank] for rank in ranks}


def exchange(way: Way, question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
    """Ask one question at one door.

    Raises:
        WrongTokenError: It knows another token.
        OSError: Nothing listens there, or the deadline has come.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    with socket.create_connection(way.address, timeout=left) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nonce = read(connection, NONCE_BYTES, deadline)
        channel = Channel(connection, way.token, nonce, deadline)
        channel.send({**question, "seconds": left})
        return channel.receive()


def _why(error: Exception | dict[str, Any], began: float) -> Missing:
    if isinstance(error, WrongTokenError):
        return Missing("has another token")
    if isinstance(error, ConnectionRefusedError):
        return Missing("is gone: its process has ended, or serves no more", is_dead=True)
    if isinstance(error, ConnectionError):
        return Missing("ended, or closed the connection, while it was asked", is_dead=True)
    return Missing.late(began)


def source_at(text: str, token: str | None, timeout: float) -> DoorSource:
    """The ranks of a job that serves, found by the door of any one of them.

    Args:
        text: ``"host:port"``.
        token: What `serve` gave.
        timeout: Seconds that the answer may take.

    Raises:
        InvalidTargetError: The text is no address, or there is no token, or another.
        RankMissingError: Nothing answers there.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidTargetError(f"{text[:80]!r} is no address.", hint='Such as ranks("127.0.0.1:29500", token="…").')
    if not token:
        raise InvalidTargetError(
            f"The job at {text[:80]} answers to who knows its token.", hint="serve() gives it: ranks(…, token=…)."
        )
    began = time.monotonic()
    way = Way((host.strip("[]"), int(port)), token)
    try:
        said = exchange(way, {}, began + timeout)
    except WrongTokenError:
        raise InvalidTargetError(
            f"What listens at {text[:80]} has another token, or is no rank.", hint="serve() gives the job's token."
        ) from None
    except OSError as error:
        why = "nothing listens there" if isinstance(error, ConnectionRefusedError) else str(error) or "no answer"
        raise RankMissingError(
            f"No rank answers at {text[:80]}: {why}.",
            hint="The job has ended, or hasn't called serve().",
        ) from None
    return DoorSource({int(rank): Way((to[0], to[1]), token) for rank, to in said["doors"].items()})
