"""What goes in and out of a call is told however it is packed, without running its code."""

from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.traced_models import traced


@dataclass
class Packed:
    tensor: torch.Tensor
    more: dict


def test_nested_containers_dataclasses_and_keywords_are_opened():
    class Nested(nn.Module):
        def forward(self, first, *, second):
            return OrderedDict(out=[first["a"], (second.tensor,)], again=None)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.nested = Nested()

        def forward(self, x):
            return self.nested({"a": x, "b": 3}, second=Packed(x[0], {"c": x.long()}))

    call = traced(Outer(), torch.rand(2, 5)).calls[1]

    assert (call.input_shapes, call.input_dtypes) == (((2, 5), (5,), (2, 5)), ("float32", "float32", "int64"))
    assert call.output_shapes == ((2, 5), (5,))


def test_outputs_of_transformers_are_opened():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=8, n_head=2, vocab_size=16, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    net = transformers.GPT2LMHeadModel(config).eval()

    trace = nnw.trace(net, torch.zeros(1, 4, dtype=torch.long), use_cache=False)

    assert trace.error is None
    assert trace.calls[0].output_shapes == ((1, 4, 16),)
    assert "transformer.h.1.attn.c_attn" in {call.path for call in trace.calls}
    # The fused attention has a dropout of its own.
    assert trace.unused == ("transformer.h.0.attn.attn_dropout", "transformer.h.1.attn.attn_dropout")


def test_tensor_subclasses_nested_and_sparse_inputs_are_described_without_their_code():
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if "__get__" in getattr(func, "__name__", ""):
                raise AssertionError("a subclass's code ran to read a shape")
            return super().__torch_function__(func, types, args, kwargs or {})

    loud = torch.rand(2, 4).as_subclass(Loud)
    assert nnw.trace(nn.Identity(), loud).calls[0].input_shapes == ((2, 4),)
    assert nnw.trace(nn.Identity(), torch.eye(3).to_sparse()).calls[0].input_shapes == ((3, 3),)
    ragged = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(4, 3)], layout=torch.jagged)
    assert nnw.trace(nn.Identity(), ragged).calls[0].output_shapes == ((2, -1, 3),)
