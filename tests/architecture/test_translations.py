"""The Chinese documents say what the English ones say: the same code, links and numbers, made from the same words."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("translated", ROOT / "docs" / "translated.py")
translated = importlib.util.module_from_spec(_spec)
sys.modules["translated"] = translated
_spec.loader.exec_module(translated)

SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH_OF = {chinese: english for english, chinese in translated.PAIRS.items()}

documents = pytest.mark.parametrize("document", translated.PAIRS)


def both(document):
    return zip(translated.pieces(document), translated.pieces(translated.PAIRS[document]), strict=True)


def links(document, text):
    """Where its links lead; a translated document counts as the English one."""
    for target in LINK.findall(text):
        if re.match(r"\w+:", target):
            yield target
            continue
        found = ((ROOT / document).parent / target).resolve()
        assert found.exists(), f"{document}: {target}"
        name = str(found.relative_to(ROOT))
        yield ENGLISH_OF.get(name, name)


@documents
def test_a_chinese_document_has_the_headings_lists_tables_and_code_of_the_english_one_in_their_order(document):
    english, chinese = translated.pieces(document), translated.pieces(translated.PAIRS[document])
    assert [each.kind for each in chinese] == [each.kind for each in english]
    assert [each.where for each in chinese] == [each.where for each in english]


@documents
def test_its_code_is_the_same(document):
    for english, chinese in both(document):
        if english.kind == "code":
            assert chinese.text == english.text


@documents
def test_each_piece_of_it_has_the_same_code_links_and_numbers_in_its_words(document):
    for english, chinese in both(document):
        if english.kind == "code":
            continue
        found = []
        for name, piece in ((document, english), (translated.PAIRS[document], chinese)):
            words = LINK.sub("]", SPAN.sub(" ", piece.text))
            numbers = translated.NUMBER.findall(words)
            found.append((Counter(SPAN.findall(piece.text)), Counter(links(name, piece.text)), Counter(numbers)))
        assert found[1] == found[0], f"{english.text}\n{chinese.text}"


@documents
def test_no_english_has_changed_since_it_was_translated(document):
    changed = "\n".join(translated.changed(document))
    assert not changed, f"Look at the Chinese of these, then run `python docs/translated.py`:\n{changed}"


@documents
def test_no_sentence_of_it_is_left_in_english(document):
    for english, chinese in both(document):
        is_told = english.kind != "code" and re.search("[a-z]{3} [a-z]{2}", SPAN.sub("", LINK.sub("", english.text)))
        assert not is_told or CHINESE.search(chinese.text), chinese.text


def test_the_one_links_to_the_other():
    for english, chinese in translated.PAIRS.items():
        if english.endswith(".md"):
            assert f"]({Path(chinese).name})" in (ROOT / english).read_text(encoding="utf-8")
            assert f"]({Path(english).name})" in (ROOT / chinese).read_text(encoding="utf-8")
