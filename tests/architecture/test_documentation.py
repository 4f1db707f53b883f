"""What the documents show runs as it stands, and the reference has every public name."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys

import pytest

import nnwidgets as nnw
from tests.support.documents import DOCS, code_in, shown_in

SHOWN = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]


END = "\0"
"""What is printed between two blocks."""

LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom_and_prints_what_is_shown(page, tmp_path):
    """An ``…`` in what is shown stands for what differs each time: seconds, a digest, a folder's name."""
    blocks = shown_in(page)
    assert blocks
    assert [code for code, _ in blocks] == code_in(page, "python")
    script = tmp_path / "page.py"
    script.write_text(f"\nprint({END!r})\n".join(code for code, _ in blocks), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    for (code, shown), printed in zip(blocks, ran.stdout.split(f"{END}\n"), strict=True):
        wanted = shown.replace("…", "...")
        assert doctest.OutputChecker().check_output(wanted, printed, LENIENT), f"{code}\nprints\n{printed}"


def test_the_reference_has_every_public_name_once():
    listed = re.findall(
        r"^::: nnwidgets\.(?:\w+\.)*(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert sorted(listed) == sorted(nnw.__all__)
