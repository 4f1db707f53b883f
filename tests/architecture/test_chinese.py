"""What the kernel says can be shown in Chinese, but for what no page shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnwidgets
from tests.support.chinese import without_chinese

PACKAGE = Path(nnwidgets.__file__).parent
NOT_ON_THE_PAGE = (
    "command_line/", "magics/", "text/", "widgets/",  # speak for themselves
    "wire/codec.py", "wire/validation.py", "wire/schema/",  # to who writes an extension
    "spoken_language.py",  # says that there is no Chinese
    "introspect/checks/", "introspect/signal/signal_findings.py",  # what they say is held where they are tested
)  # fmt: skip
FILES = sorted(
    name
    for file in PACKAGE.rglob("*.py")
    if not (name := file.relative_to(PACKAGE).as_posix()).startswith((*NOT_ON_THE_PAGE, "static/", "labextension/"))
)


@pytest.mark.parametrize("file", FILES)
def test_each_sentence_of_an_error_a_warning_or_a_reason_has_its_chinese(file):
    found = list(_sentences(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))))
    assert without_chinese(found) == []


@pytest.mark.parametrize("file", [file for file in FILES if re.match("checkpoint/formats/|distributed/sources/", file)])
def test_each_fault_of_a_file_each_other_kind_and_each_silence_of_a_rank_has_its_chinese(file):
    said: dict[str, list[list[str]]] = {}
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            texts = list(map(_text, [*node.args, *(each.value for each in node.keywords)]))
            if texts and not texts[0].startswith("…"):
                said.setdefault(ast.unparse(node.func), []).append(texts)
    faults = [texts for name in FAULTS for texts in said.get(name, ())]
    kinds, silences = said.get("Kind", []), [texts[0] for texts in said.get("Missing", ())]
    hints = [hint.replace("{file}", "…") for texts in (*faults, *kinds) for hint in texts[1:2] if hint not in {"", "…"}]
    found = [f"… {texts[0]}." for texts in faults] + [texts[0] for texts in kinds if " " in texts[0]]
    assert without_chinese([*found, *silences, *(f"Rank … {why}." for why in silences), *hints]) == []


FAULTS = {"Malformed", "BeyondLimits", "Repacked", "Elsewhere", "Truncated", "self._fault"}


def _sentences(tree: ast.AST) -> Iterator[str]:
    """Texts that are whole sentences, or reasons that something returns; what is put in as `…`."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    docs |= {id(node) for node in ast.walk(tree) if isinstance(node, ast.Dict) and "__doc__" in ast.unparse(node)}
    for node in _outermost(tree, docs):
        text = _text(node)
        if SENTENCE.fullmatch(text.strip()) and len(WORD.findall(text)) >= FEWEST_WORDS:
            yield text.strip().replace("{file}", "…")


SENTENCE = re.compile(r"[…!A-Z].*[.?]", re.DOTALL)
WORD = re.compile(r"(?<!\w)[A-Za-z']+")
FEWEST_WORDS = 3
"""What has less ends, or begins, a sentence that another line has the rest of."""


def _outermost(node: ast.AST, docs: set[int]) -> Iterator[ast.AST]:
    if id(node) in docs:
        return
    is_advised = isinstance(node, ast.Call) and ast.unparse(node.func) == "AdvisedText"
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if is_advised or is_text or isinstance(node, ast.JoinedStr | ast.BinOp):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _outermost(child, docs)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(str(value)):
            return value
        case ast.JoinedStr(values):
            return "".join(map(_text, values))
        case ast.BinOp(left, ast.Add(), right):
            return _text(left) + _text(right)
        case ast.Call(args=args) if ast.unparse(node.func) == "AdvisedText":
            return "".join(map(_text, args))
    return "…"
