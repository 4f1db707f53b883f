"""Modules of every kind that take part in saving and loading with code of their own."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn.utils import parametrizations


class Turned(nn.Module):
    """Written transposed, turned back when it is loaded."""

    def __init__(self, n=3):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n, n))

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[prefix + "w"] = self.w.detach().t().contiguous()

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        state_dict[prefix + "w"] = state_dict[prefix + "w"].t()
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Words(nn.Module):
    """Extra state that is a dict."""

    def __init__(self, *words):
        super().__init__()
        self.layer, self.words = nn.Linear(2, 2), list(words)

    def get_extra_state(self):
        return {"words": list(self.words)}

    def set_extra_state(self, state):
        self.words[:] = state["words"]


class Seen(nn.Linear):
    """Extra state that is a tensor."""

    def __init__(self):
        super().__init__(2, 2)
        self.seen = torch.randint(0, 100, (3,))

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        self.seen = state.clone()


class Grown(nn.Module):
    """A buffer that takes the file's shape in place."""

    def __init__(self, n=0):
        super().__init__()
        self.register_buffer("lows", torch.randn(n))

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        self.lows.resize_(state_dict[prefix + "lows"].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Replaced(nn.Module):
    """A buffer that is another object after each load, and a count in a helper."""

    class Helper:
        count = 0

    def __init__(self, n=2):
        super().__init__()
        self.register_buffer("table", torch.randn(n))
        self.helper, self.log = self.Helper(), []

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        self.table = torch.empty_like(state_dict[prefix + "table"])
        self.helper.count += 1
        self.log.append(prefix)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _rename(state, prefix, *_):
    if prefix + "old" in state:
        state[prefix + "weight"] = state.pop(prefix + "old")


def with_load_pre_hook():
    net = nn.Linear(2, 3)
    net._register_load_state_dict_pre_hook(_rename)
    return net


def with_load_post_hook():
    net = nn.Linear(2, 3)
    net.scale = 0.0
    net.register_load_state_dict_post_hook(
        lambda module, _: setattr(module, "scale", float(module.weight.detach().sum()))
    )
    return net


def _renamed(_, state, prefix, __):
    state[prefix + "old"] = state.pop(prefix + "weight")


def with_save_hook():
    net = with_load_pre_hook()
    net._register_state_dict_hook(_renamed)
    return net


def with_save_pre_hook():
    net = nn.Linear(2, 3)
    net.register_state_dict_pre_hook(lambda module, *_: module.bias.data.round_())
    return net


class Filtered(nn.Module):
    """Its ``state_dict`` leaves the frozen part out, its ``load_state_dict`` doesn't ask for it."""

    def __init__(self):
        super().__init__()
        self.frozen, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    def state_dict(self, *args, **kwargs):
        return {name: each for name, each in super().state_dict(*args, **kwargs).items() if "frozen" not in name}

    def load_state_dict(self, state_dict, strict=True, **kwargs):
        return super().load_state_dict({**super().state_dict(), **state_dict}, strict=strict, **kwargs)


def dynamic_quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao import quantization

        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        return quantization.quantize_dynamic(net, {nn.Linear})


def fake_quantized(n=4):
    from torch.ao.quantization import FakeQuantize, PerChannelMinMaxObserver

    fake = FakeQuantize(PerChannelMinMaxObserver, qscheme=torch.per_channel_affine, ch_axis=0)
    if n:
        fake(torch.randn(n, 3))
    return nn.Sequential(nn.Linear(3, 4), fake)


def observed(n=4):
    from torch.ao.quantization import PerChannelMinMaxObserver

    net = nn.Sequential(PerChannelMinMaxObserver())
    if n:
        net[0](torch.randn(n, 3))
    return net


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 4)))


def checkpointed():
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    return nn.Sequential(checkpoint_wrapper(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))), nn.Linear(2, 2))


def tied_with_words():
    net = Words("a", "b")
    net.head = nn.Linear(2, 2)
    net.head.weight = net.layer.weight
    return net


def shared_part():
    part = Words("one")
    return nn.ModuleList([part, nn.ModuleDict({"again": part}), nn.Linear(2, 2)])


def patched():
    net = nn.Linear(2, 3)
    plain = net.state_dict
    net.state_dict = lambda *args, **kwargs: {name: each.clone() for name, each in plain(*args, **kwargs).items()}
    return net


OWN_CODE = {
    "transposed": lambda: nn.Sequential(Turned(), nn.Linear(2, 2)),
    "extra state": lambda: Words("a", "b"),
    "extra state below": lambda: nn.Sequential(nn.Linear(2, 2), Words("c")),
    "tensor as extra state": lambda: nn.Sequential(Seen(), nn.Linear(2, 2)),
    "resized buffer": lambda: nn.Sequential(Grown(5), nn.Linear(2, 2)),
    "replaced buffer": lambda: nn.Sequential(Replaced(5), nn.Linear(2, 2)),
    "load pre-hook": lambda: nn.Sequential(with_load_pre_hook(), nn.Linear(2, 2)),
    "load post-hook": lambda: nn.Sequential(with_load_post_hook(), nn.Linear(2, 2)),
    "save hook": lambda: nn.Sequential(with_save_hook(), nn.Linear(2, 2)),
    "save pre-hook": lambda: nn.Sequential(with_save_pre_hook(), nn.Linear(2, 2)),
    "state_dict and load_state_dict": Filtered,
    "state_dict of an instance": patched,
    "quantize_dynamic": dynamic_quantized,
    "FakeQuantize": fake_quantized,
    "observer": observed,
    "weight_norm": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2)),
    "old spectral_norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 2)),
    "checkpoint_wrapper": checkpointed,
    "tied, extra state": tied_with_words,
    "used twice": shared_part,
}
"""Models with code of their own for state dicts, by kind; two calls give other values."""

FRESH = {
    "resized buffer": lambda: nn.Sequential(Grown(0), nn.Linear(2, 2)),
    "replaced buffer": lambda: nn.Sequential(Replaced(2), nn.Linear(2, 2)),
    "extra state": lambda: Words("other", "words", "here"),
    "FakeQuantize": lambda: fake_quantized(0),
    "observer": lambda: observed(0),
}
"""Those of other sizes than what they load."""

PLAIN = {
    "orthogonal": lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(3, 3)), nn.Linear(3, 2)),
    "spectral_norm": lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 2)),
    "old weight_norm": old_weight_norm,
}
"""Models that torch loads as a copy of each tensor."""
