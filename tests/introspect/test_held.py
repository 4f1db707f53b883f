"""Numbers of tensors that something else holds are the whole's, or say whose they are."""

from __future__ import annotations

import types
from collections import OrderedDict

import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.text.pages.model import tensor_page
from nnwidgets.text.plain import render_text
from tests.support.dtensors import DTensor, Partial, Replicate, Shard


class Wrapped(torch.Tensor):
    """A weight-only quantized weight: float by its looks, int8 values and scales within; its own code is not run."""

    @staticmethod
    def __new__(cls, values, scale):
        return torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=torch.float32)

    def __init__(self, values, scale):
        self.values_int8, self.scale = values, scale

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if "detach" in str(function):
            return cls(args[0].values_int8, args[0].scale)
        raise NotImplementedError(str(function))

    def __torch_function__(self, *_, **__):
        raise AssertionError("the class's code ran")


def wrapped(rows=64, columns=64, values=None):
    values = torch.ones(rows, columns, dtype=torch.int8) if values is None else values
    made = Wrapped.__new__(Wrapped, values, torch.ones(rows, 1))
    made.values_int8, made.scale = values, torch.ones(rows, 1)
    return made


class Packed(nn.Parameter):
    """As bitsandbytes keeps four bits: two codes a byte, the shape in a state beside."""


