"""One of something is not called many."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nnwidgets

PACKAGE = Path(nnwidgets.__file__).parent
MANY = re.compile(r" (?:[a-z-]+ ){0,2}?[a-z-]*[a-z]s\b(?!')")
COUNT = re.compile(r"\blen\(|\bnumel\(|\b(n|count|number|more)\b|\bn_\w+|_count\(|n_bytes")
LIMIT = re.compile(r"_?[A-Z][A-Z_0-9]+")
VERBS = re.compile(r" (is|was|has|as|does|of|that|with)\b")


def counts_followed_by_many(source: str) -> list[str]:
    """Counts in f-strings with a plural after them, whatever the count is; limits aside, which are more than one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for value, after in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            told = ast.unparse(value.value)
            is_count = COUNT.search(told) or (value.format_spec and "," in ast.unparse(value.format_spec))
            is_many = MANY.match(after.value) and not VERBS.match(after.value)
            if is_count and is_many and not LIMIT.fullmatch(told) and not told.startswith(("brief(", "counted(")):
                found.append(f"{value.lineno}: {{{told}}}{after.value[:30]}")
    return found


def test_a_count_takes_its_noun_from_counted():
    assert counts_followed_by_many("f'{len(x)} more findings'; f'{n:,} tensors, all'; f'{exact_count(a)} files'")
    left = {
        str(path.relative_to(PACKAGE)): found
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parts[-2] != "wire" and (found := counts_followed_by_many(path.read_text(encoding="utf-8")))
    }
    assert left == {}
