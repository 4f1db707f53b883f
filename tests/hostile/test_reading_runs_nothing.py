"""Reading runs no code of the user's and changes nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import nnwidgets as nnw
from nnwidgets.introspect import LiveModel, get
from nnwidgets.introspect.module_tree.folding import Alikes
from nnwidgets.introspect.patterns import match


class Trap(BaseException):
    """Raised by any code of the user's that runs; not an Exception, so that no guard hides it."""


def spring(*_args, **_kwargs):
    raise Trap


class HostileMeta(type):
    armed = False
    __hash__ = None

    def __eq__(cls, other):
        if HostileMeta.armed:
            raise Trap
        return cls is other

    def __getattribute__(cls, name):
        if HostileMeta.armed:
            raise Trap
        return super().__getattribute__(name)


class HostileValue(metaclass=HostileMeta):
    __hash__ = __eq__ = __len__ = __bool__ = __iter__ = __repr__ = __str__ = spring


class HostileDict(dict):
    armed = False
    __getitem__ = get = items = keys = values = __iter__ = __len__ = __bool__ = __contains__ = spring


class HostileKey:
    armed = False

    def __hash__(self):
        if HostileKey.armed:
            raise Trap
        return 1

    def __eq__(self, other):
        if HostileKey.armed:
            raise Trap
        return self is other

    __repr__ = __str__ = spring


class HostileText(str):
    __slots__ = ()
    armed = False

    def __hash__(self):
        if HostileText.armed:
            raise Trap
        return super().__hash__()

    __str__ = __repr__ = __format__ = spring


class Hostile(nn.Linear):  # noqa: PLW1641 - its hash is a trap below
    armed = False

    @property
    def __class__(self):
        if Hostile.armed:
            raise Trap
        return Hostile

    @property
    def __dict__(self):
        if Hostile.armed:
            raise Trap
        return nn.Module.__dict__["__dict__"].__get__(self)

    def __getattribute__(self, name):
        if Hostile.armed:
            raise Trap
        return super().__getattribute__(name)

    def __getattr__(self, name):
        if Hostile.armed:
            raise Trap
        return super().__getattr__(name)

    @property
    def surprise(self):
        raise Trap

    def __eq__(self, other):
        raise Trap

    __hash__ = __len__ = __bool__ = __iter__ = __repr__ = extra_repr = named_modules = parameters = spring


@pytest.fixture
def armed():
    switches = (HostileMeta, HostileDict, HostileKey, HostileText, Hostile)

    def arm(*, on):
        for switch in switches:
            type.__setattr__(switch, "armed", on)

    yield arm
    arm(on=False)


def hostile_model():
    instance = nn.Module.__dict__["__dict__"].__get__
    net = nn.Sequential(nn.Linear(2, 3))
    bad = Hostile(2, 3)
    own = instance(bad)
    own["value"] = HostileValue()
    own["registry"] = HostileDict(a=torch.zeros(1))
    own["ordered"] = OrderedDict({HostileKey(): torch.zeros(1)})
    own["_modules"] = HostileDict(inner=nn.ReLU(), outer=bad)
    own["_parameters"] = OrderedDict(own["_parameters"])
    net._modules["bad"] = bad
    net._modules[HostileKey()] = nn.ReLU()
    net._modules[HostileText("text")] = nn.Linear(1, 1)
    return net


def test_no_code_of_a_hostile_model_runs(armed):
    net = hostile_model()
    armed(on=True)
    tree = nnw.tree(net)
    paths = [node.path for node in tree.nodes]
    ties = nnw.ties(net)
    text = str(tree)
    matched = match(tree, "**.weight").paths
    tensors = list(LiveModel(net).tensors)
    weight = get(net, "bad.weight")
    Alikes(tree)
    armed(on=False)
    assert paths == ["", "0", "bad", "bad.inner", "bad.outer", "[2]", "text"]
    assert matched == ("0.weight", "bad.weight", "text.weight")
    assert {'bad.registry["a"]', "bad.ordered[0]"} <= set(tensors)
    assert weight.shape == (3, 2)
    assert ties == tree.ties
    assert "Hostile" in text