def packed(n_rows=64, n_columns=64):
    made = Packed(torch.zeros(n_rows * n_columns // 2, 1, dtype=torch.uint8), requires_grad=False)
    made.quant_state = types.SimpleNamespace(shape=torch.Size((n_rows, n_columns)), quant_type="nf4")
    return made


def with_weight(weight, bias=None):
    net = nn.Module()
    net._parameters["weight"] = weight
    if bias is not None:
        net.bias = nn.Parameter(torch.zeros(bias))
    return net


@pytest.fixture(scope="module")
def mesh():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=1, world_size=4, store=FakeStore())
    yield init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    dist.destroy_process_group()


def sharded(mesh, *placements, local=(4, 4), shape=None):
    more = {} if shape is None else {"shape": torch.Size(shape), "stride": (shape[1], 1)}
    return nn.Parameter(DTensor.from_local(torch.ones(local), mesh, list(placements), run_check=False, **more))


def test_a_wrapping_class_counts_what_it_stands_for_and_weighs_what_it_holds():
    tree = nnw.tree(with_weight(wrapped(), bias=64))
    entry = tree.find("weight")
    assert (tree.n_params, tree.n_params_torch, tree.why) == (64 * 64 + 64,) * 2 + (None,)
    assert (entry.n_elements, entry.n_counted, entry.size_bytes) == (4096, 4096, 64 * 64 + 64 * 4)
    assert tree.size_bytes == tree.local_bytes == sum(each.size_bytes for each in tree.tensors)
    assert "made of values_int8 64 × 64 i8 + scale 64 × 1 f32" in str(tree)


def test_two_wrappers_over_the_same_codes_count_once_only_where_all_is_shared():
    codes = torch.ones(64, 64, dtype=torch.int8)
    first, second = wrapped(values=codes), wrapped(values=codes)
    net = nn.ModuleList([with_weight(first), with_weight(second)])
    assert nnw.tree(net).n_params == 2 * 4096  # other scales, other elements
    second.scale = first.scale
    tree = nnw.tree(net)
    assert tree.n_params == 4096
    assert tree.size_bytes == 64 * 64 + 64 * 4
    assert "share memory" in tree.why


def test_a_wrapper_within_a_wrapper_is_told_by_the_tensors_that_have_bytes():
    inner = wrapped(8, 8)
    outer = torch.Tensor._make_wrapper_subclass(Wrapped, (8, 8), dtype=torch.float32)
    outer.inner = inner
    entry = nnw.tree(with_weight(outer)).find("weight")
    assert (entry.n_elements, entry.size_bytes, entry.held.kind) == (64, 64 + 32, "wrapper")


def test_packed_codes_are_counted_as_the_elements_they_are_and_their_statistics_named_as_theirs():
    net = with_weight(packed(), bias=64)
    tree = nnw.tree(net)
    entry = tree.find("weight")
    assert (tree.n_params, tree.n_params_torch) == (4096 + 64, 2048 + 64)
    assert (entry.shape, entry.n_elements, entry.size_bytes) == ((2048, 1), 4096, 2048)
    assert "weight is packed 4-bit nf4 of 64 × 64 in 2048 × 1 u8" in tree.why
    stats = nnw.stats(net.weight)
    assert (stats.n, stats.is_exact) == (2048, False)
    assert stats.of.startswith("codes, packed 4-bit")
    assert "codes, packed" in render_text(tensor_page(entry, stats))


def test_int8_codes_with_scales_beside_are_codes():
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    weight.__class__ = Packed
    weight.SCB = torch.ones(4)
    assert nnw.tree(with_weight(weight)).n_params == 16
    assert nnw.stats(weight).of == "int8 codes, scales beside"


def test_a_state_that_says_nothing_of_a_shape_is_no_packing():
    weight = packed()
    for state in (None, object(), types.SimpleNamespace(shape="64"), types.SimpleNamespace(shape=(8, 8))):
        weight.quant_state = state
        assert nnw.tree(with_weight(weight)).n_params == 2048
        assert nnw.stats(weight).is_exact


@pytest.mark.parametrize(
    ("make", "n"),
    [
        (lambda: torch.eye(100).to_sparse(), 10_000),
        (lambda: torch.eye(8).to_sparse_csr(), 64),
        (lambda: torch.randn(4, 6).t(), 24),
        (lambda: torch.randn(4, 6)[:, ::2], 12),
    ],
)
def test_no_element_is_said_to_be_repeated_where_none_is(make, n):
    net = with_weight(nn.Parameter(make()))
    net.other = nn.Parameter(torch.ones(1).expand(5))
    tree = nnw.tree(net)
    assert tree.n_params == n + 1
    assert tree.n_params_torch == n + 5
    assert tree.why.endswith("other repeats elements")


def test_a_dtensor_is_counted_whole_with_its_part_beside(mesh):
    net = with_weight(sharded(mesh, Replicate(), Shard(0)), bias=8)
    tree = nnw.tree(net)
    entry = tree.find("weight")
    assert (tree.n_params, tree.n_params_torch, tree.why) == (8 * 4 + 8, 8 * 4 + 8, None)
    assert (entry.shape, entry.n_elements, entry.size_bytes) == ((8, 4), 32, 128)
    assert (entry.local_shape, entry.local_bytes, entry.n_replicas) == ((4, 4), 64, 2)
    assert entry.placements == ("Replicate()", "Shard(0)")
    assert entry.mesh == (("dp", 2), ("tp", 2))
    assert (tree.size_bytes, tree.local_bytes) == (128 + 32, 64 + 32)
    assert "here 4 × 4" in str(tree)
    assert entry.to_dict()["placements"] == ["Replicate()", "Shard(0)"]


def test_statistics_of_a_shard_say_so(mesh):
    for exact in (True, False):
        stats = nnw.stats(sharded(mesh, Replicate(), Shard(0)), exact=exact)
        assert (stats.n, stats.is_exact, stats.of) == (16, False, "rank 1: 4 × 4 of 8 × 4")
    whole = nnw.stats(sharded(mesh, Replicate(), Replicate()))
    assert (whole.is_exact, whole.of) == (True, "all")
    assert "sum that isn't reduced" in nnw.stats(sharded(mesh, Partial(), Replicate())).of


def test_uneven_and_empty_shards_count_the_same_on_every_process(mesh):
    for local in ((4, 4), (0, 4)):
        tree = nnw.tree(with_weight(sharded(mesh, Shard(0), Shard(0), local=local, shape=(13, 4))))
        assert tree.n_params == tree.n_params_torch == 52
        assert tree.local_bytes == local[0] * 16


def test_a_shard_tied_under_two_names_is_counted_whole_and_once(mesh):
    net = nn.ModuleList([with_weight(sharded(mesh, Replicate(), Shard(0))), nn.Module()])
    net[1]._parameters["weight"] = net[0].weight
    tree = nnw.tree(net)
    assert (tree.n_params, tree.size_bytes, tree.local_bytes) == (32, 128, 64)
    assert [group.shared_bytes for group in nnw.ties(net)] == [128]


def test_a_local_tensor_beside_its_dtensor_is_counted_within_it(mesh):
    weight = sharded(mesh, Replicate(), Shard(0))
    both = [weight, nn.Parameter(weight._local_tensor.detach())]
    for named in (both, both[::-1]):
        net = nn.Module()
        net._parameters.update(zip("ab", named, strict=True))
        assert nnw.tree(net).n_params == 32


def test_nothing_is_claimed_of_the_units_of_a_shard(mesh):
    net = nn.Linear(4, 8, bias=False)
    net.weight = sharded(mesh, Replicate(), Shard(0))
    assert not [each for each in nnw.check(net) if each.code in {"constant-weight", "dead-units"}]
    net.weight._local_tensor[0, 0] = float("nan")
    assert "of its 16 elements that this process has" in nnw.check(net)[0].message


def test_a_change_of_a_shard_is_of_the_whole_and_writes_what_is_here(mesh):
    net = with_weight(sharded(mesh, Replicate(), Shard(0)))
    assert nnw.init(net, "weight", "zeros_").n_elements == 32
    assert not net.weight._local_tensor.any()
    assert nnw.assign(net, "weight[3:5, 1]", 7.0).n_elements == 2
    assert net.weight._local_tensor[:2].tolist() == [[0.0, 7.0, 0.0, 0.0], [0.0] * 4]


@pytest.mark.parametrize("keeps_originals", [False, True])
def test_flat_parameters_of_fsdp_count_as_the_whole(mesh, keeps_originals):
    from torch.distributed.fsdp import FullyShardedDataParallel

    net = nn.Sequential(nn.Linear(8, 10), nn.Linear(10, 4))
    n_whole = sum(each.numel() for each in net.parameters())
    net = FullyShardedDataParallel(net, use_orig_params=keeps_originals, device_id=torch.device("cpu"))
    with pytest.raises(nnw.InvalidTargetError, match=r"a flat shard \(FSDP\), and this process has"):
        nnw.init(net, "**", "normal_")
    tree = nnw.tree(net)
    assert tree.n_params == n_whole
    assert tree.n_params_torch < n_whole
    assert "flat shard (FSDP)" in tree.why
    assert [each for each in nnw.check(net) if each.severity != "note"] == [], "what FSDP keeps is no mistake"
    assert tree.size_bytes == 4 * tree.n_params
    assert tree.local_bytes == 4 * sum(each.numel() for each in net.parameters())
    if keeps_originals:
        assert "params[0]" not in [each.path for each in tree.tensors]
        assert nnw.ties(net) == (), "its parameters have no bytes in common"
        assert tree.find("_fsdp_wrapped_module.0.weight").shape == (10, 8)
        assert not nnw.stats(net.module[0].weight).is_exact


def test_flat_parameters_count_as_the_whole_where_registries_are_ordered_dicts(mesh):
    from torch.distributed.fsdp import FullyShardedDataParallel

    net = FullyShardedDataParallel(nn.Linear(8, 10), use_orig_params=True, device_id=torch.device("cpu"))
    net.__dict__["_buffers"] = OrderedDict()  # as all of torch 2.4's are
    assert nnw.tree(net).n_params == 90


def stub(net, name, n_here=8):
    """As ZeRO-3 leaves a parameter: empty, the whole's shape and this process's part in attributes."""
    weight = net._parameters[name]
    weight.ds_shape, weight.ds_numel = weight.shape, weight.numel()
    weight.ds_tensor = weight.data.reshape(-1)[:n_here].clone()
    weight.data = torch.empty(0)


def test_stubs_of_zero_3_have_the_shape_of_the_whole():
    net = nn.Linear(8, 4)
    stub(net, "weight")
    tree = nnw.tree(net)
    entry = tree.find("weight")
    assert (entry.shape, entry.n_elements, entry.size_bytes, entry.local_bytes) == ((4, 8), 32, 128, 32)
    assert (tree.n_params, tree.n_params_torch) == (36, 4)
    assert "ZeRO-3" in tree.why
    stats = nnw.stats(net.weight)
    who = "rank 1" if dist.is_initialized() else "this process"
    assert (stats.n, stats.is_exact, stats.of) == (8, False, f"{who}: 8 of 4 × 8")
    with pytest.raises(nnw.InvalidTargetError, match="ZeRO-3"):
        nnw.init(net, "weight", "zeros_")


def test_a_gathered_stub_is_a_tensor_like_any_other():
    net = nn.Linear(8, 4)
    net.weight.ds_shape = net.weight.shape
    assert nnw.tree(net).find("weight").held is None
    assert nnw.stats(net.weight).of == "all"


def test_ties_without_data_tell_the_bytes_that_they_will_share():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Linear(8, 4, bias=False))
        net[1].weight = net[0].weight
    assert [group.shared_bytes for group in nnw.ties(net)] == [128]
    net.again = net[0]
    assert [(group.members, group.shared_bytes) for group in nnw.ties(net)] == [
        (("0.weight", "1.weight", "again.weight"), 128)
    ]
    with torch.device("meta"):
        alone = nn.Sequential(nn.Linear(8, 4))
        alone.again = alone[0]
    assert [group.shared_bytes for group in nnw.ties(alone)] == [128, 16]


