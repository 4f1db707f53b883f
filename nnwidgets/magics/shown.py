"""What a subcommand shows: the same in text for terminals and in HTML for notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnwidgets.text.document import Document
from nnwidgets.text.html import marked_up
from nnwidgets.text.plain import written


@dataclass(frozen=True, repr=False)
class Shown:
    """A document on its way to the front end; it holds text, no model.

    Example:
        >>> from nnwidgets.text.document import Note
        >>> Shown((Note("Nothing found."),))
        Nothing found.
    """

    document: Document

    def __repr__(self) -> str:
        return written(self.document)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython passes both and filters itself
        return {"text/plain": written(self.document), "text/html": marked_up(self.document)}
