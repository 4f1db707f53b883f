"""Code that the project's documents show."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


_SHOWN = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", flags=re.DOTALL | re.MULTILINE)


def shown_in(page: Path) -> list[tuple[str, str]]:
    """Return each block of Python in a document, in order, with what is shown below it as its output."""
    return _SHOWN.findall(page.read_text(encoding="utf-8"))


def code_in(page: Path, language: str) -> list[str]:
    """Return the blocks of one language in a document, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
