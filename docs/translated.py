"""Which English each piece of the Chinese documents was made from, so that neither is changed without the other.

A piece is a heading, a paragraph, a list, a row of a table, or code, which is the same in both. `translated.txt` has a
line for each of the others: the document, and a digest of the English whose Chinese stands in the same place. A test
names those that have changed since; once their Chinese is right again, `python docs/translated.py` writes it anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DIGESTS = ROOT / "docs" / "translated.txt"
PAIRS = {
    "README.md": "README.zh-CN.md",
    "docs/tutorial.md": "docs/tutorial.zh-CN.md",
    **{f"examples/{each.name}": f"examples/zh-CN/{each.name}" for each in sorted((ROOT / "examples").glob("*.ipynb"))},
}
"""Each English document, and the Chinese one."""

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
CHINESE_ALONE = "language"
"""The cell that has a Chinese notebook speak Chinese."""

_FENCED = re.compile(r"^(```.*?^```)$", re.DOTALL | re.MULTILINE)
_BAR = re.compile(r"(?<!\\)\|")


class Piece(NamedTuple):
    """A part of a document that is translated as one.

    Attributes:
        kind: ``"code"``, ``"heading 2"``, ``"list of 3"``, ``"row of 4"``, or ``"paragraph"``.
        text: As it stands there.
        where: The cell of a notebook, or nothing.
    """

    kind: str
    text: str
    where: str = ""

    @property
    def digest(self) -> str:
        """Of its words: how lines are broken doesn't count, nor do numbers, which are compared by themselves."""
        return sha256(NUMBER.sub("0", " ".join(self.text.split())).encode()).hexdigest()[:10]


def pieces(document: str) -> list[Piece]:
    """Return what a document consists of, from top to bottom."""
    text = (ROOT / document).read_text(encoding="utf-8")
    if not document.endswith(".ipynb"):
        return [*_pieces_of(text)]
    found: list[Piece] = []
    for cell in json.loads(text)["cells"]:
        source, where = "".join(cell["source"]), f"cell {cell['id']}"
        if cell["cell_type"] == "code":
            found += [Piece("code", source, where)] if cell["id"] != CHINESE_ALONE else []
        else:
            found += [each._replace(where=where) for each in _pieces_of(source)]
    return found


def in_words(document: str) -> list[Piece]:
    """Return the pieces of a document that are no code."""
    return [each for each in pieces(document) if each.kind != "code"]


def _pieces_of(text: str) -> Iterator[Piece]:
    for part in _FENCED.split(text):
        if part.startswith("```"):
            yield Piece("code", part)
            continue
        for block in filter(str.strip, re.split(r"\n\s*\n", part)):
            first = block.lstrip("\n")
            if first.startswith("#"):
                yield Piece(f"heading {len(first.split()[0])}", block.strip())
            elif first.startswith("    "):
                yield Piece("code", first)
            elif re.search(r"^\|", block, re.MULTILINE):
                yield from map(_row, block.strip().split("\n"))
            elif items := re.findall(r"^(?:-|\d+\.) ", block, re.MULTILINE):
                yield Piece(f"list of {len(items)}", block.strip())
            else:
                yield Piece("paragraph", block.strip())


def _row(line: str) -> Piece:
    n_cells = len(_BAR.findall(line)) - 1
    return Piece(f"row of {n_cells}" if n_cells > 0 else "code", line)


def recorded(document: str) -> list[str]:
    """Return the digests of the English that a document's Chinese was made from."""
    lines = DIGESTS.read_text(encoding="utf-8").splitlines() if DIGESTS.exists() else []
    return [digest for name, _, digest in (line.rpartition(" ") for line in lines) if name == document]


def changed(document: str) -> list[str]:
    """Tell which pieces of English are new, changed or gone since their Chinese was made, and what that is."""
    english, chinese, before = in_words(document), in_words(PAIRS[document]), recorded(document)
    said = []
    for what, i, end, j, end_now in SequenceMatcher(
        None, before, [each.digest for each in english], autojunk=False
    ).get_opcodes():
        if what != "equal":
            old = " / ".join(map(_begin, chinese[i:end])) or f"nothing, after {_begin(chinese[i - 1])}"
            new = " / ".join(map(_begin, english[j:end_now])) or "nothing any more"
            said.append(f"{document}: {new}\n    in {PAIRS[document]}: {old}")
    return said


def _begin(piece: Piece) -> str:
    return f"{piece.where and piece.where + ': '}{' '.join(piece.text.split())[:70]!r}"


if __name__ == "__main__":
    for each in PAIRS:
        for line in changed(each) if recorded(each) else ():
            sys.stdout.write(f"{line}\n")
    lines = [f"{document} {piece.digest}\n" for document in PAIRS for piece in in_words(document)]
    DIGESTS.write_text("".join(lines), encoding="utf-8")
