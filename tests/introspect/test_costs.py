"""Costs: arithmetic against torch's counter and torchinfo, memory against what autograd was seen to keep."""

import copy

import pytest
import torch
import torchinfo
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import nnwidgets as nnw
from tests.support.line_counts import lines_run


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(8 * 5 * 5, 10),
    )  # fmt: skip


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=64, n_positions=16)
    return transformers.GPT2LMHeadModel(config)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x)[0]


MODELS = {
    "mlp": (mlp, torch.rand(2, 20)),
    "cnn": (cnn, torch.rand(4, 3, 12, 12)),
    "lstm": (lambda: nn.LSTM(8, 16, 2), torch.rand(5, 3, 8)),
    "attention": (Attention, torch.rand(3, 5, 16)),
    "gpt2": (gpt2, torch.zeros(2, 8, dtype=torch.int64)),
}
every_model = pytest.mark.parametrize(("make", "given"), MODELS.values(), ids=MODELS)


def seen_to_be_kept(net, given):
    """Bytes of the storages that torch's own hooks see saved, the model's own aside."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*net.parameters(), *net.buffers())}
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(given)
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


@every_model
def test_flops_are_those_of_torchs_own_counter_and_mult_adds_half_of_them(make, given):
    net = make()
    # torch's counter has no formula for its fused LSTM and attention on the CPU.
    with sdpa_kernel(SDPBackend.MATH):
        trace = nnw.trace(net, given)
        with FlopCounterMode(display=False) as counter:
            net(given)
    steps = 5 * 3 * 4 * 16
    expected = 2 * (steps * (8 + 16) + steps * (16 + 16)) if isinstance(net, nn.LSTM) else counter.get_total_flops()
    assert trace.flops == expected > 0
    assert trace.mult_adds == expected // 2 == trace.to_dict()["mult_adds"]


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_mult_adds_are_torchinfos_but_for_biases_and_norms_which_it_counts_as_products(name):
    make, given = MODELS[name]
    net = make().eval()
    added = 0

    def add(module, _args, output):
        nonlocal added
        if isinstance(module, nn.BatchNorm2d):
            added += module.weight.numel() * len(output)
        elif getattr(module, "bias", None) is not None:
            added += output.numel() if isinstance(module, nn.Conv2d) else output.numel() // 1

    for module in net.modules():
        module.register_forward_hook(add)
    theirs = torchinfo.summary(copy.deepcopy(net), input_data=given, verbose=0).total_mult_adds
    net(given)
    assert abs(theirs - (nnw.trace(net, given).mult_adds + added)) <= added


@every_model
def test_what_autograd_keeps_is_what_its_own_hooks_see_saved(make, given):
    net = make()
    torch.manual_seed(0)
    expected = seen_to_be_kept(net, given)
    torch.manual_seed(0)
    trace = nnw.trace(net, given)
    # Numbers of Python that were made tensors of 8 bytes don't pass by the hooks.
    assert expected <= trace.saved_bytes <= expected + 512
    outermost = [call for call in trace.calls if call.depth == 0]
    assert sum(call.saved_bytes for call in outermost) == trace.saved_bytes > 0


def test_memory_is_counted_once_for_the_call_that_kept_it_first():
    trace = nnw.trace(mlp(), torch.rand(2, 20))
    assert [(call.path, call.saved_bytes) for call in trace.calls] == [
        ("", 2 * 20 * 4 + 2 * 256 * 4), ("0", 2 * 20 * 4), ("1", 2 * 256 * 4), ("2", 0),
    ]  # fmt: skip


def test_a_view_keeps_all_of_its_storage():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x[:, :4])

    assert nnw.trace(Head(), torch.rand(3, 100)).saved_bytes == 3 * 100 * 4


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_part_keeps_its_inputs_alone(reentrant):
    if not reentrant and not hasattr(torch._C._autograd.SavedTensor, "unpack_hook"):
        pytest.skip("this torch doesn't tell of hooks, on which these inputs hang")

    class Checkpointed(nn.Module):
        def __init__(self, *, reentrant):
            super().__init__()
            self.first, self.inner, self.reentrant = (
                nn.Linear(8, 8),
                nn.Sequential(nn.Linear(8, 64), nn.ReLU()),
                reentrant,
            )

        def forward(self, x):
            return checkpoint(self.inner, self.first(x), use_reentrant=self.reentrant)

    calls = nnw.trace(Checkpointed(reentrant=reentrant), torch.rand(3, 8))
    assert calls.error is None
    # The input of `first`, and its output as the input of what is computed again.
    assert calls.saved_bytes == 2 * 3 * 8 * 4


def test_nothing_is_said_of_memory_where_gradients_are_off_or_the_forward_raised():
    with torch.no_grad():
        trace = nnw.trace(mlp(), torch.rand(2, 20))
    assert trace.saved_bytes is None
    assert {call.saved_bytes for call in trace.calls} == {None}
    assert nnw.trace(mlp(), torch.rand(2, 21)).saved_bytes is None
    frozen = mlp().requires_grad_(requires_grad=False)
    assert nnw.trace(frozen, torch.rand(2, 20)).saved_bytes == 0


def test_functional_transforms_in_a_forward_work_under_a_trace():
    class Gradient(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return torch.func.grad(lambda at: (at * self.weight).pow(3).sum())(x)

    trace = nnw.trace(Gradient(), torch.rand(3))
    assert trace.error is None
    assert trace.saved_bytes > 0


# ---- inputs of a size ----


@pytest.mark.parametrize(
    ("size", "shapes", "dtypes"),
    [
        ((2, 20), ((2, 20),), ("float32",)),
        ("2,20", ((2, 20),), ("float32",)),
        ("(2, 20):float64", ((2, 20),), ("float64",)),
        ([(2, 20)], ((2, 20),), ("float32",)),
    ],
)
def test_a_trace_makes_its_input_from_a_size(size, shapes, dtypes):
    net = mlp().to(getattr(torch, dtypes[0]))
    state = torch.get_rng_state()
    trace = nnw.trace(net, input_size=size)
    assert (trace.error, trace.calls[0].input_shapes, trace.calls[0].input_dtypes) == (None, shapes, dtypes)
    assert torch.equal(state, torch.get_rng_state())


def test_several_sizes_are_several_inputs_and_integers_are_zeros():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(2, 4)

        def forward(self, ids, more, *, scale=1):
            return self.embedding(ids) * more * scale

    trace = nnw.trace(Two(), input_size=["3:int64", (3, 4)], scale=2)
    assert (trace.error, trace.calls[0].input_dtypes) == (None, ("int64", "float32"))


def test_a_size_on_a_meta_model_runs_nothing_and_tells_all():
    with torch.device("meta"):
        net = mlp()
    trace = nnw.trace(net, input_size=(2, 20))
    assert (trace.flops, trace.saved_bytes) == (30_720, 2_208)


@pytest.mark.parametrize("size", ["2,x", (2.0, 3), "2,20:int65", (-1, 2), (10**9, 10**9), {"a": 1}])
def test_what_is_no_size_is_refused_before_anything_runs(size):
    net = mlp()
    net.register_forward_pre_hook(lambda *_: pytest.fail("it ran"))
    with pytest.raises(nnw.InvalidTargetError):
        nnw.trace(net, input_size=size)


# ---- costs by module ----


def bytes_of(tensors):
    return sum(tensor.nbytes for tensor in tensors)


def test_costs_are_told_by_module_with_what_a_forward_and_an_optimizer_take():
    net = cnn()
    adam = torch.optim.Adam(net.parameters())
    given = torch.rand(4, 3, 12, 12)
    net(given).sum().backward()
    adam.step()
    found = nnw.costs(net, given, optimizer=adam)
    total = found.total
    assert total.parameter_bytes == total.gradient_bytes == bytes_of(net.parameters())
    assert total.buffer_bytes == bytes_of(net.buffers())
    assert total.optimizer_bytes == bytes_of(each for state in adam.state.values() for each in state.values())
    trace = nnw.trace(net, given)
    assert (total.activation_bytes, total.flops, total.mult_adds) == (trace.saved_bytes, trace.flops, trace.mult_adds)
    by_path = {each.path: each for each in found.modules}
    assert {path: each.activation_bytes for path, each in by_path.items()} == {
        call.path: call.saved_bytes for call in trace.calls
    }
    assert by_path["1"].buffer_bytes == 2 * 8 * 4 + 8
    for name in ("parameter_bytes", "buffer_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "flops"):
        assert getattr(total, name) == sum(getattr(by_path[str(index)], name) for index in range(len(net)))
    assert found.missing_gradient_bytes == 0


def test_tied_memory_counts_once_in_a_sum_and_in_full_for_each_module_that_holds_it():
    net = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 50, bias=False))
    net[1].weight = net[0].weight
    adam = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, dtype=torch.int64)).sum().backward()
    adam.step()
    found = nnw.costs(net, optimizer=adam)
    of_one = 50 * 8 * 4
    for each in found.modules:
        assert (each.parameter_bytes, each.gradient_bytes, each.optimizer_bytes) == (of_one, of_one, 2 * of_one + 4)


def test_memory_shared_by_two_parameters_counts_once():
    net = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Linear(4, 8, bias=False))
    net[1].weight = nn.Parameter(net[0].weight.data.t())
    assert [each.parameter_bytes for each in nnw.costs(net).modules] == [128, 128, 128]


def test_a_layer_called_twice_or_from_elsewhere_costs_where_it_stands():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(8, 8)])
            self.also = self.layers[0]

        def forward(self, x):
            return self.also(self.also(x).relu())

    found = nnw.costs(Twice(), input_size=(2, 8))
    by_path = {each.path: each for each in found.modules}
    assert by_path["layers.0"].n_calls == 2
    assert by_path["layers"].mult_adds == by_path["also"].mult_adds == found.total.mult_adds == 2 * 2 * 8 * 8


def test_what_is_not_known_is_none_above_it_and_known_beside_it():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    net = nn.Sequential(nn.Linear(4, 4), Spectral())
    found = nnw.costs(net, input_size=(2, 4))
    assert [each.flops for each in found.modules] == [None, 2 * 2 * 4 * 4, None]
    assert {each.activation_bytes for each in nnw.costs(net).modules} == {None}


def test_gradients_to_come_are_told_and_those_of_frozen_parameters_are_not_to_come():
    net = mlp()
    net[0].requires_grad_(requires_grad=False)
    assert nnw.costs(net).missing_gradient_bytes == bytes_of(net[2].parameters())
    assert "aren't there yet, 10.28 kB" in str(nnw.costs(net))


def test_costs_of_a_forward_that_raises_say_where():
    with pytest.raises(nnw.InvalidTargetError, match="raised at 2: RuntimeError"):
        nnw.costs(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(5, 1)), input_size=(2, 4))


def test_costs_print_repeated_blocks_as_their_sum():
    net = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(6)])
    lines = str(nnw.costs(net, input_size=(2, 4))).splitlines()
    assert lines[0].split() == ["module", "class", "parameters", "activations", "flops", "mult-adds"]
    assert lines[2].split() == ["0", "…", "5", "6", "×", "Sequential", "480", "B", "224", "B", "384", "192"]
    assert lines[3].split()[:3] == ["0", "Linear", "80"]
    assert len(lines) < 10


def test_memory_is_told_as_it_was_before_the_forward():
    class Replacing(nn.Linear):
        def forward(self, x):
            made = super().forward(x)
            self.weight = nn.Parameter(self.weight.detach().clone())
            return made

    net = Replacing(4, 4)
    net(torch.ones(1, 4)).sum().backward()
    net.weight.grad = torch.ones(4, 4)
    assert nnw.costs(net, torch.ones(1, 4)).total.gradient_bytes == 4 * 4 * 4 + 4 * 4


def test_a_models_tensors_are_measured_once_for_its_tree_and_its_costs():
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(50)))
    nnw.costs(net)
    assert lines_run(lambda: nnw.costs(net)) < 1.5 * lines_run(lambda: nnw.tree(net))
