"""Initializers tried on stand-ins: what they do to the signal, and the model as it was."""

import gc
import hashlib
import math
import threading
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import nnwidgets as nnw
from nnwidgets.errors import InitializerError, InvalidTargetError, PathNotFoundError

WIDTH = 64


def deep(activation=nn.ReLU, n_layers=20, width=WIDTH):
    torch.manual_seed(0)
    net = nn.Sequential(*[each for _ in range(n_layers) for each in (nn.Linear(width, width), activation())])
    for layer in net[::2]:
        nn.init.zeros_(layer.bias)
    return net


def batch(n=128, width=WIDTH):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(1))


def digest(net):
    """All that a model is made of: bytes, addresses, versions, identities, hooks, flags, and the random generators."""
    told = []
    for name, module in net.named_modules():
        for key, value in sorted(vars(module).items()):
            if isinstance(value, dict | OrderedDict):
                told.append((name, key, [(each, id(held)) for each, held in value.items()]))
            else:
                told.append((name, key, id(value)))
    for name, tensor in (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)):
        raw = bytes(tensor.detach().contiguous().flatten().view(torch.uint8).tolist())
        told += [(name, hashlib.sha256(raw).hexdigest(), tensor.data_ptr(), tensor._version, tensor.requires_grad)]
        told += [(id(tensor.grad), id(tensor.grad_fn), tensor._backward_hooks and list(tensor._backward_hooks))]
    hooks = torch.nn.modules.module
    told.append((len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)))
    told.append(hashlib.sha256(bytes(torch.get_rng_state().tolist())).hexdigest())
    return told


class Twisted(nn.Module):
    """Ties, a norm's buffers, an embedding, a recurrent layer that keeps its weights in a list, a call made twice."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.inner = nn.Linear(8, 8)
        self.old = nn.utils.weight_norm(nn.Linear(8, 8))
        self.new = parametrizations.orthogonal(nn.Linear(8, 8))
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.words.weight
        self.kept = [self.inner.weight]

    def forward(self, x):
        seen = self.rnn(self.words(x))[0][:, -1]
        seen = self.drop(self.inner(self.inner(self.norm(seen)))) @ self.kept[0]
        return {"logits": self.out(self.new(self.old(seen))), "n": 3}


def squares(out):
    return out["logits"].square().mean()


def words():
    return torch.arange(24).remainder(11).view(6, 4)


@pytest.mark.parametrize("name", ["normal_ std=0.01", "normal_", "kaiming_normal_ nonlinearity=relu", "orthogonal_"])
def test_the_std_through_a_relu_net_is_that_of_he(name):
    net = deep()
    found = nnw.compare_inits(net, batch(128), inits=[name], seeds=2)
    variance = {"normal_ std=0.01": 1e-4, "normal_": 1.0, "orthogonal_": 1 / WIDTH}.get(name, 2 / WIDTH)
    factor = math.sqrt(WIDTH * variance / 2)  # He et al. 2015, equation 9
    stds = [band.mean for point, band in zip(found.points, found.candidates[0].forward, strict=True) if point.is_layer]
    rate = (stds[-1] / stds[0]) ** (1 / (len(stds) - 1))
    assert len(stds) == 20
    assert rate == pytest.approx(factor, rel=0.1)
    gradients = [
        band.mean for point, band in zip(found.points, found.candidates[0].backward, strict=True) if point.is_layer
    ]
    back = (gradients[0] / gradients[-1]) ** (1 / (len(gradients) - 1))
    assert back == pytest.approx(factor, rel=0.1)
    low, high = found.candidates[0].forward[0].low, found.candidates[0].forward[0].high
    assert low < stds[0] < high


THEORY = {
    (nn.ReLU, "constant_ val=0.1"): "stay alike",
    (nn.ReLU, "normal_ std=0.01"): "std falls to 0.0",
    (nn.ReLU, "normal_"): "std grows 5",
    (nn.ReLU, "xavier_normal_"): "std falls to 0.",
    (nn.ReLU, "kaiming_normal_"): "std keeps",
    (nn.ReLU, "orthogonal_"): "std falls to 0.",
    (nn.Tanh, "constant_ val=0.1"): "saturated",
    (nn.Tanh, "normal_ std=0.01"): "std falls to 0.0",
    (nn.Tanh, "normal_"): "activations are saturated",
    (nn.Tanh, "xavier_normal_"): "std keeps",
    (nn.Tanh, "orthogonal_"): "std keeps",
}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_each_gets_the_verdict_that_theory_gives(activation):
    wanted = {name: said for (kind, name), said in THEORY.items() if kind is activation}
    found = nnw.compare_inits(deep(activation), batch(), inits=list(wanted), seeds=1)
    for name, said in wanted.items():
        assert said in found[name].verdict
    good = "kaiming_normal_" if activation is nn.ReLU else "xavier_normal_"
    assert found.verdict.split(". ")[-1].startswith(f"{good} keeps ")


def test_what_is_the_same_for_all_samples_is_no_signal():
    net = nn.Sequential(*[each for _ in range(10) for each in (nn.Linear(WIDTH, WIDTH), nn.ReLU())])
    (found,) = nnw.compare_inits(net, batch(), inits=["normal_ std=0.001"]).candidates
    assert "std keeps" not in found.verdict
    assert "differs from sample to sample" in found.verdict


@pytest.mark.parametrize("make", [Twisted, lambda: Twisted().eval()])
def test_the_model_is_bit_for_bit_as_it_was_and_apply_gives_the_very_numbers(make):
    torch.manual_seed(0)
    net, x = make(), words()
    net(x)["logits"].sum().backward()
    net.inner.weight.register_hook(lambda gradient: gradient * 2)
    before, trainer = digest(net), torch.optim.SGD(net.parameters(), lr=0.1)
    inits = {
        "xavier": "xavier_uniform_",
        "recipe": {"inner.weight": "normal_ std=0.02", "Linear.bias": "ones_", "rnn": "uniform_"},
        "mine": lambda tensor: tensor.mul_(2).add_(torch.randn(tensor.shape)),
        "reset": {"rnn": "reset", "inner": "reset"},
        "now": None,
    }
    found = nnw.compare_inits(net, x, inits=inits, steps=2, loss=squares)
    assert digest(net) == before
    assert [each.error for each in found.candidates] == [None] * 5
    assert found["reset"].forward != found["now"].forward
    inits.pop("now")
    before_apply = nnw.compare_inits(net, x, inits=inits, seeds=1, loss=squares)
    for name in inits:
        change = found.apply(name)
        (after,) = nnw.compare_inits(net, x, inits=[None], loss=squares).candidates
        assert before_apply[name].forward == after.forward
        assert before_apply[name].backward == after.backward
        assert nnw.undo(net).label == change.label
    assert found.apply("recipe", seed=7, preview=True).is_preview
    assert digest(net)[-1] == before[-1]
    assert trainer.state == {}


class Stop(Exception):
    pass


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 4))


class Failing(nn.Module):
    """A part that raises where what comes in is large."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        if x.detach().abs().max() > 1e3:
            raise self.error
        return x


