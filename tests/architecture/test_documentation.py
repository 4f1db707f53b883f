"""What the documents show runs as it stands, and the reference has every public name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import nnwidgets as nnw
from tests.support.documents import DOCS, code_in

SHOWN = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    blocks = code_in(page, "python")
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr


def test_the_reference_has_every_public_name_once():
    listed = re.findall(
        r"^::: nnwidgets\.(?:\w+\.)*(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert sorted(listed) == sorted(nnw.__all__)
