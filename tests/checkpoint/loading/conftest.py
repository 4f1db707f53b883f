"""A file to load; each warning of a plan and each reason of a rename that these tests meet has its Chinese."""

import pytest
from safetensors.torch import save_file

from tests.support.chinese import saying
from tests.support.loaded_models import bits, mlp


@pytest.fixture(scope="package", autouse=True)
def _plans_can_be_told_in_chinese():
    with saying("plan", _texts):
        yield


def _texts(plan):
    return [*plan.warnings, *(entry.suggestion.reason for entry in plan.entries if entry.suggestion)]


@pytest.fixture
def saved(tmp_path):
    """A file with the parameters of another mlp, and these."""
    net = mlp()
    path = tmp_path / "mlp.safetensors"
    save_file(net.state_dict(), path)
    return path, bits(net)