def test_what_raises_is_named_and_the_others_go_on():
    net, x = nn.Sequential(*plain(), Failing(ValueError("too large")), nn.Linear(4, 2)), torch.randn(8, 6)
    before = digest(net)
    found = nnw.compare_inits(
        net, x, inits={"huge": "constant_ val=1e9", "fine": "xavier_normal_"}, target=["3.weight"]
    )
    huge, fine = found.candidates
    assert (huge.error, huge.failed_in, huge.failed_at) == ("ValueError: too large", "forward", "4")
    assert huge.verdict.startswith("raised ValueError: too large in the forward at 4; std is ")
    assert fine.error is None
    assert nnw.compare_inits(net, x.double(), inits=["normal_", "zeros_"], seeds=1).verdict.startswith(
        "None can be judged. normal_: raised RuntimeError: "
    )
    assert huge.forward[-1] is None
    assert fine.forward[-1] is not None
    assert digest(net) == before


@pytest.mark.parametrize("stage", ["forward", "backward", "step", "progress", "initializer"])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, Stop])
def test_an_interrupt_leaves_every_bit_and_no_hook(stage, raised):
    def raising(*_):
        raise raised

    net = nn.Sequential(*plain(), Failing(raised())) if stage == "forward" else plain()
    loss = torch.randn(8, 4)
    options = {
        "inits": ["constant_ val=1e6" if stage == "forward" else "normal_"],
        "loss": loss,
        "seeds": 2,
        "steps": 2,
    }
    if stage == "backward":
        net[0].weight.register_hook(raising)
    elif stage == "step":
        options["optimizer"] = lambda parameters: Broken(parameters, raised)
    elif stage == "progress":
        options["progress"] = lambda done, _: raising() if done else None
    elif stage == "initializer":
        options["inits"] = [lambda tensor: (tensor.fill_(3), raising())[0]]
    net[3].weight.grad = torch.ones(4, 5)
    before = digest(net)
    if raised is Stop and stage in ("forward", "backward", "step"):
        (found,) = nnw.compare_inits(net, torch.randn(8, 6), **options).candidates
        assert (found.failed_in, found.error) == (stage, "Stop: ")
    else:
        with pytest.raises(InitializerError if raised is Stop and stage == "initializer" else raised):
            nnw.compare_inits(net, torch.randn(8, 6), **options)
    assert digest(net)[:-1] == before[:-1]  # but for the generator, which the input was drawn from
    assert not nnw.history(net).changes