def test_a_plan_says_which_tensors_are_sharded_and_a_load_fills_the_part_that_is_here(mesh, tmp_path):
    net = nn.Sequential(with_weight(sharded(mesh, Replicate(), Shard(0)), bias=8))
    file, whole = tmp_path / "net.pt", torch.arange(32.0).view(8, 4)
    torch.save({"0.weight": whole, "0.bias": torch.ones(net[0].bias.shape)}, file)
    plan = nnw.plan(net, file)
    assert plan.counts == {"sharded": 1, "match": 1}
    assert plan.is_exact
    assert plan.is_complete
    assert nnw.load(net, file).n_loaded == 2
    assert torch.equal(net[0].weight.to_local(), whole[4:])  # of rank 1
    assert nnw.diff(net, file).is_equal


def test_a_plan_of_what_is_spread_in_a_way_that_is_not_known_is_not_called_exact(mesh, tmp_path):
    file = tmp_path / "net.pt"
    torch.save({"weight": torch.ones(8, 4)}, file)
    summands = with_weight(sharded(mesh, Partial(), Shard(0)))
    assert not nnw.plan(summands, file).is_exact
    with pytest.raises(nnw.CheckpointMismatchError, match="expected Shard and Replicate"):
        nnw.load(summands, file)

    stub = nn.Parameter(torch.empty(0))
    stub.ds_shape, stub.ds_tensor = torch.Size((8, 4)), torch.ones(16)
    stubs = with_weight(stub)
    plan = nnw.plan(stubs, file)
    assert plan.counts == {"sharded": 1}
    assert not plan.is_exact
    assert "ZeRO-3" in plan.entries[0].reason
    with pytest.raises(nnw.CheckpointMismatchError, match=r"1 sharded in the model \(weight\)"):
        nnw.load(stubs, file)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_nested_tensor_counts_what_its_parts_have_and_is_not_said_to_be_without_a_shape_yet(layout):
    parts = [torch.ones(2, 3), torch.ones(4, 3)]
    net = with_weight(nn.Parameter(torch.nested.nested_tensor(parts, layout=layout)))
    tree = nnw.tree(net)
    assert (tree.n_params, tree.n_params_torch, tree.why) == (18, 18, None)
    assert tree.size_bytes >= 4 * 18
    assert tree.tensors[0].problem == "a nested tensor: its parts have shapes of their own"


