"""Tab on lines of ``%nn`` and ``%%nn_init``, as each IPython asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core import completer as ipython

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.completion.complete import Completion

_BEFORE_ALL_OTHERS = 10_000
_CELL = re.compile(r"(%%nn_init\s+.*)")
_LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%nn\s(.*)", re.DOTALL)


def complete_in(shell: InteractiveShell) -> Callable[[], None]:
    """Complete lines of ours in a shell.

    Args:
        shell: Its completer is given a matcher.

    Returns:
        Takes it out again.
    """
    completer: Any = shell.Completer
    is_asked_with_context = hasattr(ipython, "context_matcher")
    matchers = "custom_matchers" if is_asked_with_context else "magic_arg_matchers"
    ours = (_matcher if is_asked_with_context else _matcher_of_ipython_7)(shell)
    # The first that finds something silences the others there.
    setattr(completer, matchers, [ours, *getattr(completer, matchers, [])])

    def end() -> None:
        setattr(completer, matchers, [kept for kept in getattr(completer, matchers) if kept is not ours])

    return end


def _completion(shell: InteractiveShell, text: str, *, is_first_line: bool) -> Completion | None:
    line = _LINE.match(text) or (_CELL.match(text) if is_first_line else None)
    if line is None:
        return None
    from nnwidgets.magics.completion.complete import complete

    return complete(line[1], shell.user_ns)


def _matcher(shell: InteractiveShell) -> Any:
    @ipython.context_matcher(identifier="nnwidgets.nn", priority=_BEFORE_ALL_OTHERS)
    def match_nn(context: ipython.CompletionContext) -> ipython.SimpleMatcherResult:
        found = _completion(shell, context.text_until_cursor, is_first_line=not context.cursor_line)
        if found is None:
            return {"completions": [], "suppress": False}
        completions = [ipython.SimpleCompletion(text=each.text, type=each.kind) for each in found.candidates]
        if not completions:
            # IPython silences the others only where there is something to offer, and they would evaluate what is
            # typed: what stands there already is offered.
            completions = [ipython.SimpleCompletion(text=found.fragment, type="text")]
        return {"completions": completions, "matched_fragment": found.fragment, "suppress": True, "ordered": True}

    return match_nn


def _matcher_of_ipython_7(shell: InteractiveShell) -> Callable[[str], list[str]]:
    """Before IPython 8.6 a matcher gives what replaces the last word alone, which ends at brackets and quotes."""
    completer: Any = shell.Completer

    def match_nn(_line: str) -> list[str]:
        typed = completer.text_until_cursor
        found = _completion(shell, typed, is_first_line=True)
        if found is None:
            return []
        word = completer.splitter.split_line(typed)
        kept = found.fragment.removesuffix(word)
        fitting = [each.text.removeprefix(kept) for each in found.candidates if each.text.startswith(kept)]
        # Nothing would let the others evaluate what is typed.
        return fitting or [word]

    return match_nn
