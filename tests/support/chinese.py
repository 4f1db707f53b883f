"""Which sentences of the kernel's the page's Chinese catalogue has, as `js/src/i18n/kernelSentences.ts` reads it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest

import nnwidgets
from nnwidgets import sentences

CATALOGUE = Path(__file__).parents[2] / "js" / "src" / "i18n" / "zh-sentences.json"
PLACE = re.compile(r"\{\d(?:\|([^|}]*)\|([^|}]*))?\}")


def without_chinese(messages: Iterable[str]) -> list[str]:
    """Return those of some messages that no sentence of the catalogue fits."""
    return [message for message in messages if not any(pattern.fullmatch(message) for pattern in _patterns())]


@cache
def _catalogue() -> Any:
    return sentences._Catalogue(CATALOGUE)  # as a build has it, without one


def in_chinese(english: str) -> str:
    """What is told where Chinese is spoken."""
    told: str = _catalogue().told(english)
    return told


@cache
def _patterns() -> list[re.Pattern[str]]:
    return [_pattern(key.removeprefix("§")) for key in json.loads(CATALOGUE.read_text(encoding="utf-8"))]


def _pattern(key: str) -> re.Pattern[str]:
    """`{0}` stands for anything, `{0|row|rows}` for either."""
    made, end = "", 0
    for place in PLACE.finditer(key):
        one, many = place.groups()
        made += re.escape(key[end : place.start()]) + (".*?" if many is None else f"(?:{one}|{many})")
        end = place.end()
    return re.compile(made + re.escape(key[end:]), re.DOTALL)


@contextmanager
def saying(name: str, texts: Callable[[Any], Iterable[str]]) -> Iterator[None]:
    """While it is open, what a public function says in its result must have its Chinese."""
    function = getattr(nnwidgets, name)

    @wraps(function)
    def said(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        missing = without_chinese(texts(made))
        assert missing == [], missing
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnwidgets, name, said)
        yield
