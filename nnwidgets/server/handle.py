"""The protocol as one function, for extensions that can only execute code in the kernel."""

from __future__ import annotations

import base64
from typing import Any

from nnwidgets.server.handlers.registry import handlers
from nnwidgets.server.session.by_name import NamedSessions
from nnwidgets.wire.dispatch import Dispatcher

_sessions = NamedSessions()


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request of the wire protocol, at once and whole; never raises.

    ``docs/protocol.md`` lists the kinds. The model is the variable that ``body["model"]`` names; without a name, that
    of the open Explorer, or the only module among the variables. There is no progress, and nothing to cancel.

    Args:
        request: As decoded from JSON: ``{"v": 1, "id": "1", "kind": "models", "body": {}}``.

    Returns:
        The reply, ready for ``json.dumps``. Where its body has arrays, their ``buffer`` counts in
        ``reply["buffers"]``, a list of base64 texts.

    Example:
        >>> handle({"v": 1, "id": "7", "kind": "nonsense", "body": {}})["error"]["code"]
        'unknown-kind'
    """
    sent: list[dict[str, Any]] = []

    def keep(message: dict[str, Any], buffers: list[bytes | memoryview]) -> None:
        if "progress" not in message:
            inlined = [base64.b64encode(buffer).decode("ascii") for buffer in buffers]
            sent.append({**message, "buffers": inlined} if inlined else message)

    Dispatcher(handlers(_sessions.find), keep).receive(request)
    return sent[0]
