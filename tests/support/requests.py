"""Requests as a page sends them, to an Explorer in this process."""

from __future__ import annotations

import base64

from nnwidgets.server.handlers.registry import handlers
from nnwidgets.wire.dispatch import Dispatcher


def asked(view, kind, **body):
    """The reply's body, its arrays' buffers beside in base64; of a refusal, the error."""
    sent = []

    def keep(message, buffers):
        if "progress" not in message:
            sent.append((message, buffers))

    answers = handlers(view._session_for)
    Dispatcher(answers, keep).receive({"v": 1, "id": "1", "kind": kind, "body": body})
    ((reply, buffers),) = sent
    inlined = {"buffers": [base64.b64encode(each).decode() for each in buffers]} if buffers else {}
    return {**reply["body"], **inlined} if reply["ok"] else reply["error"]
