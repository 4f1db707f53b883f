"""The part of a change that each rank of 1, 2 and 4 makes, one after the other in this process; nothing is sent."""

from __future__ import annotations

import importlib
import math
import time
import warnings
import weakref
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.saving.over_ranks.steps import Steps
from nnwidgets.distributed import held_changes
from nnwidgets.distributed.inputs import to_json
from nnwidgets.edit import initializers
from nnwidgets.edit.log import log_of
from nnwidgets.edit.over_ranks import draw
from nnwidgets.edit.over_ranks.part import Part, part_of
from nnwidgets.introspect.meeting import Meeting, Words
from tests.support.dtensors import DTensor, Partial, Replicate, Shard
from tests.support.stacks import LACKS_FSDP2

PLACES = [(world_size, rank) for world_size in (1, 2, 4) for rank in range(world_size)]
# Where FSDP2 is a prototype still, it wants more of the mesh that tensor parallelism has cut by.
KINDS = ("FSDP2", "HSDP", "TP", *(() if LACKS_FSDP2 else ("TP × FSDP2",)), "tied")
NEEDS = {"constant_": {"val": 0.5}, "sparse_": {"sparsity": 0.3}}


@contextmanager
def as_rank(rank, world_size):
    """Be one of some ranks, with nobody there to talk to."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def whole_model():
    """Rows that four ranks share unevenly, and fewer than they are; a convolution; a weight under two names."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 16), nn.Linear(16, 7), nn.Linear(7, 3), nn.Conv1d(4, 4, 3), nn.Linear(3, 3))
    net[4].weight = net[2].weight = nn.Parameter(torch.randn(3, 3))
    return net


