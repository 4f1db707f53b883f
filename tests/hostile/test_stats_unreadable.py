"""Tensors whose data can't be read are said to be so, and no code of theirs runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode

import nnwidgets
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.heatmap.window import window
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.statistics.exact_stats import version
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import stats


def freed(n_bytes=0):
    tensor = torch.randn(100)
    tensor.untyped_storage().resize_(n_bytes)
    return tensor


def fake():
    with FakeTensorMode():
        return torch.randn(3)


class Loud(torch.Tensor):
    """Every way in raises."""

    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        raise AssertionError("user code ran")

    __torch_dispatch__ = __torch_function__

    @property
    def shape(self):
        raise AssertionError("user code ran")

    device = dtype = layout = is_quantized = is_nested = shape

    def __getattribute__(self, name):
        raise AssertionError("user code ran")


class Wrapper(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, *args, **kwargs):
        raise AssertionError("user code ran")


class LoudClass:
    @property
    def __class__(self):
        raise AssertionError("user code ran")


UNREADABLE = {
    "meta": (lambda: torch.empty(3, device="meta"), "no data: on the meta device"),
    "lazy": (lambda: nn.LazyLinear(3).weight, "not yet: a lazy parameter gets its shape at the first forward"),
    "lazy buffer": (lambda: nn.LazyBatchNorm1d().running_mean, "not yet: a lazy"),
    "freed": (freed, "its storage was freed"),
    "cut": (lambda: freed(200), "its storage holds 200 bytes, its elements reach to byte 400"),
    "fake": (fake, "no data: a fake tensor"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor"),
    "wrapper": (lambda: Wrapper(torch.ones(3)), "no data of its own: Wrapper"),
    "bits": (lambda: torch.empty(2, dtype=torch.bits8), "converts bits8 to no number"),
    "None": (lambda: None, "not a tensor but None"),
    "int": (lambda: 3, "not a tensor but an int"),
    "list": (lambda: [torch.ones(2)], "not a tensor but a list"),
    "liar": (LoudClass, "not a tensor but a LoudClass"),
}


if hasattr(torch, "float4_e2m1fn_x2"):
    UNREADABLE["float4"] = (
        lambda: torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "converts float4_e2m1fn_x2 to no",
    )


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cant_be_read_says_why(name):
    make, reason = UNREADABLE[name]
    tensor = make()
    assert reason in unreadable_reason(tensor)
    for read in (stats, sampled_stats, window):
        with pytest.raises(InvalidTargetError, match="can't be read") as caught:
            read(tensor)
        assert reason in str(caught.value)


def test_a_freed_empty_tensor_can_be_read():
    tensor = torch.empty(0, 3)
    assert unreadable_reason(tensor) is None
    assert stats(tensor).n == 0


@pytest.mark.parametrize("make", [lambda x: x.as_subclass(Loud), lambda x: torch.Tensor._make_subclass(Loud, x)])
def test_no_code_of_a_tensor_class_runs(make):
    plain = torch.randn(5, 4)
    loud = make(plain)
    assert unreadable_reason(loud) is None
    assert stats(loud) == stats(plain)
    assert sampled_stats(loud) == stats(plain)
    assert window(loud).values == window(plain).values
    assert version(loud) is not None


def test_a_distributed_tensor_is_read_by_its_local_shard(tmp_path):
    script = tmp_path / "shard.py"
    script.write_text(
        "import torch, torch.distributed as dist\n"
        "from tests.support.dtensors import DTensor, Replicate\n"
        "from torch.distributed.device_mesh import init_device_mesh\n"
        "from nnwidgets.introspect.statistics.stats import stats\n"
        f"dist.init_process_group('gloo', init_method='file://{tmp_path}/store', rank=0, world_size=1)\n"
        "mesh = init_device_mesh('cpu', (1,))\n"
        "local = torch.arange(6.0)\n"
        "assert stats(DTensor.from_local(local, mesh, [Replicate()])) == stats(local)\n"
        "print('same')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(nnwidgets.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert run.stdout.strip() == "same", run.stderr


def test_tensors_inside_a_function_transform_say_so():
    reasons = []

    def look(x):
        reasons.append(unreadable_reason(x))
        return x.sum()

    torch.func.vmap(look)(torch.ones(3, 2))
    torch.func.grad(look)(torch.ones(2))
    assert all("function transform" in reason for reason in reasons)


def test_a_real_tensor_is_read_where_a_fake_mode_is_on():
    tensor = torch.randn(10)
    expected = stats(tensor)
    with FakeTensorMode():
        assert stats(tensor) == expected
