"""Each finding that these tests meet has its Chinese."""

import pytest

import nnwidgets as nnw
from tests.support.chinese import without_chinese


@pytest.fixture(autouse=True)
def _each_finding_has_its_chinese(monkeypatch):
    """All that these tests find can be shown in Chinese."""
    check = nnw.check

    def checked(*args, **kwargs):
        found = check(*args, **kwargs)
        assert without_chinese(finding.message for finding in found) == []
        return found

    monkeypatch.setattr(nnw, "check", checked)