def spread(kind, rank, world_size):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    # torch keeps specs by the mesh's names and sizes, and its ranks are several here.
    names = f"dp{rank}", f"tp{rank}"
    flat = init_device_mesh("cpu", (world_size,), mesh_dim_names=names[:1])
    square = init_device_mesh("cpu", (max(world_size // 2, 1), min(world_size, 2)), mesh_dim_names=names)
    net, plan = whole_model(), {"0": ColwiseParallel(), "1": RowwiseParallel()}
    if kind.startswith("TP"):
        net = parallelize_module(net, flat if kind == "TP" else square[names[1]], plan)
    if kind != "TP":
        mesh = {"HSDP": square, "TP × FSDP2": square[names[0]]}.get(kind, flat) if world_size > 1 else flat
        fsdp2()(net[0], mesh=mesh)
        fsdp2()(net, mesh=mesh)
    return net


def fsdp2():
    """What cuts parameters; before torch 2.6 a prototype whose forward needs a GPU."""
    home = "torch.distributed._composable.fsdp" if LACKS_FSDP2 else "torch.distributed.fsdp"
    return importlib.import_module(home).fully_shard


def fits(tensor, name):
    wanted = {"eye_": (2,), "sparse_": (2,), "dirac_": (3,), "orthogonal_": (2, 3)}
    default = (2, 3) if name.startswith(("xavier", "kaiming")) else (1, 2, 3)
    return tensor.dim() in wanted.get(name, default)


def here(whole, tensor):
    part = part_of(tensor)
    return whole if part is None else part.of(whole)


def local(tensor):
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@pytest.fixture(scope="module")
def of_the_whole():
    """By filler: what it gives the whole model's tensors that it can fill, by path."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (name for name, each in initializers().items() if each.kind == "torch"):
            net = whole_model()
            paths = [path for path, tensor in net.named_parameters() if fits(tensor, name)]
            nnw.init(net, paths, name, seed=7, **NEEDS.get(name, {}))
            found[name] = {path: net.get_parameter(path).detach() for path in paths}
    assert len(found) > 12
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_filler_gives_each_rank_its_part_of_the_whole(kind, of_the_whole, monkeypatch):
    monkeypatch.setattr(draw, "BLOCK", 32)
    for world_size, rank in PLACES:
        with as_rank(rank, world_size), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = spread(kind, rank, world_size)
            nnw.init(net, "**", "ones_")  # what torch's tensor parallelism scatters comes from nobody here
            before = [local(each).clone() for each in net.parameters()]
            for name, wanted in of_the_whole.items():
                nnw.init(net, list(wanted), name, seed=7, **NEEDS.get(name, {}))
                for path, whole in wanted.items():
                    tensor = net.get_parameter(path)
                    assert torch.equal(local(tensor), here(whole, tensor)), (name, path, rank, world_size)
            for _ in of_the_whole:
                nnw.undo(net)
            assert all(torch.equal(local(each), old) for each, old in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.complex64])
def test_each_dtype_comes_out_of_blocks_as_it_does_at_once(dtype, monkeypatch):
    monkeypatch.setattr(draw, "BLOCK", 64)
    for n in (1, 15, 63, 64, 65, 79, 80, 81, 250):
        whole, part, made = (
            torch.empty(n, dtype=dtype),
            Part((n,), (1,), (range(n // 3, n),)),
            torch.zeros(n - n // 3, dtype=dtype),
        )
        for fill in (nn.init.normal_, nn.init.uniform_):
            if fill is nn.init.uniform_ and dtype.is_complex:
                continue
            fill(whole, generator=torch.Generator().manual_seed(3))
            generator = torch.Generator().manual_seed(3)
            draw.fill_part(part, made, lambda each: fill(each, generator=generator), path="w", is_torchs=True)  # noqa: B023
            assert torch.equal(made, part.of(whole)), (n, fill)


@given(data=st.data())
@settings(max_examples=60)
def test_any_run_of_the_whole_goes_where_it_belongs(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=0, max_size=4)))
    bounds = [sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))) for n in shape]
    part = Part(shape, (), tuple(range(*each) for each in bounds))
    whole = torch.arange(float(math.prod(shape))).view(shape)
    made, size = torch.full(part.local_shape, -1.0), data.draw(st.integers(1, 40))
    for start in range(0, whole.numel(), size):
        part.keep(whole.flatten()[start : start + size], start, made)
    assert torch.equal(made, part.of(whole))


FILLED = st.sampled_from(["*.weight", "**", "Linear.bias"])
PARTS = st.sampled_from(["1.weight[1:6:2, ..., 3]", "1.weight[-1]", "3.weight[..., 1:]", "2.bias"])
CHANGES = st.one_of(
    st.tuples(st.just("init"), FILLED, st.sampled_from(["normal_", "uniform_", "zeros_"])),
    st.tuples(st.just("init"), st.just("Linear"), st.just("reset")),
    st.tuples(st.just("assign"), PARTS, st.just(2.5)),
    st.tuples(st.sampled_from(["freeze", "unfreeze"]), st.sampled_from(["0", "Linear.weight"])),
    st.tuples(st.sampled_from(["undo", "redo"])),
)  # fmt: skip


@given(st.sampled_from(KINDS), st.sampled_from(PLACES), st.lists(CHANGES, min_size=1, max_size=6))
@settings(max_examples=15)
def test_any_changes_in_a_row_are_those_of_the_whole(kind, place, changes):
    world_size, rank = place
    with as_rank(rank, world_size):
        net, whole = spread(kind, rank, world_size), whole_model()
        with torch.no_grad():
            for each in (*net.parameters(), *whole.parameters()):
                local(each).fill_(1.0)  # what torch's tensor parallelism scatters comes from nobody here
        for seed, (change, *arguments) in enumerate(changes):
            outcome = []
            for each in (net, whole):
                more = {"seed": seed} if change == "init" else {}
                try:
                    made = getattr(nnw, change)(each, *arguments, **more)
                    outcome.append((made.label, made.paths, made.n_elements, made.seed))
                except nnw.InvalidTargetError as error:
                    outcome.append(str(error))
            assert outcome[0] == outcome[1] or change == "init"
            for path, tensor in net.named_parameters():
                assert torch.equal(local(tensor), here(whole.get_parameter(path), tensor)), (path, change, arguments)
                assert tensor.requires_grad is whole.get_parameter(path).requires_grad


def test_a_function_of_ones_own_gets_a_whole_tensor_and_may_not_read_what_is_elsewhere():
    with as_rank(1, 4):
        net, whole = spread("FSDP2", 1, 4), whole_model()
        for each in (net, whole):
            nnw.init(
                each, "0.weight", lambda t, generator: t.mul_(2).add_(torch.rand(t.shape, generator=generator)), seed=1
            )
        assert torch.equal(local(net[0].weight), here(whole[0].weight, net[0].weight))
        before = local(net[0].weight).clone()
        with pytest.raises(nnw.InitializerError, match="depends on elements that are on other ranks"):
            nnw.init(net, "0.weight", lambda t, generator: t.sub_(t.mean()))
        assert torch.equal(local(net[0].weight), before)


def test_what_must_be_whole_and_finds_no_room_is_refused_with_sizes(monkeypatch):
    monkeypatch.setattr(draw, "free_bytes", lambda device: 500)
    with as_rank(0, 4):
        net = spread("FSDP2", 0, 4)
        nnw.init(net, "0.weight", "normal_")
        with pytest.raises(nnw.InitializerError, match=r"0.weight is filled as a whole, 768 B for 16 × 12, and 500 B"):
            nnw.init(net, "0.weight", "orthogonal_")


def test_a_preview_says_whose_numbers_it_has_and_writes_nothing():
    with as_rank(2, 4):
        net = spread("FSDP2", 2, 4)
        before = local(net[0].weight).clone()
        shown = nnw.init(net, "0.weight", "normal_", seed=3, preview=True)
        assert (shown.after["0.weight"].of, shown.n_elements) == ("rank 2: 4 × 12 of 16 × 12", 192)
        assert torch.equal(local(net[0].weight), before)
        made = nnw.init(net, "0.weight", "normal_", seed=3)
        assert made.after["0.weight"].mean == shown.after["0.weight"].mean
        nnw.undo(net)
        held = [net[0].weight, local(net[0].weight), net[0].bias]
        squares, versions = (net[0].weight.to_local().square() * 0.5).sum(), [each._version for each in held]
        shown = nnw.init(net, "0", "reset", seed=5, preview=True)
        squares.backward()
        assert torch.equal(local(net[0].weight.grad), before)
        assert [each._version for each in held] == versions
        assert (shown.after["0.weight"].of, shown.is_preview) == ("rank 2: 4 × 12 of 16 × 12", True)
        assert torch.equal(local(net[0].weight), before)
        assert [len(each) for each in (nnw.history(net).changes, nnw.history(net).undone)] == [0, 1]
        nnw.edit.set_budget(net, 100)
        with pytest.raises(nnw.InitializerError, match="takes aren't left for undo copies"):
            nnw.init(net, "0", "reset", preview=True)
        nnw.edit.set_budget(net, 10_000)
        made = nnw.init(net, "0", "reset", seed=5)
        assert made.after["0.weight"].mean == shown.after["0.weight"].mean


def test_summands_and_flat_shards_are_refused():
    from torch.distributed.device_mesh import init_device_mesh

    with as_rank(0, 2):
        mesh = init_device_mesh("cpu", (2,))
        net = nn.Linear(3, 1, bias=False)
        net.weight = nn.Parameter(DTensor.from_local(torch.ones(1, 3), mesh, [Partial()]))
        with pytest.raises(nnw.InvalidTargetError, match=r"placed as .*expected Shard and Replicate"):
            nnw.init(net, "weight", "normal_")
        net.weight = nn.Parameter(
            DTensor.from_local(torch.ones(1, 3), mesh, [Shard(0)], run_check=False, shape=(5, 3), stride=(3, 1))
        )
        with pytest.raises(nnw.InvalidTargetError, match="this rank has 1 × 3 of its 5 × 3, expected 3 × 3"):
            nnw.init(net, "weight", "normal_")
        net.weight = nn.Parameter(DTensor.from_local(torch.ones(1, 3), mesh, [Replicate()], run_check=False))
        assert nnw.init(net, "weight", "normal_", seed=1).n_elements == 3


def test_no_more_than_a_block_is_drawn_at_a_time(monkeypatch):
    monkeypatch.setattr(draw, "BLOCK", 256)
    with as_rank(0, 4):
        net = fsdp2()(nn.Linear(40, 40))
        asked = []
        empty = torch.empty

        def noted(*sizes, **options):
            made = empty(*sizes, **options)
            if made.is_cpu and made.dtype is torch.float32:
                asked.append(made.numel())
            return made

        monkeypatch.setattr(torch, "empty", noted)
        nnw.init(net, "weight", "kaiming_uniform_")
        assert max(asked) == 256 + 16


def filled_through_data(module):
    module.weight.data.normal_(0, 0.02)


def replaced(module):
    module.weight = nn.Parameter(torch.ones_like(module.weight))


def test_what_a_function_of_modules_writes_through_data_stays_and_what_it_replaces_is_refused():
    with as_rank(1, 4):
        net, whole = spread("FSDP2", 1, 4), whole_model()
        for each in (net, whole):
            nnw.apply(each, "0", filled_through_data, seed=3)
        assert torch.equal(local(net[0].weight), here(whole[0].weight, net[0].weight))
        for each in (net, whole):
            with pytest.raises(nnw.InitializerError, match="replaced"):
                nnw.apply(each, "0", replaced)
        assert torch.equal(local(net[0].weight), here(whole[0].weight, net[0].weight))


def test_a_number_that_every_rank_has_is_assigned():
    from torch.distributed.device_mesh import init_device_mesh

    with as_rank(0, 2):
        net, mesh = nn.Module(), init_device_mesh("cpu", (2,))
        net.scale = nn.Parameter(DTensor.from_local(torch.tensor(2.0), mesh, [Replicate()], run_check=False))
        nnw.assign(net, "scale", 1.5)
        assert net.scale.to_local().item() == 1.5


def pruned(tensor):
    tensor[tensor.abs() < tensor.abs().flatten().kthvalue(tensor.numel() // 2).values] = 0


def counted(tensor):
    tensor.fill_(float((tensor > 0).sum()))


def normalized(tensor):
    if tensor.std() < 1:
        tensor.mul_(2)


def bias_of_weight(module):
    module.bias.fill_(module.weight.mean())


def order_of_rows(module):
    module.order.add_(module.order.sum())


@pytest.mark.parametrize("how", [pruned, counted, normalized])
def test_orders_counts_and_conditions_of_what_is_elsewhere_are_refused(how):
    with as_rank(1, 4):
        net = spread("FSDP2", 1, 4)
        nnw.init(net, "0.weight", "normal_", seed=1)
        if how is not normalized:  # of NaN, std is NaN whatever else there is
            local(net[0].weight.detach())[0, 0] = math.nan
        before = local(net[0].weight).clone()
        with pytest.raises(nnw.InitializerError, match=r"0.weight depends on .* other ranks.*full_tensor\(\)"):
            nnw.init(net, "0.weight", how)
        assert torch.equal(local(net[0].weight).nan_to_num(5), before.nan_to_num(5))


def test_no_module_gets_numbers_from_elsewhere_in_its_whole_tensors_or_whole_numbers():
    from torch.distributed.device_mesh import init_device_mesh

    with as_rank(1, 4):
        mesh = init_device_mesh("cpu", (4,))
        net = nn.Linear(4, 4)
        net.weight = nn.Parameter(DTensor.from_local(torch.ones(1, 4), mesh, [Shard(0)], run_check=False))
        net.register_buffer("order", DTensor.from_local(torch.ones(2, dtype=torch.int64), mesh, [Shard(0)]))
        before = net.bias.detach().clone()
        with pytest.raises(nnw.InitializerError, match="What it gives for bias depends on"):
            nnw.apply(net, "", bias_of_weight)
        with pytest.raises(nnw.InitializerError, match="What it gives for order depends on"):
            nnw.apply(net, "", order_of_rows)
        nnw.apply(net, "", lambda module: (module.bias.add_(1), module.weight.mul_(3), module.order.mul_(2)))
        assert torch.equal(net.bias, before + 1)
        assert (local(net.weight).unique().item(), local(net.order).tolist()) == (3, [2, 2])


def test_ranks_wait_as_long_as_they_took_and_a_late_one_is_told_that_it_is(monkeypatch):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        words = Words("change", "Nothing was changed.", "Run it.")
        first = Meeting((0, 1), 0.01, "change", words)
        monkeypatch.setattr(dist, "get_rank", lambda *_: 1)
        second = Meeting((0, 1), 0.01, "change", words)
        time.sleep(0.1)
        with pytest.raises(nnw.RankMissingError, match=r"rank 1 didn't come within 0\.[1-9]"):
            first.agree()
        with pytest.raises(nnw.RankMissingError, match="this one, rank 1, came when others had given up"):
            second.agree()
    finally:
        monkeypatch.undo()
        dist.destroy_process_group()


def test_what_ranks_say_of_a_save_is_not_heard_in_a_group_that_is_made_anew_on_the_same_store():
    store, words = dist.HashStore(), Words("save", "Nothing was saved.", "Run it.")
    for _ in range(2):
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            meeting = Meeting((0,), 1.0, "save", words)
            meeting.agree()
            steps = Steps(meeting, 1.0)
            steps.check_on()
            with pytest.raises(KeyError), steps:
                raise KeyError("this save is called off")
        finally:
            dist.destroy_process_group()


def test_a_change_of_the_ranks_own_between_prepare_and_commit_stays_in_its_history():
    net = nn.Linear(4, 4)

    def asked(number, **more):
        return {"change": {"number": number, "within": 60, **more}}

    def prepare(number, function, *arguments):
        held_changes.prepare(net, asked(number, function=function, given=to_json((arguments, {}), function)))

    nnw.init(net, "weight", "ones_")
    for function, arguments in (("init", ("weight", "zeros_")), ("undo", ())):
        prepare("a", function, *arguments)
        nnw.init(net, "bias", "ones_")
        done = nnw.history(net).changes
        with pytest.raises(nnw.ChangedSinceError, match="another one than when"):
            held_changes.commit(net, asked("a"))
        assert nnw.history(net).changes == done
    prepare("b", "assign", "weight", 2.0)
    held_changes.commit(net, asked("b"))
    own = nnw.init(net, "bias", "zeros_")
    held_changes.revoke(net, asked("b"))
    assert [each.label for each in nnw.history(net).changes] == [*(each.label for each in done), own.label]
    assert (net.weight == 1).all()


def test_an_undo_taken_back_after_changes_of_the_ranks_own_leaves_these_in_the_history():
    net = nn.Linear(4, 4)
    zeros, ones = nnw.init(net, "weight", "zeros_"), nnw.init(net, "bias", "ones_")
    asked = {"change": {"number": "a", "within": 60, "function": "undo", "given": to_json(((), {}), "undo")}}
    held_changes.prepare(net, asked)
    held_changes.commit(net, asked)
    own = nnw.init(net, "weight", "ones_")
    held_changes.revoke(net, asked)
    assert [*map(id, nnw.history(net).changes)] == [*map(id, (zeros, ones, own))]
    assert (net.bias == 1).all()
    nnw.undo(net)
    held_changes.prepare(net, asked)  # of `ones`
    held_changes.commit(net, asked)
    nnw.redo(net)  # which does what taking it back would
    held_changes.revoke(net, asked)
    assert [*map(id, nnw.history(net).changes)] == [*map(id, (zeros, ones))]


def test_what_takes_a_change_back_is_let_go_once_all_have_committed_it():
    net = nn.Linear(64, 64)
    asked = {"number": "a", "within": 60, "function": "init", "given": to_json((("weight", "ones_"), {}), "init")}
    held_changes.prepare(net, {"change": asked})
    held_changes.commit(net, {"change": asked})
    undo = weakref.ref(log_of(net).state.done[-1].undo)
    nnw.edit.set_budget(net, 0)
    assert undo() is not None
    held_changes.release(net, {"change": asked})
    assert undo() is None


@pytest.mark.parametrize("how", ["normal_", "orthogonal_", "reset", "assign"])
def test_a_rank_outside_of_a_tensors_mesh_makes_the_change_too_and_has_nothing_of_it(how):
    from torch.distributed.device_mesh import DeviceMesh

    with as_rank(0, 4):
        mesh, net = DeviceMesh("cpu", [2, 3], _init_backend=False), nn.Linear(4, 4)
        net.weight = nn.Parameter(
            DTensor.from_local(torch.empty(0), mesh, [Shard(0)], run_check=False, shape=(4, 4), stride=(4, 1))
        )
        made = (
            nnw.assign(net, "weight[0, 0]", 1.0)
            if how == "assign"
            else nnw.init(net, "weight" if how != "reset" else "", how)
        )
        assert "weight" in made.paths
        assert local(net.weight).numel() == 0
        nnw.undo(net)


def given_of(*arguments, **options):
    return to_json((arguments, options), "init")


MALFORMED = [
    None, "init", {}, {"number": "a", "function": "eval", "given": {}}, {"number": 1},
    {"number": "a", "function": "init", "given": {}}, {"number": "a", "function": "init", "given": {"list": [1, 2]}},
    {"number": "a", "function": "init", "given": {"tensor": 3}},
    {"number": "a", "function": "init", "given": given_of("weight", "zeros_", 1, 2, 3, 4, 5, 6, 7, 8)},
    {"number": "a", "function": "undo", "given": given_of(nothing=1)},
]  # fmt: skip


@pytest.mark.parametrize("change", MALFORMED)
def test_a_request_of_no_change_is_refused(change):
    for ask in (held_changes.prepare, held_changes.commit, held_changes.renew):
        with pytest.raises(
            nnw.InvalidTargetError, match=r"no change that can be made|No such change|can't be read|argument"
        ):
            ask(nn.Linear(1, 1), {"change": change})
