"""Ties are found byte for byte, of four kinds, whatever the strides."""

from __future__ import annotations

import mmap
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.sharing.byte_ranges import connected, coverage, n_bytes, piece
from tests.support.line_counts import lines_run


def holding(**tensors):
    net = nn.Module()
    for name, tensor in tensors.items():
        if isinstance(tensor, nn.Parameter):
            net.register_parameter(name, tensor)
        else:
            net.register_buffer(name, tensor)
    return net


def found(net):
    return [(group.id, group.kind, group.members, group.shared_bytes) for group in nnw.ties(net)]


def test_tensors_in_the_low_heap_of_a_python_that_is_not_pie_take_no_more_steps_than_any():
    n = 100
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40  # MAP_32BIT, of x86-64 alone
    low = torch.frombuffer(mmap.mmap(-1, n * 64, flags=flags), dtype=torch.float32)
    if low.data_ptr() >= 1 << 40:
        pytest.skip("this system gives no memory at a low address")
    made = [
        holding(**{f"t{at}": flat[16 * at : 16 * at + 4] for at in range(n)}) for flat in (low, torch.zeros(n * 16))
    ]
    one, other = (lines_run(lambda net=net: nnw.tree(net)) for net in made)
    assert one < 1.5 * other
    assert found(made[0]) == found(made[1]) == []


def test_one_parameter_under_two_names_is_an_object_tie():
    weight = nn.Parameter(torch.zeros(3, 2))
    assert found(holding(a=weight, b=weight)) == [("A", "object", ("a", "b"), 24)]


def test_the_same_bytes_shape_and_strides_are_a_storage_tie():
    weight = torch.zeros(3, 2)
    assert found(holding(a=nn.Parameter(weight), b=nn.Parameter(weight))) == [("A", "storage", ("a", "b"), 24)]


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.t(),
        lambda t: t.view(-1),
        lambda t: t.view(torch.int32),
        lambda t: t.view(torch.uint8),
        lambda t: t.view(3, 1, 2),
    ],
)
def test_the_same_bytes_seen_otherwise_are_a_view_tie(view):
    weight = torch.zeros(3, 2)
    assert found(holding(a=weight, b=view(weight))) == [("A", "view", ("a", "b"), 24)]


def test_some_bytes_in_common_are_an_overlap_tie():
    flat = torch.zeros(10)
    assert found(holding(a=flat[:6], b=flat[4:], c=flat[9:])) == [("A", "overlap", ("a", "b", "c"), 12)]


def test_the_weakest_link_names_the_group():
    weight = nn.Parameter(torch.zeros(4))
    net = holding(a=weight, b=weight, c=weight.data.view(2, 2))
    assert found(net) == [("A", "view", ("a", "b", "c"), 16)]
    net.register_buffer("d", weight.data[:1])
    assert found(net) == [("A", "overlap", ("a", "b", "c", "d"), 16)]


def test_slices_and_interleaved_elements_of_one_buffer_are_not_tied():
    flat = torch.zeros(20)
    grid = torch.zeros(6, 8)
    assert found(holding(even=flat[::2], odd=flat[1::2])) == []
    assert found(holding(low=flat[:10], high=flat[10:])) == []
    assert found(holding(left=grid[:, :3], right=grid[:, 3:])) == []
    assert found(holding(real=torch.view_as_real(torch.zeros(4, dtype=torch.complex64))[..., 0])) == []


def test_two_storages_over_the_same_memory_are_compared_by_address():
    array = np.zeros(8, dtype=np.float32)
    one, other = torch.from_numpy(array), torch.from_numpy(array[2:6])
    assert one.untyped_storage().data_ptr() != other.untyped_storage().data_ptr()
    assert found(holding(a=one, b=other)) == [("A", "overlap", ("a", "b"), 16)]


def test_meta_and_empty_tensors_tie_only_as_objects():
    meta = torch.empty(3, device="meta")
    empty = torch.empty(0)
    net = holding(a=meta, b=meta[:], c=meta, d=empty, e=torch.empty(0), f=empty, g=torch.empty(3, device="meta"))
    assert [(kind, members) for _, kind, members, _ in found(net)] == [("object", ("a", "c")), ("object", ("d", "f"))]


def test_expanded_tensors_share_what_they_have():
    one = torch.zeros(1)
    assert found(holding(a=one, b=one.expand(1000))) == [("A", "view", ("a", "b"), 4)]


def test_sparse_tensors_tie_by_their_components():
    values = torch.ones(3)
    coo = torch.sparse_coo_tensor(torch.tensor([[0, 1, 2]]), values, (3,), check_invariants=False)
    net = holding(a=coo, b=coo._values(), c=coo)
    assert [(kind, members) for _, kind, members, _ in found(net)] == [("overlap", ("a", "b", "c"))]


def test_buffers_and_unregistered_tensors_take_part():
    net = nn.Linear(2, 2)
    net.register_buffer("copy", net.weight.data)
    net.plain = [net.bias.data]
    assert [(kind, members) for _, kind, members, _ in found(net)] == [
        ("storage", ("weight", "copy")),
        ("storage", ("bias", "plain[0]")),
    ]


def test_a_module_under_two_names_ties_each_of_its_tensors():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(nn.ReLU(), nn.ReLU(), shared, nn.ReLU(), shared)
    assert found(net) == [
        ("A", "object", ("2.weight", "4.weight"), 16),
        ("B", "object", ("2.bias", "4.bias"), 8),
    ]


