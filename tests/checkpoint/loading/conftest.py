"""Each warning of a plan and each reason of a rename that these tests meet has its Chinese."""

import pytest

from tests.support.chinese import saying


@pytest.fixture(scope="package", autouse=True)
def _plans_can_be_told_in_chinese():
    with saying("plan", _texts):
        yield


def _texts(plan):
    return [*plan.warnings, *(entry.suggestion.reason for entry in plan.entries if entry.suggestion)]
