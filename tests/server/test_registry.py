"""Which function answers which kind: all that the schema has, each once, and what is long."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nnwidgets.server.handlers
from nnwidgets.server.handlers.registry import handlers, is_long, is_patient
from nnwidgets.wire.schema import KINDS

FOLDER = Path(nnwidgets.server.handlers.__file__).parent
QUICK = {
    "open", "rows", "locate", "inspect", "ties", "trace", "clear_trace", "tensors", "models", "variables", "part",
    "cancel", "last_inputs", "signal_point",
}  # fmt: skip


def test_every_kind_of_the_schema_but_cancel_has_a_handler_and_no_other_kind_has():
    assert set(handlers(lambda _body: None)) == set(KINDS) - {"cancel"}


def test_no_kind_is_answered_in_two_places():
    text = "".join(file.read_text(encoding="utf-8") for file in FOLDER.rglob("*.py"))
    kinds = re.findall(r"^@handles(?:_without_model)?\(\"(\w+)\"", text, re.MULTILINE)
    assert sorted(kinds) == sorted(set(KINDS) - {"cancel"})


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_may_read_much_or_waits_for_a_change_is_long(kind):
    assert is_long(kind, {}) is (kind not in QUICK)
    assert is_patient(kind, {}) is (kind == "stats")


def test_a_sample_and_a_small_window_are_answered_at_once():
    assert not is_long("stats", {"exact": False})
    assert not is_patient("stats", {"exact": False})
    assert not is_long("values", {"rows": 256, "columns": 256})
    assert is_long("values", {"rows": 257, "columns": 256})
