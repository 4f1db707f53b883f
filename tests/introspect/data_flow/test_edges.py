"""Which calls and operators take what others gave."""

import dataclasses
import gc
import weakref

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.flow_by_autograd import edges_by_autograd, edges_by_trace


def told(trace):
    """Edges as text: who gave, who took, and through what."""

    def name(end):
        if end >= 0:
            call = trace.calls[end]
            return call.path + (f"#{call.call_index}" if call.call_index else "")
        operator = trace.operators[~end]
        return f"{operator.kind} {operator.name}".strip() if operator.kind != "operator" else operator.name

    return [
        f"{name(edge.source)} > {name(edge.target)}" + "".join(f" /{each}" for each in edge.through)
        for edge in trace.edges
    ]


class Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.norm, self.inner, self.drop = nn.LayerNorm(width), nn.Linear(width, width), nn.Dropout(0.5)

    def forward(self, x):
        return x + self.drop(self.inner(self.norm(x)))


class By(nn.Module):
    """A forward given as a function of the module."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *args, **kwargs):
        return self.run(self, *args, **kwargs)


def line():
    return nn.Linear(4, 4)


def test_a_residual_is_an_addition_of_both_ways():
    found = nnw.trace(nn.Sequential(line(), Block()), torch.randn(2, 4))
    assert told(found) == [
        "input 0 > 0", "0 > 1.norm", "1.norm > 1.inner", "1.inner > 1.drop", "0 > add", "1.drop > add", "add > output",
    ]  # fmt: skip
    (edge,) = [each for each in found.edges if each.target >= 0 and found.calls[each.target].path == "1.norm"]
    assert (edge.shape, edge.dtype) == ((2, 4), "float32")
    (add,) = [each for each in found.operators if each.kind == "operator"]
    assert found.calls[add.call].path == "1"


def test_what_only_moves_values_is_told_on_the_way():
    def forward(self, x):
        q, k = self.a(x).view(2, 2, 2).chunk(2, dim=-1)
        return self.b(torch.cat([k.transpose(0, 1).contiguous(), q], dim=-1).reshape(-1, 4))

    found = nnw.trace(By(forward, a=line(), b=line()), torch.randn(2, 4))
    assert told(found) == [
        "input 0 > a", "a > cat /view /split /transpose /clone", "a > cat /view /split", "cat > b /view", "b > output",
    ]  # fmt: skip


@dataclasses.dataclass
class Given:
    hidden: torch.Tensor
    cache: dict


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return Given(x * self.weight, {"kept": (x + self.weight,)})


def test_outputs_inside_containers_are_followed_and_inputs_have_their_names():
    def forward(self, x, *, mask, both):
        made = self.a(x + both[1])
        return {"y": self.b(made.hidden), "z": self.c(made.cache["kept"][0] * mask)}

    net = By(forward, a=Both(), b=line(), c=nn.ReLU())
    found = nnw.trace(net, torch.randn(2, 4), mask=torch.ones(4), both=[torch.ones(4), torch.ones(4)])
    assert told(found) == [
        "input 0 > add", "input both[1] > add", "add > a", "a > b", "a > mul", "input mask > mul", "mul > c",
        "b > output 0", "c > output 1",
    ]  # fmt: skip
    assert [each.name for each in found.operators if each.kind == "input"] == ["0", "mask", "both[0]", "both[1]"]


def test_a_module_called_twice_is_two_nodes_and_one_without_work_stands_between():
    def forward(self, x):
        return self.a(self.same(self.a(x)))

    found = nnw.trace(By(forward, a=line(), same=nn.Identity()), torch.randn(2, 4))
    assert told(found) == ["input 0 > a", "a > same", "same > a#1", "a#1 > output"]


def test_writing_in_place_hands_on_both_what_was_there_and_what_was_written():
    def forward(self, x):
        kept = torch.zeros(4, 4)
        kept[:2] = self.a(x)
        kept[2:] = self.b(x)
        y = self.c(kept)
        y += 1
        return y.relu_()

    found = nnw.trace(By(forward, a=line(), b=line(), c=line()), torch.randn(2, 4))
    assert told(found) == [
        "input 0 > a", "a > copy", "input 0 > b", "copy > copy /slice", "b > copy", "copy > c", "c > add", "add > relu",
        "relu > output",
    ]  # fmt: skip


def test_memory_that_is_overwritten_has_nothing_of_what_it_held():
    def forward(self, x):
        y = self.a(x)
        y.copy_(self.b(x))
        return self.c(y)

    with torch.no_grad():
        found = nnw.trace(By(forward, a=line(), b=line(), c=line()), torch.randn(2, 4))
    assert told(found) == ["input 0 > a", "input 0 > b", "b > copy", "copy > c", "c > output"]


def test_what_is_made_of_a_shape_alone_takes_nothing():
    def forward(self, x):
        y = self.a(x)
        return self.b(torch.zeros_like(y) + torch.rand_like(y) + torch.arange(4))

    assert told(nnw.trace(By(forward, a=line(), b=line()), torch.randn(2, 4))) == ["input 0 > a", "b > output"]


def test_integers_and_masks_are_followed_too():
    def forward(self, ids):
        mask = (ids > 1).unsqueeze(-1)
        return self.b(self.a(ids).masked_fill(mask, 0.0))

    found = nnw.trace(By(forward, a=nn.Embedding(5, 4), b=line()), torch.arange(3))
    assert told(found) == [
        "input 0 > gt", "input 0 > a", "a > masked_fill", "gt > masked_fill /unsqueeze", "masked_fill > b",
        "b > output",
    ]  # fmt: skip


def test_what_a_call_reads_besides_its_arguments_is_an_edge_too():
    class Reads(nn.Module):
        def __init__(self, kept):
            super().__init__()
            self.kept = kept

        def forward(self, x):
            return x + self.kept[0]

    kept = []

    def forward(self, x):
        kept.append(self.a(x))
        return self.b(self.c(x))

    found = nnw.trace(By(forward, a=line(), b=Reads(kept), c=line()), torch.randn(2, 4))
    assert told(found) == ["input 0 > a", "input 0 > c", "c > b", "a > b", "b > output"]


def test_a_cache_in_a_buffer_hands_on_and_batch_statistics_do_not():
    def forward(self, x):
        return self.norm(self.norm(x))

    found = nnw.trace(By(forward, norm=nn.BatchNorm1d(4)), torch.randn(8, 4))
    assert told(found) == ["input 0 > norm", "norm > norm#1", "norm#1 > output"]

    def cached(self, x):
        self.cache[:2] = self.a(x)
        return self.b(self.cache)

    net = By(cached, a=line(), b=line())
    net.register_buffer("cache", torch.zeros(4, 4))
    with torch.no_grad():
        found = nnw.trace(net, torch.randn(2, 4))
    assert told(found) == ["input 0 > a", "a > copy", "copy > b", "b > output"]


def test_a_forward_that_raises_has_the_edges_up_to_there():
    found = nnw.trace(nn.Sequential(line(), nn.ReLU(), nn.Linear(5, 2), nn.Tanh()), torch.randn(2, 4))
    assert found.failed_at == "2"
    assert told(found) == ["input 0 > 0", "0 > 1", "1 > 2"]


def test_weights_made_of_others_are_no_nodes_of_their_own():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(line()), nn.ReLU())
    assert told(nnw.trace(net, torch.randn(2, 4))) == ["input 0 > 0", "0 > 1", "1 > output"]


@pytest.mark.parametrize("how", ["compiled", "checkpointed", "checkpointed reentrant", "autocast", "no gradients"])
def test_however_it_runs_the_edges_are_the_same(how):
    net, x = nn.Sequential(line(), Block(), line()), torch.randn(2, 4, requires_grad=True)
    plain = told(nnw.trace(net, x))
    if how == "compiled":
        found = nnw.trace(torch.compile(net), x)
        assert [each.replace("_orig_mod.", "") for each in told(found)] == plain
        return
    if how.startswith("checkpointed"):
        inner = net[1]
        inner.run = inner.forward
        is_reentrant = "reentrant" in how
        inner.forward = lambda x: torch.utils.checkpoint.checkpoint(inner.run, x, use_reentrant=is_reentrant)
    with torch.autocast("cpu", enabled=how == "autocast"), torch.set_grad_enabled(how != "no gradients"):
        found = told(nnw.trace(net, x))
    assert [each.replace(" /to", "") for each in found] == plain


def test_no_tensor_of_the_forward_lives_on():
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            made = x * 2
            seen.append((weakref.ref(made), weakref.ref(made.untyped_storage())))
            return made

    found = nnw.trace(nn.Sequential(line(), Watched(), Block()), torch.randn(2, 4))
    gc.collect()
    assert found.edges
    assert [reference() for pair in seen for reference in pair] == [None, None]


def test_a_reused_piece_of_memory_is_no_edge():
    def forward(self, x):
        for _ in range(50):
            self.a(x)
        return self.b(torch.randn(2, 4))

    with torch.no_grad():
        found = nnw.trace(By(forward, a=line(), b=line()), torch.randn(2, 4))
    assert [each for each in told(found) if each.endswith("> b")] == []


class Left(nn.Module):
    def forward(self, x):
        return x[:, :2]


class Right(nn.Module):
    def forward(self, x):
        return x[:, 2:]


def test_calls_that_give_views_of_one_tensor_stand_before_what_takes_their_own_view():
    def forward(self, x):
        base = self.base(x)
        left, right = self.left(base), self.right(base)
        return self.a(left) + self.b(right) + self.c(base)

    net = By(forward, base=line(), left=Left(), right=Right(), a=nn.Linear(2, 4), b=nn.Linear(2, 4), c=line())
    assert told(nnw.trace(net, torch.randn(2, 4)))[:6] == [
        "input 0 > base", "base > left", "base > right", "left > a", "right > b", "a > add",
    ]  # fmt: skip
    assert "base > c" in told(nnw.trace(net, torch.randn(2, 4)))


def test_operators_that_give_nothing_back_or_write_to_what_they_are_given_are_edges_too():
    def forward(self, x):
        a, b = self.a(x), self.b(x)
        torch._foreach_add_([a], [b])
        out = torch.add(a, 1)
        torch.mul(b, 2, out=out)
        a.zero_()
        return self.c(out), self.d(a)

    with torch.no_grad():
        found = told(nnw.trace(By(forward, a=line(), b=line(), c=line(), d=line()), torch.randn(2, 4)))
    assert found == [
        "input 0 > a", "input 0 > b", "a > foreach_add", "b > foreach_add", "foreach_add > add", "b > mul", "mul > c",
        "c > output 0", "d > output 1",
    ]  # fmt: skip


class Strict(torch.Tensor):
    """Allows the functions that its user's code calls, and no others."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func.__name__ not in {"linear", "add"}:
            raise ValueError(f"not for {func.__name__}")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_no_code_of_a_tensors_class_runs_because_it_is_followed():
    x = torch.randn(2, 4).as_subclass(Strict)
    found = nnw.trace(By(lambda self, x: self.b(torch.add(self.a(x), 1)), a=line(), b=line()), x)
    assert found.error is None
    assert told(found) == ["input 0 > a", "a > add", "add > b", "b > output"]


