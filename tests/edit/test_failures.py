"""Whatever fails on the way, wherever: the model, its log and the optimizer are as before, bit for bit."""

from __future__ import annotations

import dis
import gc
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import nnwidgets as nnw
from nnwidgets import edit
from tests.support.edited_models import bits, mlp, tied

HOME = str(Path(edit.__file__).parent)
N_INJECTED = 200
LOADS_NONE = {dis.opmap[name] for name in ("LOAD_CONST", "LOAD_COMMON_CONSTANT") if name in dis.opmap}


@pytest.fixture(autouse=True)
def only_what_is_new_is_collected():
    """A whole run has made millions of objects by now, and each collection would look at all of them."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    assert torch._C._is_torch_function_enabled()  # what an interrupt left off would change every test that follows
    # Nor may a lock stay taken: this thread would not notice, all others would wait for ever.
    with ThreadPoolExecutor(1) as other:
        assert other.submit(nnw.history, nn.Linear(1, 1)).result(timeout=30).changes == ()


class Injected(RuntimeError):
    pass


def leaves_a_with(frame):
    """Whether the next thing is the call of an ``__exit__``: nothing comes between, signals are heard after calls.

    Nor are they at a bare ``try:``, which is no step: what is around it doesn't cover it.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    while code[at] == dis.opmap.get("SWAP"):  # what is returned from within
        at += 2
    if code[at] == dis.opmap.get("PUSH_EXC_INFO"):
        at += 2
    is_quiet = code[at] in LOADS_NONE and code[at : at + 2] == code[at + 2 : at + 4]
    return is_quiet or code[at] in (dis.opmap["WITH_EXCEPT_START"], dis.opmap["NOP"])


class Tracer:
    """Counts the lines run in nnwidgets/edit, and raises at one of them."""

    def __init__(self, at=None, error=Injected):
        self.at, self.error, self.n = at, error, 0

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        if event == "line" and not leaves_a_with(frame):
            self.n += 1
            if self.n == self.at:
                raise self.error
        return self

    def __enter__(self):
        # What dies meanwhile must not run its callback under the tracer.
        gc.collect()
        gc.disable()
        self._before = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)
        gc.enable()


def _user(m):
    m.bias.mul_(2)
    m.weight.add_(torch.randn_like(m.weight))


def prepared():
    """A tied model with a trained optimizer, one change done and one undone."""
    net = tied()
    adam = torch.optim.Adam([net.a.weight, net.a.bias])
    net.a(torch.ones(1, 4)).sum().backward()
    adam.step()
    nnw.init(net, "low", "normal_", seed=1)
    nnw.assign(net, "odd[1:4]", 3.0)
    nnw.undo(net)
    return net, adam


ACTS = {
    "init": lambda net, adam: nnw.init(net, "**.weight", "normal_", optimizer=adam, clear_state=True),
    "sparse": lambda net, adam: nnw.init(net, "odd", "sparse_", sparsity=0.5),
    "overlap": lambda net, adam: nnw.init(net, ["low", "high", "even"], "uniform_"),
    "reset": lambda net, adam: nnw.init(net, "Linear", "reset", optimizer=adam, clear_state=True),
    "function": lambda net, adam: edit.apply(net, "Linear", _user),
    "assign": lambda net, adam: nnw.assign(net, "even[:, 1]", 7.0),
    "freeze": lambda net, adam: nnw.freeze(net, "Linear"),
    "undo": lambda net, adam: nnw.undo(net),
    "redo": lambda net, adam: nnw.redo(net),
}


def observed(net, adam):
    history = nnw.history(net)
    state = {path: id(adam.state.get(tensor)) for path, tensor in (("w", net.a.weight), ("b", net.a.bias))}
    return bits(net), history.changes, history.undone, state, nnw.ties(net)


def lines_of(act):
    net, adam = prepared()
    with Tracer() as tracer:
        ACTS[act](net, adam)
    return tracer.n


def test_two_hundred_failures_at_random_lines_leave_everything_as_it_was():
    chosen = random.Random(7)  # noqa: S311 - which lines, the same each time
    n_lines = {act: lines_of(act) for act in ACTS}
    n_raised = 0
    for number in range(N_INJECTED):
        act = list(ACTS)[number % len(ACTS)]
        at = chosen.randrange(1, n_lines[act] + 1)
        error = KeyboardInterrupt if number % 2 else Injected
        is_raised = False
        while not is_raised:
            net, adam = prepared()
            before, rng = observed(net, adam), torch.get_rng_state()
            try:
                with Tracer(at, error):
                    ACTS[act](net, adam)
            except (Injected, KeyboardInterrupt, nnw.NNWidgetsError):
                is_raised = True
            # How many lines a change takes differs a little by where its objects lie.
            at -= 29
        n_raised += 1
        assert observed(net, adam) == before, (act, at)
        assert torch.equal(torch.get_rng_state(), rng), (act, at)
    assert n_raised == N_INJECTED


