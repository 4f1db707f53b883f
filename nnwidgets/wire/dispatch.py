"""Requests in, exactly one reply each out, whatever the request was; each channel and Explorer has a dispatcher."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nnwidgets.errors import closest_names
from nnwidgets.wire.codec import encode
from nnwidgets.wire.errors import RequestError, wire_error
from nnwidgets.wire.schema import KINDS
from nnwidgets.wire.schema.envelope import VERSION, Request
from nnwidgets.wire.threads import Workers
from nnwidgets.wire.validation import validate

Send = Callable[[dict[str, Any], list[bytes | memoryview]], None]
Handler = Callable[[dict[str, Any], "Job"], Mapping[str, Any]]

_SECONDS_BETWEEN_PROGRESS = 0.1
_QUIET_SECONDS = 0.12
_MOST_PATIENCE_SECONDS = 0.3
_LOOK_SECONDS = 0.01


class Job:
    """One request under way: whether it is still wanted, how far it is, and its one reply.

    Attributes:
        is_patient: Whether it lets others go first.
    """

    def __init__(self, request_id: str, send: Send) -> None:
        self.is_patient = False
        self._id = request_id
        self._send = send
        self._lock = threading.Lock()
        self._replied = False
        self._is_held = False
        self._is_unwanted = False
        self._last_progress = 0.0
        self._afterwards: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the request was cancelled, or the view closed. The reply has then gone, unless `hold`."""
        return self._replied or self._is_unwanted

    def hold(self) -> None:
        """From now on a cancel is only a wish, and the reply comes from the work: it tells what became of it.

        What changes a file or a model must not be told as cancelled once it is done.
        """
        self._is_held = True

    def cancel(self) -> bool:
        """Take back the request; return whether it was still under way."""
        if self._is_held:
            self._is_unwanted = True
            return not self._replied
        return self.fail(RequestError("cancelled", "The request was cancelled."))

    def check(self) -> None:
        """End the work where nobody wants it any more.

        Raises:
            RequestError: `cancelled`.
        """
        if self.cancelled:
            raise RequestError("cancelled", "The request was cancelled.")

    def progress(self, done: int, total: int) -> None:
        """Tell how far the work is; at most ten times a second goes out, and nothing after the reply."""
        now = time.monotonic()
        with self._lock:
            if self._replied or now - self._last_progress < _SECONDS_BETWEEN_PROGRESS:
                return
            self._last_progress = now
            self._send({"v": VERSION, "id": self._id, "progress": {"done": done, "total": total}}, [])

    def after_reply(self, call: Callable[[], None]) -> None:
        """Have ``call`` called once the reply has gone, so that what it sets off does not hold the reply up."""
        self._afterwards.append(call)

    def end(self) -> None:
        """Make the calls that waited for the reply."""
        while self._afterwards:
            self._afterwards.pop(0)()

    def succeed(self, body: Mapping[str, Any]) -> bool:
        """Reply with ``body`` unless a reply has gone; return whether this one went."""
        message, buffers = encode({"v": VERSION, "id": self._id, "ok": True, "body": body})
        return self._reply(message, buffers)

    def fail(self, error: BaseException) -> bool:
        """Reply that ``error`` happened unless a reply has gone; return whether this one went."""
        message, _ = encode({"v": VERSION, "id": self._id, "ok": False, "error": wire_error(error)})
        return self._reply(message, [])

    def _reply(self, message: dict[str, Any], buffers: list[bytes | memoryview]) -> bool:
        with self._lock:
            if self._replied:
                return False
            self._replied = True
            self._send(message, buffers)
            return True


