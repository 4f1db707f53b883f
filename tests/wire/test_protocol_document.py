"""docs/protocol.md says what the schema says, and its examples work."""

from __future__ import annotations

import importlib.util
import re
import sys

import torch
from torch import nn

from nnwidgets.wire.schema import ERROR_CODES, KINDS
from tests.support.documents import DOCS, code_in

TEXT = (DOCS / "protocol.md").read_text(encoding="utf-8")


def test_the_reference_is_what_the_schema_gives_now():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.document() == TEXT, "run: python docs/reference.py"


def test_every_kind_and_every_error_code_is_listed():
    assert re.findall(r"^### `(\w+)`$", TEXT, re.MULTILINE) == list(KINDS)
    assert re.findall(r"^\| `([\w-]+)`", TEXT.split("## Error codes")[1], re.MULTILINE) == list(ERROR_CODES)


def test_every_link_within_the_document_leads_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings


def test_the_python_examples_run_as_written(monkeypatch):
    net = nn.Sequential(nn.Linear(4, 3))
    monkeypatch.setattr(sys.modules["__main__"], "net", net, raising=False)
    examples = code_in(DOCS / "protocol.md", "python")
    names = {}
    for example in examples:
        exec(compile(example, "protocol.md", "exec"), names)  # noqa: S102 - our own document
    assert len(examples) == 2
    assert list(names["cells"]) == net[0].weight.flatten().tolist()
    assert torch.equal(torch.tensor(names["cells"]).reshape(3, 4), net[0].weight)
