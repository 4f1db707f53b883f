"""Which sentences of the kernel's the page's Chinese catalogue has, as `js/src/i18n/kernelSentences.ts` reads it."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

CATALOGUE = Path(__file__).parents[2] / "js" / "src" / "i18n" / "zh-sentences.json"
PLACE = re.compile(r"\{\d(?:\|([^|}]*)\|([^|}]*))?\}")


def without_chinese(messages: Iterable[str]) -> list[str]:
    """Return those of some messages that no sentence of the catalogue fits."""
    patterns = [_pattern(key.removeprefix("§")) for key in json.loads(CATALOGUE.read_text(encoding="utf-8"))]
    return [message for message in messages if not any(pattern.fullmatch(message) for pattern in patterns)]


def _pattern(key: str) -> re.Pattern[str]:
    """`{0}` stands for anything, `{0|row|rows}` for either."""
    made, end = "", 0
    for place in PLACE.finditer(key):
        one, many = place.groups()
        made += re.escape(key[end : place.start()]) + (".*?" if many is None else f"(?:{one}|{many})")
        end = place.end()
    return re.compile(made + re.escape(key[end:]), re.DOTALL)