def test_no_torch_function_of_a_tensor_class_runs():
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *args, **kwargs):
            raise Trap

        shape = dtype = device = grad = property(spring)
        data_ptr = stride = untyped_storage = spring

    net = nn.Module()
    net.loud = torch.zeros(2, 3).as_subclass(Loud)
    entry = nnw.tree(net).find("loud")
    assert (entry.shape, entry.dtype, entry.class_name, entry.problem) == ((2, 3), "float32", "Loud", None)


def test_no_torch_dispatch_of_a_tensor_class_runs():
    class Wrapper(torch.Tensor):
        @staticmethod
        def __new__(cls, inner, policy):
            made = torch.Tensor._make_wrapper_subclass(
                cls, inner.shape, dtype=inner.dtype, dispatch_sizes_strides_policy=policy
            )
            made.inner = inner
            return made

        @classmethod
        def __torch_dispatch__(cls, *args, **kwargs):
            raise Trap

    net = nn.Module()
    inner = torch.zeros(2, 3)
    net.one, net.two, net.three = (Wrapper(inner, policy) for policy in (None, "strides", "sizes"))
    tree = nnw.tree(net)
    assert tree.find("one").shape == (2, 3)
    assert tree.find("three").shape is None
    assert "Python code of its own" in tree.find("three").problem
    assert [group.members for group in tree.ties] == [("one", "two", "three")]


def test_instance_attributes_of_a_parameter_are_not_called():
    net = nn.Linear(2, 2)
    net.weight.data_ptr = net.weight.is_contiguous = net.weight.stride = spring
    assert nnw.tree(net).find("weight").shape == (2, 2)
    assert nnw.ties(net) == ()


def test_modes_of_the_user_see_nothing():
    class Functions(TorchFunctionMode):
        def __torch_function__(self, *args, **kwargs):
            raise Trap

    class Dispatches(TorchDispatchMode):
        def __torch_dispatch__(self, *args, **kwargs):
            raise Trap

    net = nn.Linear(2, 2)
    net.coo = torch.eye(2).to_sparse()
    with Functions(), Dispatches():
        tree = nnw.tree(net)
        ties = nnw.ties(net)
    assert len(tree.tensors) == 3
    assert ties == ()


def test_reading_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.LazyLinear(2))
    net[1].eval()
    net(torch.randn(4, 2)).sum().backward()
    handles = [net[0].register_forward_hook(lambda *args: None)]

    def state():
        return (
            [module.training for module in net.modules()],
            [tensor._version for tensor in (*net.parameters(), *net.buffers())],
            [None if p.grad is None else (p.grad.data_ptr(), p.grad._version) for p in net.parameters()],
            {name: tensor.clone().tolist() for name, tensor in net.state_dict().items()},
            [list(module.__dict__) for module in net.modules()],
            len(net[0]._forward_hooks),
            torch.get_rng_state().tolist(),
        )

    before = state()
    str(nnw.tree(net))
    nnw.ties(net)
    assert state() == before
    handles[0].remove()


def test_the_gradient_of_a_tensor_that_is_no_leaf_is_not_asked_for(recwarn):
    net = nn.Linear(2, 2)
    net.product = net.weight * 2
    assert nnw.tree(net).find("product").has_grad is False
    assert not recwarn.list


def test_the_garbage_collector_is_left_as_it_was():
    import gc

    gc.disable()
    try:
        nnw.tree(nn.Linear(1, 1))
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(nnw.InvalidTargetError):
        nnw.tree(3)
    assert gc.isenabled()


def test_a_model_that_another_thread_changes_is_read():
    net = nn.Sequential(*[nn.Linear(1, 1) for _ in range(50)])
    stop = threading.Event()

    def churn():
        index = 0
        while not stop.is_set():
            net._modules[f"extra{index % 97}"] = nn.ReLU()
            net._modules.pop(f"extra{(index + 40) % 97}", None)
            setattr(net[0], f"attribute{index % 31}", torch.zeros(1))
            net[0].__dict__.pop(f"attribute{(index + 13) % 31}", None)
            index += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            tree = nnw.tree(net)
            assert sum(node.class_name == "Linear" for node in tree.nodes) == 50
    finally:
        stop.set()
        thread.join()


def test_a_tree_keeps_no_model_alive():
    import gc
    import weakref

    net = nn.Sequential(nn.Linear(2, 2))
    gone = weakref.ref(net), weakref.ref(net[0].weight)
    tree = nnw.tree(net)
    del net
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert tree.n_params == 6
