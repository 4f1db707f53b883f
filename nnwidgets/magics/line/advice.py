"""The advice that errors and warnings carry, as what to type on a line of ``%nn``."""

from __future__ import annotations

from nnwidgets.errors import Advice, NNWidgetsError, worded
from nnwidgets.sentences import told_together

_WORDS = {
    Advice.CLEAR_STATE: "--clear-state",
    Advice.FORCE_UNDO: "%nn undo {model} --force",
    Advice.FORCE_REDO: "%nn redo {model} --force",
    Advice.SEE_HISTORY: "%nn log {model}",
    Advice.ASSIGN: "%nn set {model} path = value",
    Advice.FREEZE: "%nn freeze and %nn unfreeze",
    Advice.SEE_TREE: "%nn tree {model}",
    Advice.LOAD_PARTLY: "--partial",
    Advice.OVERWRITE: "--overwrite",
    Advice.SEE_FILE: "%nn ls and its name",
    Advice.SEE_ENTRIES: "Tab after --entry",
    Advice.ENTRY: "--entry ",
}


def in_words_of_a_line(said: NNWidgetsError | str, model: str) -> str:
    """What an error or a warning says, its advice as what to type on a line.

    Args:
        said: The error or warning.
        model: How the model is written.

    Example:
        >>> from nnwidgets.errors import AdvisedText
        >>> error = NNWidgetsError("It was changed.", hint=AdvisedText("", Advice.FORCE_UNDO, " does it all the same."))
        >>> in_words_of_a_line(error, "nets[0]")
        'It was changed. %nn undo nets[0] --force does it all the same.'
    """
    words = {advice: text.format(model=model) for advice, text in _WORDS.items()}
    if isinstance(said, NNWidgetsError):
        return told_together(said.message, worded(said.hint, words))
    return worded(said, words)