class Broken(torch.optim.SGD):
    def __init__(self, parameters, error):
        super().__init__(parameters, lr=0.1)
        self.error = error

    def step(self):
        super().step()
        raise self.error


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"inits": ["kaimin_normal_"]}, InitializerError, "Did you mean kaiming_normal_"),
        ({"inits": {"mine": "normal_ sd=1"}}, InitializerError, "mine: normal_ has no parameter 'sd'"),
        (
            {"inits": ["normal_", "orthogonal_"], "target": "Linear.bias"},
            InitializerError,
            "orthogonal_ can't fill 0.bias",
        ),
        ({"inits": ["normal_"], "target": "Linar"}, PathNotFoundError, "normal_: No module or tensor at 'Linar'"),
        ({"inits": [3]}, InitializerError, "3: 3 is no candidate. Candidates are None,"),
        ({"inits": []}, InvalidTargetError, "nothing to compare"),
        ({"inits": "normal_"}, InvalidTargetError, "expected a mapping or a list"),
        ({"inits": ["normal_"], "seeds": 0}, InvalidTargetError, "seeds is 0"),
        ({"inits": ["normal_"], "steps": 3}, InvalidTargetError, "needs a loss"),
        ({"inits": ["normal_"], "steps": 1, "batches": [1]}, InvalidTargetError, "A batch is 1"),
        ({"inits": ["normal_"], "batches": []}, InvalidTargetError, "batches is given and steps is 0"),
        ({"inits": ["normal_"], "optimizer": torch.optim.Adam}, InvalidTargetError, "optimizer is given and steps"),
        ({"inits": ["normal_"], "loss": "mse"}, InvalidTargetError, "The loss is 'mse'"),
        ({"inits": [{"0": "normal_", "9": None}, "2.weight"]}, InitializerError, "No initializer is named"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_runs(options, error, said):
    class Counting(nn.Sequential):
        n_calls = 0

        def forward(self, x):
            type(self).n_calls += 1
            return super().forward(x)

    net = Counting(*plain())
    with pytest.raises(error, match=".*".join(said.split("…")).replace("(", r"\(")):
        nnw.compare_inits(net, torch.randn(8, 6), **options)
    assert Counting.n_calls == 0


def test_a_loss_without_a_scalar_is_told_and_an_output_without_floats_is_compared_forward_alone():
    net, x = plain(), torch.randn(8, 6)
    (found,) = nnw.compare_inits(net, x, inits=["normal_"], loss=lambda out: out).candidates
    assert found.failed_in == "loss"
    assert "expected one element" in found.error
    picks = nn.Sequential(*plain(), Picking())
    for context in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with context():
            (found,) = nnw.compare_inits(picks, x, inits=["normal_"]).candidates
        assert found.error is None
        assert found.forward[0].mean > 1
        assert found.backward == (None,) * 4
    with torch.inference_mode(), pytest.raises(InvalidTargetError, match="inference_mode"):
        nnw.compare_inits(net, x, inits=["normal_"], loss="noise")
    assert not picks[0].weight.is_inference()


class Picking(nn.Module):
    def forward(self, x):
        return x.argmax(1)


def test_frozen_weights_stay_unless_they_are_named_and_biases_do():
    net, x = plain(), torch.randn(8, 6)
    net[0].weight.requires_grad_(False)
    assert nnw.compare_inits(net, x, inits=["normal_"]).targets == ("3.weight",)
    assert nnw.compare_inits(net, x, inits=["normal_"], target="0").targets == ("0.weight", "0.bias")
    assert nnw.compare_inits(Twisted(), words(), inits=["normal_"]).targets == (
        "rnn.weight_ih_l0", "rnn.weight_hh_l0", "inner.weight", "old.weight_v",
        "new.parametrizations.weight.original",
    )  # fmt: skip


def test_a_short_training_goes_as_the_same_by_hand():
    net, x, y = plain(), torch.randn(32, 6), torch.randint(4, (32,))
    found = nnw.compare_inits(net, x, inits=["xavier_normal_"], loss=y, seeds=1, steps=5)
    adam = nnw.compare_inits(
        net, x, inits=["xavier_normal_"], seeds=1, steps=4, batches=[(x[:16], y[:16]), (x[16:], y[16:])],
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1),
    )  # fmt: skip
    found.apply("xavier_normal_")
    trainer, losses, ratios = torch.optim.SGD(net.parameters(), lr=0.1), [], []
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(x), y)
        trainer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        old = net[0].weight.detach().clone()
        trainer.step()
        ratios.append(math.log10(((net[0].weight - old).std() / old.std()).item()))
    assert [band.mean for band in found.candidates[0].losses] == losses
    (ratio,) = [each for each in found.candidates[0].update_ratios if each.path == "0.weight"]
    assert ratio.log10 == pytest.approx(ratios, abs=1e-4)
    assert len(adam.candidates[0].losses) == 4


