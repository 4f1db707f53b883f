"""What a forward is given comes back from JSON as it was."""

from __future__ import annotations

import json

import pytest
import torch

import nnwidgets as nnw
from nnwidgets.distributed.inputs import from_json, to_json

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6).reshape(2, 3).T,
        torch.ones(0, 3),
        torch.tensor(2.5, dtype=torch.bfloat16),
        torch.tensor([float("nan"), -0.0]),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([True, False]),
    ],
)
def test_tensors_are_the_same_to_the_bit(tensor):
    back = from_json(json.loads(json.dumps(to_json(tensor))), CPU)
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(back.nan_to_num(7.0), tensor.resolve_conj().nan_to_num(7.0))


def test_containers_keep_their_kinds():
    value = {"dict": [1, (2.5, None)], "tensor": True, "": "text"}
    assert from_json(json.loads(json.dumps(to_json(value))), CPU) == value


@pytest.mark.parametrize(
    "made",
    [{"tensor": ["float32", [3], "AAAA"]}, {"tensor": ["os", [1], ""]}, {"set": []}, {"tensor": 3}, [], {"list": 4}],
)
def test_what_is_no_such_json_is_refused(made):
    with pytest.raises(nnw.InvalidTargetError, match="can't be read"):
        from_json(made, CPU)