def test_nested_tensors_are_followed_as_far_as_they_can_be_and_end_no_trace():
    def forward(self, x):
        nested = torch.nested.as_nested_tensor([self.a(x), self.a(x[:1])])
        return [self.b(part) for part in nested.unbind()], self.c(nested)

    found = nnw.trace(By(forward, a=line(), b=line(), c=nn.Identity()), torch.randn(2, 4))
    assert found.error is None
    assert len(found.calls) == 6


def test_layers_of_the_tutorials_nets_are_those_of_autograd():
    def chimera(self, x):
        return self.tail(self.blocks(x) + x)

    blocks = nn.Sequential(*(nn.Sequential(line(), nn.ReLU(), line(), nn.ReLU()) for _ in range(4)))
    shared = line()
    nets = [
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)),
        By(chimera, blocks=blocks, tail=nn.Sequential(line(), nn.Sigmoid())),
        nn.Sequential(line(), nn.ReLU(), shared, nn.ReLU(), shared),
        nn.Sequential(*(Block() for _ in range(5))),
    ]
    for net in nets:
        x = torch.randn(2, 4, requires_grad=True)
        key = {"x": x} if isinstance(net, By) else {"input": x}
        assert set(edges_by_trace(nnw.trace(net, **key))) == edges_by_autograd(net, key)
