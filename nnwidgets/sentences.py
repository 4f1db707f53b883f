"""What is said, in the language that was chosen: English as it stands in the code, or Chinese by the page's catalogue.

The catalogue, `zh.json`, is what a build makes of `js/src/i18n`. A sentence in it is a template, ``{0}`` for any text
and ``{0|row|rows}`` for either word: read here as `kernelSentences.ts` reads it for the page.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path

_CATALOGUE = Path(__file__).parent / "static" / "zh.json"
_SENTENCE, _WORD = "§", "¶"
"""How keys of sentences begin, and those of words in tables; the rest are labels of the page."""
_PLACE = re.compile(r"\{(\d)(?:\|([^|}]*)\|([^|}]*))?\}")
_SPEAKS = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|✓ [a-z]")


class _Catalogue:
    """What there is in another language; of sentences that fit the one of most words is taken."""

    def __init__(self, file: Path) -> None:
        found = json.loads(file.read_text(encoding="utf-8"))
        keys = sorted((key for key in found if key[0] == _SENTENCE), key=lambda key: -len(_PLACE.sub("", key)))
        self._sentences = [(_pattern(key[1:]), found[key]) for key in keys]
        self.words = {key[1:]: text for key, text in found.items() if key[0] == _WORD}
        self.told = lru_cache(maxsize=1_024)(self._told)

    def _told(self, english: str) -> str:
        for pattern, chinese in self._sentences:
            found = pattern.fullmatch(english)
            if found is not None:
                values = {name[1:]: self.told(value) for name, value in found.groupdict().items()}
                return "".join(_put(piece, values) for piece in _pieces(chinese))
        return english


_read = cache(_Catalogue)
_spoken: list[_Catalogue] = []


def speak_english() -> None:
    """Say everything as it stands in the code."""
    _spoken.clear()


def speak_chinese() -> None:
    """Say in Chinese what the catalogue has.

    Raises:
        FileNotFoundError: The page was never built, and the catalogue with it.
    """
    _spoken[:] = [_read(_CATALOGUE)]


def told(english: str) -> str:
    """A sentence in the language that was chosen, names and numbers in it as they are; what has no other stays.

    Example:
        >>> told("Nothing found.")
        'Nothing found.'
    """
    return _spoken[0].told(english) if _spoken else english


def told_together(*sentences: str) -> str:
    """Sentences one after the other, as the language writes them; empty ones are left out.

    Example:
        >>> told_together("It was changed.", "Undo takes it back.")
        'It was changed. Undo takes it back.'
    """
    return " ".join(filter(None, map(told, sentences))).replace("。 ", "。")


def told_where_it_speaks(text: str) -> str:
    """A cell of a table: told where it has words of a sentence, and isn't a name, a number or a shape."""
    return told(text) if _spoken and _SPEAKS.search(text) else text


def head(english: str) -> str:
    """A head of a table, or the name of a fact."""
    return _spoken[0].words.get(english, english) if _spoken else english


def _pieces(text: str) -> list[str | re.Match[str]]:
    """The text between places, and the places."""
    found: list[str | re.Match[str]] = []
    end = 0
    for place in _PLACE.finditer(text):
        found += [text[end : place.start()], place]
        end = place.end()
    return [*found, text[end:]]


def _put(piece: str | re.Match[str], values: dict[str, str]) -> str:
    if isinstance(piece, str):
        return piece
    number, one, many = piece.groups()
    return values[number] if many is None else one if values[number] == "1" else many


def _pattern(english: str) -> re.Pattern[str]:
    met: set[str] = set()
    made = ""
    for piece in _pieces(english):
        if isinstance(piece, str):
            made += re.escape(piece)
            continue
        number, one, many = piece.groups()
        if many is not None:
            made += f"(?:{re.escape(many)}|{re.escape(one)})"
        else:
            made += f"(?P=_{number})" if number in met else f"(?P<_{number}>.*?)"
            met.add(number)
    return re.compile(made, re.DOTALL)
