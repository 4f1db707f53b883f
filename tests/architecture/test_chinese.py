"""What the kernel says in the files that people commonly hear from can be shown in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnwidgets
from tests.support.chinese import without_chinese

PACKAGE = Path(nnwidgets.__file__).parent
FILES = (
    "errors.py",
    "edit/history.py",
    "edit/optimizer_state.py",
    "edit/targets.py",
    "edit/transaction.py",
    "edit/writable.py",
    "edit/operations/assign.py",
    "edit/operations/freeze.py",
    "edit/operations/init.py",
    "edit/operations/initializers.py",
    "edit/operations/padding_rows.py",
    "edit/operations/apply.py",
    "introspect/costs.py",
    "introspect/paths.py",
    "introspect/patterns.py",
    "introspect/safe_access/lookup.py",
    "introspect/safe_access/tensors.py",
    "introspect/signal/activations.py",
    "introspect/signal/losses.py",
    "introspect/tracing/together.py",
    "introspect/tracing/trace.py",
    "checkpoint/state_dict.py",
    "checkpoint/formats/__init__.py",
    "checkpoint/formats/file.py",
    "checkpoint/formats/folder_files.py",
    "checkpoint/formats/folder_without_weights.py",
    "checkpoint/formats/paths.py",
    "checkpoint/formats/safetensors/sharded_index.py",
    "checkpoint/formats/safetensors/single_file.py",
    "checkpoint/formats/torch/distributed.py",
    "checkpoint/formats/torch/legacy.py",
    "checkpoint/formats/torch/plain_pickle.py",
    "checkpoint/formats/torch/torch_file.py",
    "checkpoint/formats/torch/zip_file.py",
    "checkpoint/loading/advice.py",
    "checkpoint/loading/load.py",
    "checkpoint/loading/plan.py",
    "checkpoint/loading/plan_warnings.py",
    "checkpoint/loading/renames/apply_renames.py",
    "checkpoint/loading/renames/short_renames.py",
    "checkpoint/loading/layouts/explain_rest.py",
    "checkpoint/loading/layouts/judge_pairs.py",
    "checkpoint/loading/whole_tensors.py",
    "checkpoint/own_code/parts.py",
    "checkpoint/loading/renames/suggest_renames.py",
    "checkpoint/writing/atomic_file.py",
    "server/handlers/edit/changes.py",
    "server/handlers/edit/init.py",
    "server/handlers/edit/initializers.py",
    "server/handlers/edit/target.py",
    "server/handlers/depth.py",
    "server/handlers/locate.py",
    "server/notebook/folder.py",
    "server/session/live_tensor.py",
)


@pytest.mark.parametrize("file", FILES)
def test_each_sentence_of_an_error_a_warning_or_a_reason_has_its_chinese(file):
    found = list(_sentences(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))))
    assert without_chinese(found) == []


def _sentences(tree: ast.AST) -> Iterator[str]:
    """Texts that are whole sentences, or reasons that something returns; what is put in as `…`."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in _outermost(tree, docs):
        text = _text(node)
        if SENTENCE.fullmatch(text.strip()) and len(WORD.findall(text)) >= FEWEST_WORDS:
            yield text.strip()


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