def test_memory_that_was_given_back_is_not_counted_as_held_here():
    net = nn.Linear(3, 4)
    net.weight.untyped_storage().resize_(0)
    tree = nnw.tree(net)
    assert (tree.n_params, tree.size_bytes, tree.local_bytes) == (16, 64, 16)


@pytest.mark.filterwarnings("ignore")
def test_the_totals_say_which_packed_weights_they_leave_out():
    net = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 4)), {nn.Linear})
    assert str(nnw.tree(net)).endswith("not counted, being packed: 0._packed_params._packed_params")


def test_statistics_say_of_which_numbers_they_are():
    complex_ones = nnw.stats(torch.tensor([3 + 4j, 0j]))
    assert (complex_ones.of, complex_ones.is_exact, complex_ones.max) == ("magnitudes", True, 5)
    some = nnw.stats(torch.tensor([1.0, float("nan"), float("inf")]))
    assert (some.of, some.mean) == ("all", 1)
    assert "the 1 finite element" in str(some)
    assert "finite" not in str(nnw.stats(torch.ones(3)))
    assert str(nnw.stats(torch.ones(()))).startswith("1 element\n")


def test_a_stub_of_zero_3_is_neither_saved_as_empty_nor_compared(tmp_path):
    net = nn.Linear(4, 8)
    stub(net, "weight")
    with pytest.raises(
        nnw.SaveError, match=r"weight is a stub, .*ZeRO-3.*: this process has 8 of its 8 × 4\. Gather it"
    ):
        nnw.save(net, tmp_path / "net.pt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(nnw.InvalidTargetError, match="can't be compared: it is a stub"):
        nnw.diff(net, nn.Linear(4, 8))
    whole = nn.Linear(4, 0)
    assert nnw.save(whole, tmp_path / "net.pt").n_tensors == 2


def test_a_shard_is_compared_with_the_part_of_the_other_side_that_it_is(mesh):
    part = DTensor.from_local(torch.ones(2, 4), mesh, [Shard(0), Shard(0)], run_check=False)
    net, whole = with_weight(nn.Parameter(part)), with_weight(nn.Parameter(torch.zeros(8, 4)))
    with torch.no_grad():
        whole.weight[2:4] = 1  # the rows of rank 1
    assert nnw.diff(net, whole).is_equal
    (changed,) = nnw.diff(with_weight(nn.Parameter(torch.ones(8, 4))), whole).changed
    assert (changed.n_different, changed.of) == (24, "all")
    with torch.no_grad():
        whole.weight[3, 0] = 5
    (changed,) = nnw.diff(whole, net).changed
    assert (changed.n_different, changed.shapes[1], changed.of) == (1, (8, 4), "rank 1: 2 × 4 of 8 × 4")
    summands = with_weight(DTensor.from_local(torch.ones(8, 4), mesh, [Partial(), Replicate()], run_check=False))
    with pytest.raises(nnw.InvalidTargetError, match="can't be compared"):
        nnw.diff(summands, whole)


def test_a_tensor_that_stands_for_several_ranks_says_so():
    kinds = pytest.importorskip("torch.distributed._local_tensor", reason="this torch plays no ranks")
    whole = kinds.LocalTensor({0: torch.ones(2), 1: torch.zeros(2)})
    net = nn.Module()
    net.w = whole
    entry = nnw.tree(net).find("w")
    assert entry.held.how == "the parts of 2 ranks in one process (LocalTensor)"
    assert entry.local_bytes == 16
    with pytest.raises(nnw.InvalidTargetError, match="stands for the parts of 2 ranks") as caught:
        nnw.stats(whole)
    assert "_local_tensors[0]" in caught.value.hint


def test_a_stage_of_a_pipeline_says_what_to_pass():
    class _PipelineStageBase:
        pass

    class PipelineStage(_PipelineStageBase):
        pass

    with pytest.raises(nnw.InvalidTargetError, match="A PipelineStage is not a") as caught:
        nnw.tree(PipelineStage())
    assert "submod" in caught.value.hint