def test_an_optimizer_of_the_user_s_remembers_what_it_did_and_shuffled_batches_move_no_generator():
    net, x, y = plain(), torch.randn(32, 6), torch.randint(4, (32,))
    adam = torch.optim.Adam(net.parameters())
    options = {"inits": ["xavier_normal_"], "loss": y, "seeds": 2, "steps": 2, "optimizer": lambda _: adam}
    (fresh,) = nnw.compare_inits(net, x, **options).candidates
    assert (fresh.error, len(adam.state)) == (None, 0)
    nn.functional.cross_entropy(net(x), y).backward()
    adam.step()
    before = {id(value): state["exp_avg"].clone() for value, state in adam.state.items()}
    (found,) = nnw.compare_inits(net, x, **options).candidates
    assert "has taken steps, expected a new one" in found.error
    for value, state in adam.state.items():
        assert (state["step"].item(), torch.equal(state["exp_avg"], before[id(value)])) == (1, True)
    pairs = torch.utils.data.TensorDataset(x, y)
    told = digest(net)
    options = {"inits": ["xavier_normal_"], "seeds": 1, "steps": 3}
    nnw.compare_inits(net, x, batches=torch.utils.data.DataLoader(pairs, 8, shuffle=True), **options)
    assert digest(net) == told


def test_apply_needs_the_model_and_a_candidate_that_changes_something():
    net, x = plain(), torch.randn(8, 6)
    found = nnw.compare_inits(net, x, inits={"now": None, "xavier": "xavier_normal_"})
    with pytest.raises(InvalidTargetError, match="nothing to fill"):
        found.apply("now")
    with pytest.raises(InvalidTargetError, match="Did you mean 'xavier'"):
        found.apply("xavir")
    del net
    gc.collect()
    with pytest.raises(InvalidTargetError, match="is gone"):
        found.apply("xavier")


def test_progress_tells_runs_and_no_more_than_one_copy_is_made(monkeypatch):
    made = []
    empty = torch.empty

    def counting(*args, **kwargs):
        found = empty(*args, **kwargs)
        made.append(found.untyped_storage().nbytes() if found.dtype is torch.uint8 else 0)
        return found

    net, told = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256)), []
    monkeypatch.setattr(torch, "empty", counting)
    nnw.compare_inits(
        net, torch.randn(4, 256), inits=["normal_", "zeros_", None], seeds=2, progress=lambda *seen: told.append(seen)
    )
    assert sum(made) == 2 * 256 * 256 * 4
    assert sorted(set(told)) == [(done, 4) for done in range(5)]


def test_who_runs_or_writes_the_model_in_another_thread_meanwhile_leaves_it_as_it_was():
    net, x = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, 2)), batch()
    net(x).sum().backward()
    nnw.init(net[0], "weight", "zeros_")
    tensors = [*net.parameters(), *net.buffers()]
    before, grads = [each.clone() for each in tensors], [each.grad for each in tensors]
    passed_norm, go_on, errors = threading.Event(), threading.Event(), []

    def other():
        try:
            nnw.activations(net[:2], x, loss="noise")  # another model, of the same modules
            nnw.undo(net[0])
            nnw.redo(net[0])
        except Exception as error:
            errors.append(error)

    def in_the_norm(*_):
        if threading.current_thread() is thread:
            passed_norm.set()
            go_on.wait()
        else:  # the comparison has noted what the other thread's forward had changed, and that puts it back first
            go_on.set()
            thread.join(0.1)

    def begun(tensor):
        if not thread.ident:
            thread.start()
            passed_norm.wait(0.1)

    thread = threading.Thread(target=other)
    with net[1].register_forward_hook(in_the_norm):
        nnw.compare_inits(net, x, inits=[begun, "xavier_uniform_"], seeds=1)
        thread.join()
    assert not errors
    assert all(map(torch.equal, tensors, before))
    assert all(each.grad is own for each, own in zip(tensors, grads, strict=True))


