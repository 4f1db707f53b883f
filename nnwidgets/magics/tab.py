"""Tab in IPython: its completer asks here first, and asks nobody else while a ``%nn`` line is typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_CELL = re.compile(r"%%nn_init\s+(.*)")
_LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%nn\s(.*)", re.DOTALL)
_BEFORE_ALL_OTHERS = 10_000


def tab_matcher(shell: InteractiveShell) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Make the matcher of one shell."""

    @context_matcher(identifier="nnwidgets.nn", priority=_BEFORE_ALL_OTHERS)
    def match_nn(context: CompletionContext) -> SimpleMatcherResult:
        line = _LINE.match(context.text_until_cursor)
        cell = None if line or context.cursor_line else _CELL.match(context.text_until_cursor)
        if line is None and cell is None:
            return {"completions": [], "suppress": False}
        from nnwidgets.magics.complete import complete, complete_cell

        found = complete(line[1], shell.user_ns) if line else complete_cell(cell[1] if cell else "", shell.user_ns)
        completions = [SimpleCompletion(text=each.text, type=each.kind) for each in found.candidates]
        if not completions:
            # IPython silences the others only where there is something to offer, and they would evaluate what is
            # typed: what stands there already is offered.
            completions = [SimpleCompletion(text=found.fragment, type="text")]
        return {"completions": completions, "matched_fragment": found.fragment, "suppress": True, "ordered": True}

    return match_nn  # type: ignore[no-any-return] # the decorator is untyped
