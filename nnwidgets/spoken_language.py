"""Chooses the language of sentences."""

from __future__ import annotations

from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import short_repr
from nnwidgets.sentences import speak_chinese, speak_english

_SPEAKERS = {"en": speak_english, "zh": speak_chinese}
_chosen: list[str] = []


def language(code: str | None = None) -> str:
    """Choose the language in which findings, warnings, errors and tables are told from now on, in this process.

    What is printed, what a notebook shows, messages of errors, and Explorers that are opened afterwards. Those whose
    page has a language of its own choice keep that. Names of the model, figures and code are as they are; so are the
    fields of records, and what another program is told.

    Args:
        code: ``"en"`` for English, which it begins with; ``"zh"`` for Simplified Chinese. None only asks.

    Returns:
        The language that is spoken now.

    Raises:
        InvalidTargetError: There is no such language here.
        NNWidgetsError: The page, which brings the words, was never built.

    Example:
        >>> language("en"), language()
        ('en', 'en')
    """
    if code is not None:
        speak = _SPEAKERS.get(code) if isinstance(code, str) else None
        if speak is None:
            raise InvalidTargetError(f"There is no language {short_repr(code)} here.", hint='Known are "en" and "zh".')
        try:
            speak()
        except FileNotFoundError as error:
            raise NNWidgetsError(
                f"The words of the language, {error.filename}, are not there.",
                path=str(error.filename),
                hint="In a source checkout run `make build`; otherwise install nnwidgets again.",
            ) from error
        _chosen[:] = [code]
    return _chosen[0] if _chosen else "en"


def chosen_language() -> str:
    """The language that was asked for; nothing where none was."""
    return _chosen[0] if _chosen else ""