def test_a_gradient_that_is_the_same_everywhere_arrives():
    net = nn.Sequential(nn.Linear(20, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    x = torch.randn(64, 20)
    for loss in (torch.mean, ("l1_loss", torch.full((64, 1), 100.0))):
        (found,) = nnw.compare_inits(net, x, inits=["kaiming_normal_"], loss=loss).candidates
        assert "no gradient arrives" not in found.verdict
        assert found.backward[-1].mean < 1e-9
        assert "; the gradient at 0 is " in found.verdict
    (found,) = nnw.compare_inits(net, x, inits=["zeros_"], target="Linear.weight").candidates
    assert "no gradient arrives at 1 of 2 layers" in found.verdict
    assert [band.n_zero for band in found.backward] == [1, 1, 0]


@pytest.mark.parametrize(
    "wrap", [parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.weight_norm, nn.utils.spectral_norm]
)
def test_a_layer_whose_weight_is_made_of_others_is_a_layer(wrap):
    net = nn.Sequential(*[each for _ in range(6) for each in (wrap(nn.Linear(WIDTH, WIDTH)), nn.Tanh())])
    found = nnw.compare_inits(net, batch(), inits=["normal_ std=0.01"], seeds=1)
    assert [(each.path, each.is_layer) for each in found.points] == [(str(at), not at % 2) for at in range(12)]
    assert "the last of 6" in found.verdict


def test_what_a_model_ends_in_and_a_softmax_are_no_flaw():
    for last in (nn.Softmax(-1), nn.Sigmoid()):
        net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3), last)
        found = nnw.compare_inits(net, 30 * batch(64, 20), inits=["kaiming_normal_", "xavier_normal_"], seeds=1)
        assert found.verdict.startswith("All keep the signal")
    net = nn.Sequential(*[each for _ in range(5) for each in (nn.Linear(64, 64), nn.Tanh())], nn.Linear(64, 9))
    found = nnw.compare_inits(net, 8 * batch(), inits=["xavier_normal_ gain=4", "xavier_normal_ gain=5"], seeds=1)
    assert "5 of 5 activations are saturated" in found.verdict
    assert found.verdict.startswith("None keeps the signal without a flaw. ")


def test_one_layer_tells_nothing_of_depth_and_weights_of_other_names_are_seen_at_all_calls():
    found = nnw.compare_inits(nn.Sequential(nn.Linear(20, 3)), batch(64, 20), inits=["normal_ std=1e-9", "normal_"])
    assert found.verdict.startswith("There is one layer only, which tells nothing of depth: normal_ std=1e-9 gives a")
    net = nn.Sequential(*[Named(WIDTH) for _ in range(8)], nn.Linear(WIDTH, 5))
    found = nnw.compare_inits(net, batch(), inits=["normal_ std=0.01"])
    assert "per call" in found.verdict
    assert "the last of 9" in found.verdict


class Named(nn.Module):
    """A weight under a name of its own."""

    def __init__(self, width):
        super().__init__()
        self.mine = nn.Parameter(torch.eye(width))

    def forward(self, x):
        return torch.tanh(x @ self.mine.T)


def test_norms_are_no_weights_that_units_of_could_be_alike():
    net = nn.Sequential(*[each for _ in range(3) for each in (nn.Linear(64, 64, bias=False), nn.LayerNorm(64))])
    (found,) = nnw.compare_inits(net, batch(), inits=["constant_ val=0.1"], loss=lambda out: out[:, 0].sum()).candidates
    assert " of 6 " not in found.verdict


def test_the_update_ratio_of_float64_goes_below_the_rounding_of_float32():
    net, x = plain().double(), torch.randn(32, 6).double()
    options = {"loss": torch.randint(4, (32,)), "seeds": 1, "steps": 1}
    ratios = []
    for rate in (1e-3, 1e-12):
        (found,) = nnw.compare_inits(
            net,
            x,
            inits=["xavier_normal_"],
            optimizer=lambda each, rate=rate: torch.optim.SGD(each, lr=rate),
            **options,
        ).candidates
        ratios.append(found.update_ratios[0].log10[0])
    assert ratios[0] - ratios[1] == pytest.approx(9, abs=0.1)