def test_diamonds_of_shared_modules_name_within_bounds():
    block = nn.Linear(1, 1)
    for _ in range(40):
        block = nn.Sequential(block, block)
    groups = nnw.ties(block)
    assert len(groups) == 2
    assert all(1 < len(group.members) <= 65 for group in groups)


def test_groups_are_lettered_in_walk_order_past_z():
    net = nn.Module()
    for index in range(30):
        weight = nn.Parameter(torch.zeros(1))
        net.register_parameter(f"a{index}", weight)
        net.register_parameter(f"b{index}", weight)
    groups = nnw.ties(net)
    assert [group.id for group in groups][24:28] == ["Y", "Z", "AA", "AB"]
    assert [group.members[0] for group in groups] == [f"a{index}" for index in range(30)]


def test_large_strided_views_are_compared_without_listing_elements():
    pieces = [
        piece(4096, (50_000, 50_000), (100_000, 2), 4, owner=0),
        piece(4096 + 4, (50_000, 50_000), (100_000, 2), 4, owner=1),
        piece(4096, (50_000 * 50_000,), (3,), 4, owner=2),
    ]
    shared = coverage(pieces)
    assert shared[frozenset((0, 1))] == 0
    assert sum(n for owners, n in shared.items() if 2 in owners) == 4 * 50_000 * 50_000
    assert sum(n for owners, n in shared.items() if 0 in owners) == 4 * 50_000 * 50_000


def byte_addresses(address, shape, strides, itemsize):
    found = set()
    for index in product(*map(range, shape)):
        start = address + itemsize * sum(i * s for i, s in zip(index, strides, strict=True))
        found.update(range(start, start + itemsize))
    return found


views = st.integers(0, 3).flatmap(
    lambda n: st.tuples(
        st.integers(0, 40),
        st.tuples(*[st.integers(0, 6)] * n),
        st.tuples(*[st.integers(0, 13)] * n),
        st.sampled_from([1, 2, 4, 8]),
    )
)


@given(st.lists(views, min_size=1, max_size=5))
@settings(max_examples=300)
def test_coverage_is_what_listing_every_byte_gives(placed):
    owners: dict[int, set[int]] = {}
    for owner, view in enumerate(placed):
        for byte in byte_addresses(*view):
            owners.setdefault(byte, set()).add(owner)
    pieces = [piece(*view, owner=owner) for owner, view in enumerate(placed)]
    pieces = [each for each in pieces if each is not None]
    assert coverage(pieces) == Counter(map(frozenset, owners.values()))
    for each in pieces:
        assert n_bytes(each) == len(byte_addresses(*placed[each.owner]))


@given(st.lists(st.tuples(views, st.integers(0, 4)), min_size=1, max_size=6))
@settings(max_examples=300)
def test_connected_owners_are_those_that_reach_each_other_over_common_bytes(placed):
    held: dict[int, set[int]] = {}
    for view, owner in placed:
        held.setdefault(owner, set()).update(byte_addresses(*view))
    groups: list[set[int]] = []
    for owner, addresses in held.items():
        meeting = [group for group in groups if any(addresses & held[other] for other in group)]
        groups = [group for group in groups if group not in meeting] + [{owner}.union(*meeting)]
    pieces = [piece(*view, owner=owner) for view, owner in placed]
    found = connected([each for each in pieces if each is not None])
    assert found == sorted(tuple(sorted(group)) for group in groups if len(group) > 1)


def test_connected_runs_are_not_compared_one_with_another(monkeypatch):
    compared = []
    monkeypatch.setattr("nnwidgets.introspect.sharing.byte_ranges.coverage", compared.append)
    n = 20_000
    nested = [piece(100 + 4 * index, (n - index,), (1,), 4, owner=index) for index in range(n)]
    apart = [piece(10**6 + 8 * index, (1,), (1,), 4, owner=n + index) for index in range(n)]
    assert connected([*nested, *apart]) == [tuple(range(n))]
    assert not compared


@st.composite
def models_of_views(draw):
    buffer = torch.zeros(64)
    tensors = {}
    for index in range(draw(st.integers(2, 5))):
        n = draw(st.integers(1, 2))
        shape = tuple(draw(st.integers(1, 4)) for _ in range(n))
        strides = tuple(draw(st.integers(0, 6)) for _ in range(n))
        reach = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        tensors[f"t{index}"] = buffer.as_strided(shape, strides, draw(st.integers(0, 63 - reach)))
    return tensors


@given(models_of_views())
@settings(max_examples=300)
def test_groups_are_the_connected_views_of_one_buffer(tensors):
    held = {
        name: byte_addresses(tensor.data_ptr(), tensor.shape, tensor.stride(), 4) for name, tensor in tensors.items()
    }
    groups: list[set[str]] = []
    for name, addresses in held.items():
        meeting = [group for group in groups if any(addresses & held[other] for other in group)]
        groups = [group for group in groups if group not in meeting] + [{name}.union(*meeting)]
    expected = {frozenset(group) for group in groups if len(group) > 1}
    ties = nnw.ties(holding(**tensors))
    assert {frozenset(group.members) for group in ties} == expected
    for group in ties:
        times = Counter(byte for member in group.members for byte in held[member])
        assert group.shared_bytes == sum(n > 1 for n in times.values())
        same_bytes = len({frozenset(held[member]) for member in group.members}) == 1
        same_geometry = len({(tensors[m].shape, tensors[m].stride()) for m in group.members}) == 1
        assert group.kind == ("overlap" if not same_bytes else "storage" if same_geometry else "view")
    tree = nnw.tree(holding(**tensors))
    assert tree.size_bytes == len(set().union(*held.values()))