class Dispatcher:
    """Checks requests, hands each to its handler, and sees to it that each gets exactly one reply.

    Args:
        handlers: A handler for each kind but `cancel`, given the checked body and the `Job`.
        send: Takes one JSON message and its buffers to the other side; called from several threads.
        background: Tells from kind and body whether the request is long work for another thread, so that a `cancel`
            can be read meanwhile. By default nothing is.
        patient: Tells whether work in the background lets other requests go first: it begins when all others have
            their reply and no more came for a moment, or after a third of a second. By default none does.

    Example:
        >>> sent = []
        >>> dispatcher = Dispatcher({"models": lambda body, job: {"models": []}}, lambda *message: sent.append(message))
        >>> dispatcher.receive({"v": 1, "id": "1", "kind": "models", "body": {}})
        >>> sent
        [({'v': 1, 'id': '1', 'ok': True, 'body': {'models': []}}, [])]
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        send: Send,
        *,
        background: Callable[[str, dict[str, Any]], bool] = lambda _kind, _body: False,
        patient: Callable[[str, dict[str, Any]], bool] = lambda _kind, _body: False,
    ) -> None:
        self._handlers = {**handlers, "cancel": self._cancel}
        self._send = send
        self._background = background
        self._patient = patient
        self._last_heard = 0.0
        self._workers = Workers(limit=4)
        self._lock = threading.Lock()
        self._pending: dict[str, Job] = {}
        self._closed = False

    @property
    def pending(self) -> Collection[str]:
        """Ids of the requests that have no reply yet."""
        with self._lock:
            return tuple(self._pending)

    def receive(self, message: Any) -> None:
        """Take one request, as decoded from JSON; its reply goes out through ``send``, now or later."""
        job = Job(_id_of(message), self._send)
        self._last_heard = time.monotonic()
        try:
            kind, body = _check_request(message)
            self._begin(message["id"], job)
        except RequestError as fault:
            job.fail(fault)
            return
        if self._background(kind, body):
            job.is_patient = self._patient(kind, body)
            self._workers.run(lambda: self._answer(message["id"], kind, body, job))
        else:
            self._answer(message["id"], kind, body, job)

    def close(self) -> None:
        """Reply `view-closed` to all that is pending and to all that comes after; idempotent."""
        with self._lock:
            self._closed = True
            jobs = list(self._pending.values())
            self._pending.clear()
        for job in jobs:
            job.fail(view_closed_error())
        self._handlers = {}

    def _begin(self, request_id: str, job: Job) -> None:
        with self._lock:
            if self._closed:
                raise view_closed_error()
            if request_id in self._pending:
                raise RequestError(
                    "malformed", "The id is that of a request still under way.", hint="Give each its own id."
                )
            self._pending[request_id] = job

    def _answer(self, request_id: str, kind: str, body: dict[str, Any], job: Job) -> None:
        try:
            if job.is_patient:
                self._let_others_go_first(job)
            if job.cancelled:
                return
            job.succeed(self._handler(kind)(body, job))
            self._last_heard = time.monotonic()
        except Exception as error:  # noqa: BLE001 - every request gets a reply, and the fault is logged
            job.fail(error)
        except BaseException as error:
            job.fail(error)
            raise
        finally:
            with self._lock:
                if self._pending.get(request_id) is job:
                    del self._pending[request_id]
            job.end()

    def _let_others_go_first(self, job: Job) -> None:
        latest = time.monotonic() + _MOST_PATIENCE_SECONDS
        while not job.cancelled and (now := time.monotonic()) < latest:
            with self._lock:
                is_quiet = all(each.is_patient for each in self._pending.values())
            if is_quiet and now - self._last_heard >= _QUIET_SECONDS:
                return
            time.sleep(_LOOK_SECONDS)

    def _handler(self, kind: str) -> Handler:
        handler = self._handlers.get(kind)
        if handler is None:
            unknown = RequestError("unknown-kind", f"Nothing answers {kind!r} here.")
            raise view_closed_error() if self._closed else unknown
        return handler

    def _cancel(self, body: dict[str, Any], _job: Job) -> dict[str, Any]:
        with self._lock:
            job = self._pending.get(body["id"])
        return {"found": job is not None and job is not _job and job.cancel()}


def view_closed_error() -> RequestError:
    """Return the error for a request to a view that is over."""
    return RequestError("view-closed", "The view was closed.", hint="Run the cell again to open a new one.")


def _id_of(message: Any) -> str:
    request_id = message.get("id") if isinstance(message, dict) else None
    return request_id if isinstance(request_id, str) else ""


def _check_request(message: Any) -> tuple[str, dict[str, Any]]:
    """Return kind and body of a sound request.

    Raises:
        RequestError: `malformed`, `unsupported-version` or `unknown-kind`.
    """
    if not isinstance(message, dict):
        raise RequestError("malformed", f"The message is a {type(message).__name__}, expected an object.")
    version = message.get("v")
    if isinstance(version, int) and not isinstance(version, bool) and version != VERSION:
        raise RequestError(
            "unsupported-version",
            f"The message has version {version}, this kernel speaks {VERSION}.",
            hint="Reload the page, so that both sides come from the same nnwidgets.",
        )
    validate(message, Request, "the message")
    kind = message["kind"]
    if kind not in KINDS:
        close = closest_names(kind, KINDS, n=1)
        raise RequestError(
            "unknown-kind",
            f"No request kind {kind[:60]!r}.",
            hint=f"Did you mean {close[0]!r}?" if close else f"The kinds are {', '.join(KINDS)}.",
        )
    validate(message["body"], KINDS[kind][0], "body")
    return kind, message["body"]
