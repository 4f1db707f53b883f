"""Listens in a rank, in a thread that sleeps until somebody comes, and answers who knows the token.

Questions are the JSON of the protocol, of kind `rank` alone: whoever has the token may look, and change nothing.
"""

from __future__ import annotations

import atexit
import importlib
import os
import platform
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nnwidgets.distributed.serving.at_work import how_far
from nnwidgets.distributed.serving.messages import NONCE_BYTES, Channel, WrongTokenError
from nnwidgets.distributed.serving.position import Watch
from nnwidgets.introspect.statistics.threads import single_thread

Address = tuple[str, int]
Answer = Callable[[dict[str, Any]], Mapping[str, Any]]

LOOKS = frozenset(("tree", "stats", "values", "check", "history", "call-off"))
"""What may be asked beside whatever the rank does; that is called off by who began it alone, and knows its number."""

_MOST_AT_ONCE = 16
_GREETING_SECONDS = 5.0
_CLOSING_SECONDS = 5.0


class Door:
    """The side door of one rank.

    Args:
        answer: Answers a request of the protocol.
        token: Who knows it may ask.
        address: Where to listen; port 0 for any that is free.

    Attributes:
        address: Where it listens.
        doors: Those of all ranks, to be told to whoever asks.
        token: As given.
        is_open: Whether it still listens.

    Raises:
        OSError: It can't listen there.
    """

    def __init__(self, answer: Answer, token: str, address: Address = ("127.0.0.1", 0)) -> None:
        self._answer = answer
        self.token = token
        self._socket = socket.create_server(address, backlog=_MOST_AT_ONCE)
        self.address: Address = self._socket.getsockname()[:2]
        self.doors: Mapping[int, Address] = {0: self.address}
        self._watch = Watch()
        self._one_at_a_time = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self.is_open = True
        _OPEN.add(self)
        self._thread = threading.Thread(target=self._listen, name="nnwidgets-door", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def close(self) -> None:
        """Listen no more; an answer under way is waited for, so that no reading outlasts the process."""
        atexit.unregister(self.close)
        if self.is_open:
            self.is_open = False
            with suppress(OSError):  # closing a socket wakes nobody who waits for it, a visitor does
                socket.create_connection(self.address, timeout=_CLOSING_SECONDS).close()
            self._thread.join(_CLOSING_SECONDS)
            self._socket.close()
            if self._one_at_a_time.acquire(timeout=_CLOSING_SECONDS):
                self._one_at_a_time.release()

    def forget(self) -> None:
        """Let go of the socket in a process that was forked off, which has no thread to answer."""
        self.is_open = False
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not self.is_open:
                connection.close()
                return
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="nnwidgets-door", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._reply(connection)
            self._watch.look_on()
        except (OSError, ValueError, WrongTokenError):
            pass  # who asked is told by the connection's end
        finally:
            self._places.release()

    def _reply(self, connection: socket.socket) -> None:
        nonce = secrets.token_bytes(NONCE_BYTES)
        connection.settimeout(_GREETING_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(nonce)
        channel = Channel(connection, self.token, nonce, time.monotonic() + _GREETING_SECONDS)
        try:
            question = channel.receive()
        except WrongTokenError:
            channel.refuse()
            return
        seconds = float(question["seconds"])
        channel.deadline = time.monotonic() + seconds
        said: dict[str, Any] = {"host": platform.node(), "doors": self.doors}
        if "request" in question:
            said["reply"] = self._answer_in_turn(question["request"], seconds)
        said["where"] = {**self._watch.where(settle=bool(question.get("settle"))), "at_work": how_far()}
        channel.send(said)

    def _answer_in_turn(self, request: Any, seconds: float) -> Mapping[str, Any]:
        if not isinstance(request, dict) or request.get("kind") != "rank":
            return _refused("unknown-kind", "A rank answers requests of kind 'rank' alone.")
        if request.get("body", {}).get("ask") not in LOOKS:
            return _refused(
                "invalid-target", "A side door is for looking: what else is asked needs the rank's own thread."
            )
        if not self._one_at_a_time.acquire(timeout=seconds):
            raise TimeoutError
        try:
            with single_thread():
                return self._answer(request)
        finally:
            self._one_at_a_time.release()


def _refused(code: str, message: str) -> Mapping[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message}}


_OPEN: weakref.WeakSet[Door] = weakref.WeakSet()


def _forget_all() -> None:
    for door in _OPEN:
        door.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def handled(request: dict[str, Any]) -> Mapping[str, Any]:
    """What `nnwidgets.handle` answers here: what answers is above this package."""
    answer: Mapping[str, Any] = importlib.import_module("nnwidgets").handle(request)
    return answer


def open_shared() -> tuple[str, Address, str]:
    """Open the one door for all who can run this here anyway, if it isn't; give its host, its address and its token."""
    with _SHARING:
        if not _SHARED or not _SHARED[0].is_open:
            _SHARED[:] = [Door(handled, secrets.token_urlsafe(24))]
    return platform.node(), _SHARED[0].address, _SHARED[0].token


_SHARING = threading.Lock()
_SHARED: list[Door] = []