class Failing(TorchDispatchMode):
    """Raises at the k-th operation of torch."""

    def __init__(self, at, error):
        super().__init__()
        self.at, self.error, self.n = at, error, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += 1
        if self.n == self.at:
            raise self.error
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("error", [Injected, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_users_function_that_fails_at_its_kth_operation_changes_nothing(at, error):
    net = mlp()
    before = bits(net)

    def partly(m):
        with Failing(at, error):
            for _ in range(5):
                m.weight.add_(1)
                m.bias.mul_(2)

    with pytest.raises((nnw.InitializerError, KeyboardInterrupt)):
        edit.apply(net, "Linear", partly)
    assert bits(net) == before
    assert nnw.history(net).changes == ()


def test_an_initializer_that_gives_a_tensor_in_place_of_writing_is_refused():
    net = nn.Linear(2, 3)
    before = net.weight.detach().clone()
    with pytest.raises(nnw.InitializerError, match=r"returned a Tensor for weight.*Write t.copy_"):
        edit.init(net, "weight", lambda t, generator: torch.ones_like(t) * 3)
    assert torch.equal(net.weight, before)
    assert nnw.history(net).changes == ()
    edit.init(net, "weight", lambda t, generator: t.fill_(3))
    assert net.weight.unique().tolist() == [3]


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("error", [Injected, KeyboardInterrupt])
def test_an_initializer_that_fails_on_a_later_tensor_changes_nothing(at, error):
    net = mlp()
    before = bits(net)
    calls = []

    def fill(tensor, generator):
        tensor.normal_(generator=generator)
        calls.append(1)
        if len(calls) == at:
            raise error

    with pytest.raises((nnw.InitializerError, KeyboardInterrupt)):
        nnw.init(net, "Linear.weight", fill)
    assert bits(net) == before


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_an_undo_interrupted_between_pieces_of_a_large_tensor_is_taken_back(at, monkeypatch):
    net = nn.Module()
    net.w = nn.Parameter(torch.randn(300_000))
    old = net.w.detach().clone()
    nnw.init(net, "w", "normal_", seed=1)
    new = net.w.detach().clone()
    tracer = Tracer(lines_from_exchange(at), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), tracer:
        nnw.undo(net)
    assert torch.equal(net.w, new)
    assert nnw.undo(net).label == "normal_"
    assert torch.equal(net.w, old)
    nnw.redo(net)
    assert torch.equal(net.w, new)


def lines_from_exchange(at):
    """A line late in an undo, where its pieces are exchanged."""
    net = nn.Module()
    net.w = nn.Parameter(torch.randn(300_000))
    nnw.init(net, "w", "normal_", seed=1)
    with Tracer() as tracer:
        nnw.undo(net)
    return tracer.n - 15 - at


@pytest.mark.parametrize(
    "replace",
    [
        lambda m: setattr(m, "weight", nn.Parameter(torch.ones(8, 6))),
        lambda m: delattr(m, "bias"),
        lambda m: setattr(m.weight, "data", torch.ones(8, 6)),
        lambda m: m.register_parameter("more", nn.Parameter(torch.ones(1))),
        lambda m: m.weight.requires_grad_(False),
    ],
)
def test_a_function_that_replaces_what_must_stay_is_refused_and_taken_back(replace):
    net = mlp()
    before, weight, address = bits(net), net[0].weight, net[0].weight.data_ptr()

    def act(m):
        m.weight.fill_(3)
        replace(m)

    with pytest.raises(nnw.InitializerError, match=r"(?i)nothing was changed|use freeze"):
        edit.apply(net, "0", act)
    assert bits(net) == before
    assert net[0].weight is weight
    assert weight.data_ptr() == address
    assert list(net[0]._parameters) == ["weight", "bias"]


def test_no_room_for_the_undo_copy_changes_nothing(monkeypatch):
    net = mlp()
    before = bits(net)
    real = torch.empty

    def full(*sizes, **kwargs):
        if kwargs.get("dtype") is torch.uint8 and sizes and isinstance(sizes[0], int) and sizes[0] > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return real(*sizes, **kwargs)

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(nnw.NNWidgetsError, match=r"undo copy of 192 B .* couldn't be made.*nothing was changed"):
        nnw.init(net, "0.weight", "normal_")
    monkeypatch.undo()
    assert bits(net) == before
    assert nnw.history(net).changes == ()
