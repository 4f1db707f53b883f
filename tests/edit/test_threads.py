"""Large changes are copied, fingerprinted and exchanged on two threads: still all or nothing, and nothing unnoticed."""

from __future__ import annotations

import random
import threading

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit.undo_copy import swap
from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.edit.undo_copy.memory_blocks import Blocks, Buffer, blocks_of
from tests.edit.test_failures import Injected, Tracer
from tests.support.edited_models import bits

PIECE = CHUNK_BYTES // 4
N = 5 * PIECE + 1001
N_INTERRUPTS = 12


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    monkeypatch.setattr(swap, "_LARGE_BYTES", 1 << 20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    n_before = threading.active_count()
    yield
    assert threading.active_count() == n_before
    assert torch._C._is_torch_function_enabled()  # what an interrupt left off would change every test that follows


def one(n=N):
    net = nn.Module()
    net.w = nn.Parameter(torch.randn(n))
    return net


def three():
    net = nn.Module()
    for name in "abc":
        net.register_parameter(name, nn.Parameter(torch.randn(700, 601)))
    net.a_again = net.a
    return net


AROUND = [0, 127, 255, 256, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 1]
PLACES = [*AROUND, N // 2, N - 1002, N - 1001, N - 2, N - 1]


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("byte", [0, 3])
def test_a_foreign_edit_of_any_one_byte_is_noticed_and_left_alone(at, byte):
    net = one()
    old = net.w.detach().clone()
    nnw.init(net, "w", "normal_", seed=1)
    net.w.data.view(torch.uint8)[4 * at + byte] ^= 1
    edited = net.w.detach().clone()
    with pytest.raises(nnw.InvalidTargetError, match="changed by other code"):
        nnw.undo(net)
    assert torch.equal(net.w.view(torch.int32), edited.view(torch.int32))
    nnw.undo(net, force=True)
    assert torch.equal(net.w, old)
    nnw.redo(net)
    assert torch.equal(net.w.view(torch.int32), edited.view(torch.int32))


PAIRS = [(0, 1), (0, 2), (0, 256), (4, 4 + 256 * 3), (0, PIECE - 1), (10, 10 + PIECE), (5, 5 + 3 * PIECE)]


@pytest.mark.parametrize("pair", [*PAIRS, (N - 1, N - 2), (N - 1, N - 257), (PIECE - 1, PIECE), (0, N - 1)])
def test_an_exchange_of_two_elements_is_noticed(pair):
    net = one()
    nnw.init(net, "w", "normal_", seed=1)
    first, second = pair
    with torch.no_grad():
        net.w.data[[first, second]] = net.w.data[[second, first]]
    with pytest.raises(nnw.InvalidTargetError, match="changed by other code"):
        nnw.undo(net)


@pytest.mark.parametrize("n", [N, 8 * PIECE, 4097 + 3 * PIECE, 5 * PIECE + 2 * 128 * 32])
@pytest.mark.parametrize("act", [lambda w: w.neg_(), lambda w: w.copy_(w.roll(1)), lambda w: w.copy_(w.roll(PIECE))])
def test_an_edit_of_everything_is_noticed(n, act):
    net = one(n)
    nnw.init(net, "w", "normal_", seed=1)
    act(net.w.data)
    with pytest.raises(nnw.InvalidTargetError, match="changed by other code"):
        nnw.undo(net)


def lines_of(act):
    with Tracer() as tracer:
        act()
    return tracer.n


@pytest.mark.parametrize("verb", ["undo", "redo"])
def test_an_exchange_interrupted_anywhere_leaves_one_of_the_two_states_whole(verb):
    net = one()
    old = net.w.detach().clone()
    nnw.init(net, "w", "normal_", seed=1)
    new = net.w.detach().clone()
    if verb == "redo":
        nnw.undo(net)
    n_lines = lines_of(lambda: getattr(nnw, verb)(net))
    getattr(nnw, "redo" if verb == "undo" else "undo")(net)
    chosen = random.Random(3)  # noqa: S311 - which lines, the same each time
    here, there = (new, old) if verb == "undo" else (old, new)
    for number in range(N_INTERRUPTS):
        at = chosen.randrange(1, n_lines + 1)
        is_raised = False
        try:
            with Tracer(at, KeyboardInterrupt if number % 2 else Injected):
                getattr(nnw, verb)(net)
        except (KeyboardInterrupt, Injected):
            is_raised = True
        if is_raised:
            assert torch.equal(net.w, here), at
        else:
            assert torch.equal(net.w, there)
            getattr(nnw, "redo" if verb == "undo" else "undo")(net)
    getattr(nnw, verb)(net)
    assert torch.equal(net.w, there)


def test_a_change_interrupted_anywhere_while_the_second_thread_copies_is_taken_back():
    net = three()
    before = bits(net)
    n_lines = lines_of(lambda: nnw.init(net, ["a", "b", "c"], "normal_", seed=1))
    nnw.undo(net)
    chosen = random.Random(5)  # noqa: S311 - which lines, the same each time
    n_raised = 0
    for number in range(N_INTERRUPTS):
        at = chosen.randrange(n_lines // 3, n_lines)
        try:
            with Tracer(at, KeyboardInterrupt if number % 2 else Injected):
                nnw.init(net, ["a", "b", "c"], "normal_", seed=1)
        except (KeyboardInterrupt, nnw.NNWidgetsError, Injected):
            n_raised += 1
        else:
            nnw.undo(net)
        assert bits(net) == before, at
        assert len(nnw.history(net).changes) == 0
    assert n_raised > N_INTERRUPTS // 2


@pytest.mark.parametrize("at", [0, 1])
def test_a_second_thread_that_fails_fails_the_change(at, monkeypatch):
    net = three()
    before = bits(net)
    real, calls = Blocks.take, []

    def take(self, run, halt):
        if threading.current_thread() is not threading.main_thread():
            calls.append(1)
            if len(calls) == at + 1:
                raise MemoryError
        return real(self, run, halt)

    monkeypatch.setattr(Blocks, "take", take)
    with pytest.raises((MemoryError, nnw.NNWidgetsError)):
        nnw.init(net, ["a", "b", "c"], "normal_", seed=1)
    assert bits(net) == before
    assert nnw.history(net).changes == ()


def test_without_another_thread_one_does_it_all(monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    net = three()
    before = bits(net)
    nnw.init(net, ["a", "b", "c"], "normal_", seed=1)
    after = bits(net)
    nnw.undo(net)
    assert bits(net) == before
    nnw.redo(net)
    assert bits(net) == after != before


@pytest.mark.parametrize("order", ["abc", "cab", "bca"])
def test_tensors_filled_while_others_are_copied_have_torchs_numbers(order):
    net = three()
    before = bits(net)
    generator = torch.Generator().manual_seed(9)
    expected = {name: nn.init.uniform_(torch.empty(700, 601), generator=generator) for name in "abc"}
    change = nnw.init(net, list(order), "uniform_", seed=9)
    assert change.ties
    assert all(torch.equal(getattr(net, name), values) for name, values in expected.items())
    nnw.undo(net)
    assert bits(net) == before


def test_the_blocks_around_a_tensor_are_those_that_hold_its_bytes():
    flat = torch.arange(600_000.0)
    even, odd = flat[:200_000:2], flat[1:200_000:2]
    tensors = [flat[500_000:], even, odd, flat[200_000:210_000]]
    found = blocks_of(tensors)
    blocks = Blocks(found, (Buffer(torch.empty(block.nbytes, dtype=torch.uint8)) for block in found))
    for tensor in (*tensors, flat, flat[450_000:500_001], flat[205_000:205_001], flat[300_000:400_000], flat[:0]):
        held = (
            set(range(tensor.data_ptr(), tensor.data_ptr() + 4 * tensor.numel(), 4))
            if tensor.is_contiguous()
            else set()
        )
        expected = {at for at, block in enumerate(found) if held & _elements(block)}
        assert expected <= set(blocks.meeting(tensor))
        assert len(blocks.meeting(tensor)) == len(set(blocks.meeting(tensor)))
    assert blocks.meeting(flat[300_000:400_000]) == []
    assert {found[at].data_ptr() for at in blocks.meeting(flat[205_000:205_001])} == {flat[200_000:].data_ptr()}


def _elements(block):
    data = block if block.dtype is torch.float32 else block.view(torch.float32)
    return {data.data_ptr() + 4 * at * data.stride(0) for at in range(data.numel())}
