"""What handlers raise with a code of the schema, and how the dispatcher makes an error reply of any error."""

from __future__ import annotations

import logging

from nnwidgets.errors import Advice, NNWidgetsError, worded
from nnwidgets.formatting import cut
from nnwidgets.wire.schema import ERROR_CODES
from nnwidgets.wire.schema.envelope import WireError

_LOG = logging.getLogger(__name__)
_ON_THE_PAGE = {
    Advice.CLEAR_STATE: "“Clear them too”",
    Advice.FORCE_UNDO: "“Undo anyway”",
    Advice.FORCE_REDO: "“Redo anyway”",
    Advice.SEE_HISTORY: "The log",
    Advice.ASSIGN: "Typing over a value",
    Advice.FREEZE: "the lock on a row",
    Advice.SEE_TREE: "the tree",
    Advice.LOAD_PARTLY: "a load that isn't strict",
    Advice.OVERWRITE: "“Replace it”",
}
"""What Python does by a call or an argument, as the page has it."""
_MAX_MESSAGE = 2_000


class RequestError(NNWidgetsError):
    """A request that can't be answered, with one of the schema's error codes.

    Example:
        >>> RequestError("model-gone", "The model was deleted.").code
        'model-gone'
    """

    def __init__(self, code: str, message: str, *, path: str | None = None, hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.code = code  # type: ignore[misc] # one class carries every code of the wire


def wire_error(error: BaseException) -> WireError:
    """Return the error reply's `error` for what a handler raised.

    An error raised on purpose keeps its code; anything else is our fault, `internal`, and goes to the log with its
    traceback, since what a handler prints in a kernel's subshell is shown nowhere.

    Example:
        >>> wire_error(RequestError("not-traced", "No trace yet.", hint="Use trace(net, x)."))
        {'code': 'not-traced', 'message': 'No trace yet.', 'path': None, 'hint': 'Use trace(net, x).'}
    """
    if isinstance(error, NNWidgetsError):
        code = error.code if error.code in ERROR_CODES else "invalid-target"
        message, hint = cut(error.message, _MAX_MESSAGE), cut(worded(error.hint, _ON_THE_PAGE), _MAX_MESSAGE)
        return {"code": code, "message": message, "path": error.path, "hint": hint}
    if isinstance(error, KeyboardInterrupt):
        return {"code": "cancelled", "message": "The kernel was interrupted.", "path": None, "hint": "Ask again."}
    _LOG.error("A request failed.", exc_info=error)
    return {
        "code": "internal",
        "message": cut(_describe(error), _MAX_MESSAGE),
        "path": None,
        "hint": "This is a fault in nnwidgets. Please report it with this message; the kernel's log has the details.",
    }


def _describe(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error whose text raises still gets a reply
        return type(error).__name__
