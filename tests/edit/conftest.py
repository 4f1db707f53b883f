"""Each warning of a change that these tests meet has its Chinese."""

from contextlib import ExitStack

import pytest

from tests.support.chinese import saying


@pytest.fixture(scope="package", autouse=True)
def _warnings_can_be_told_in_chinese():
    with ExitStack() as stack:
        for name in ("init", "assign", "freeze", "unfreeze"):
            stack.enter_context(saying(name, lambda made: made.warnings))
        yield
