"""What is said, in the language that was chosen: English as it stands in the code, or Chinese by the page's catalogue.

The catalogue, `zh.json`, is what a build makes of `js/src/i18n`. A sentence in it is a template, ``{0}`` for any text
and ``{0|row|rows}`` for either word; sentences and clauses one after the other may each have their own, and so may what
stands behind a name and a colon: read here as `kernelSentences.ts` reads it for the page.
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
_BETWEEN, _COLON = re.compile(r"[.;] |\.$"), re.compile(": ")
_SPEAKS = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|✓ [a-z]")


class _Catalogue:
    """What there is in another language; of sentences that fit the one of most words is taken."""

    def __init__(self, file: Path) -> None:
        found = json.loads(file.read_text(encoding="utf-8"))
        keys = sorted((key for key in found if key[0] == _SENTENCE), key=lambda key: -len(_PLACE.sub("", key)))
        self._sentences = [(_longest(key[1:]), _pattern(key[1:]), found[key]) for key in keys]
        self.words = {key[1:]: text for key, text in found.items() if key[0] == _WORD}
        self.told = lru_cache(maxsize=1_024)(self._told)
        self.known = lru_cache(maxsize=1_024)(self._known)

    def _told(self, english: str) -> str:
        return self.known(english) or self._fitted(english) or english

    def _known(self, english: str) -> str | None:
        """What all of is known: by one sentence, by several one after the other, or behind a name."""
        said = self._fitted(english, is_sure=True) or self._in_parts(english)
        if said is None and english.endswith("."):
            ended = self._fitted(english[:-1], is_sure=True)
            said = None if ended is None else f"{ended}。"
        return said or self._behind_a_name(english)

    def _fitted(self, english: str, *, is_sure: bool = False) -> str | None:
        """By the sentence that fits; ``is_sure``, by one of whose places none reaches over the end of a clause."""
        for words, pattern, chinese in self._sentences:
            found = pattern.fullmatch(english) if words in english else None
            if found is not None and not (is_sure and self._reaches_over(found)):
                values = {name[1:]: self.told(value) for name, value in found.groupdict().items()}
                return "".join(_put(piece, values) for piece in _pieces(chinese))
        return None

    def _reaches_over(self, found: re.Match[str]) -> bool:
        """Whether a place has more in it than part of a clause and is no sentence that is known, or has whose it is."""
        return any(
            (_BETWEEN.search(value) or (": " in value and not found.start(name)))
            and not (value.endswith(".") and self._fitted(value, is_sure=True))
            for name, value in found.groupdict().items()
        )

    def _in_parts(self, english: str) -> str | None:
        """Sentences or clauses one after the other, where each is known."""
        for between, joined in ((". ", ""), ("; ", "；")):
            *parts, last = english.split(between)
            known = [self.known(each) for each in (*(f"{part}{between.strip(' ;')}" for part in parts), last) if parts]
            if known and None not in known:
                return joined.join(filter(None, known))
        return None

    def _behind_a_name(self, english: str) -> str | None:
        """What is known, with whose it is before it: ``"xavier_normal_: …"``."""
        for colon in _COLON.finditer(english):
            known = self.known(english[colon.end() :])
            if known is not None:
                return f"{self.told(english[: colon.start()])}：{known}"
        return None


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


def _longest(english: str) -> str:
    """The longest words between places: what lacks them can't fit."""
    return max((piece for piece in _pieces(english) if isinstance(piece, str)), key=len)


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
