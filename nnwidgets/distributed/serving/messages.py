"""JSON over a socket between two that know one token, which itself is never sent.

Who listens sends a nonce. Each message is its length, the SHA-256 of its bytes, and an HMAC of both with the nonce, by
the token: it is verified before any of the message is read. A reply's covers the question too. Nothing is encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

NONCE_BYTES = 32
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_LONGEST = 1 << 30
_PIECE = 1 << 20
_MOST_UNREAD = 64
_ENCODING = "utf-8"


class WrongTokenError(Exception):
    """The other side knows another token, or is somebody else."""


class Channel:
    """One question and its reply, over a connected socket.

    Args:
        connection: The socket.
        token: What both know.
        nonce: Drawn by the side that listens, for this connection alone.
        deadline: On the clock of `time.monotonic`; waiting for the other side ends then.
    """

    def __init__(self, connection: socket.socket, token: str, nonce: bytes, deadline: float) -> None:
        self._connection = connection
        self._token = token.encode(_ENCODING)
        self._said = nonce
        self.deadline = deadline

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: The other side is gone, or the deadline has come.
        """
        data = json.dumps(message).encode(_ENCODING)
        head = len(data).to_bytes(_LENGTH_BYTES, "big") + hashlib.sha256(data).digest()
        self._connection.settimeout(_left(self.deadline))
        self._connection.sendall(head + self._mac(head) + data)
        self._said += head

    def receive(self) -> dict[str, Any]:
        """Take the other side's message.

        Raises:
            WrongTokenError: It isn't signed by the token.
            OSError: The other side is gone, or the deadline has come.
        """
        head = self._read(_LENGTH_BYTES + _DIGEST_BYTES)
        if not hmac.compare_digest(self._read(_DIGEST_BYTES), self._mac(head)):
            raise WrongTokenError
        length = int.from_bytes(head[:_LENGTH_BYTES], "big")
        if length > _LONGEST:
            raise WrongTokenError
        data = self._read(length)
        if not hmac.compare_digest(hashlib.sha256(data).digest(), head[_LENGTH_BYTES:]):
            raise WrongTokenError
        self._said += head
        message: dict[str, Any] = json.loads(data)
        return message

    def refuse(self) -> None:
        """Answer with what no token signs, and let go when the other side does."""
        self._connection.settimeout(_left(self.deadline))
        self._connection.sendall(bytes(_LENGTH_BYTES + 2 * _DIGEST_BYTES))
        self._connection.shutdown(socket.SHUT_WR)
        # What is left unread when a socket is closed takes back what was sent.
        for _ in range(_MOST_UNREAD):
            if not self._connection.recv(_PIECE):
                return

    def _mac(self, head: bytes) -> bytes:
        # What was said before is in it, so a reply belongs to its question, and a question is no reply.
        return hmac.digest(self._token, self._said + head, "sha256")

    def _read(self, n: int) -> bytes:
        return read(self._connection, n, self.deadline)


def read(connection: socket.socket, n: int, deadline: float) -> bytes:
    """Read so many bytes.

    Raises:
        OSError: The other side is gone, or the deadline has come.
    """
    parts = []
    while n:
        connection.settimeout(_left(deadline))
        part = connection.recv(min(n, _PIECE))
        if not part:
            raise ConnectionResetError
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
