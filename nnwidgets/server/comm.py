"""The comm target ``nnwidgets``, for front ends that open a channel of their own; ``%load_ext`` registers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnwidgets.server.handlers.registry import handlers, is_long, is_patient
from nnwidgets.server.notebook.ipykernel import after_each_cell, answer_where_asked
from nnwidgets.server.session.by_name import NamedSessions
from nnwidgets.wire.codec import encode
from nnwidgets.wire.dispatch import Dispatcher
from nnwidgets.wire.schema.envelope import VERSION

TARGET = "nnwidgets"


class Channel:
    """One open comm: its requests, its replies, its events.

    Args:
        channel: The comm.
        model: Name of the variable meant where a request names none.
    """

    def __init__(self, channel: Any, model: str | None) -> None:
        self._channel = channel
        self._sessions = NamedSessions(self._emit, default=model)
        self._dispatcher = Dispatcher(handlers(self._sessions.find), self._send, background=is_long, patient=is_patient)
        self._stop_watching: Callable[[], None] = after_each_cell(self._on_cell_run)
        answer_where_asked(channel)
        channel.on_msg(self._receive)
        channel.on_close(self._on_close)

    def close(self) -> None:
        """Answer what is pending and close the comm."""
        self._end()
        self._channel.close()

    def _receive(self, message: dict[str, Any]) -> None:
        self._dispatcher.receive(message["content"]["data"])

    def _send(self, message: dict[str, Any], buffers: list[bytes | memoryview]) -> None:
        self._channel.send(message, buffers=buffers or None)

    def _emit(self, event: str, body: dict[str, Any]) -> None:
        message, _ = encode({"v": VERSION, "event": event, "body": body})
        self._send(message, [])

    def _on_cell_run(self) -> None:
        self._sessions.report_possible_change()

    def _on_close(self, _message: object) -> None:
        self._end()

    def _end(self) -> None:
        self._stop_watching()
        self._dispatcher.close()
        self._sessions.close()
        _CHANNELS.discard(self)


_CHANNELS: set[Channel] = set()
"""The comm itself only knows bound methods, so something must keep the channel; closing takes it out."""


def register(shell: Any) -> None:
    """Answer comms that a front end opens on the target ``nnwidgets``; for an IPython shell in a kernel."""
    manager = _manager(shell)
    if manager is not None:
        manager.register_target(TARGET, _open_channel)


def unregister(shell: Any) -> None:
    """Take back `register`, and close the comms that are open."""
    manager = _manager(shell)
    if manager is not None and manager.targets.get(TARGET) is _open_channel:
        manager.unregister_target(TARGET, _open_channel)
    for channel in list(_CHANNELS):
        channel.close()


def _manager(shell: Any) -> Any:
    return getattr(getattr(shell, "kernel", None), "comm_manager", None)


def _open_channel(channel: Any, message: dict[str, Any]) -> None:
    data = message["content"].get("data")
    model = data.get("model") if isinstance(data, dict) else None
    _CHANNELS.add(Channel(channel, model if isinstance(model, str) else None))
