"""What the tests of hostile files share."""

from __future__ import annotations

import pytest

from tests.hostile.confined import Confined


@pytest.fixture(scope="session")
def confined():
    made = Confined()
    yield made
    made.close()
