"""Models of every kind that saving and loading must mean for what torch means: one table, by name."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tests.support.stacks import beside
from tests.support.stateful_modules import FRESH, OWN_CODE, PLAIN, Grown, Words

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@dataclass(frozen=True)
class Kind:
    """Models of one kind.

    Attributes:
        make: Makes one, with other values at each call.
        fresh: Makes one that such a one is loaded into.
        refused: What `save` says by the name's ending, where such a file can't hold it.
    """

    make: Callable[[], Any]
    fresh: Callable[[], Any]
    refused: dict[str, str] = field(default_factory=dict)


# ---- PEFT ----


def package(name: str) -> Any:
    """A package of those that ``make test`` unpacks beside the environment."""
    folder = str(beside("zoo"))
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise AssertionError(f"{name} is missing in {folder}: make .venv/test installs it") from error


def _base(name: str) -> Any:
    import transformers

    small = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    if name == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=31, n_positions=16)
        return transformers.GPT2LMHeadModel(config)
    if name == "bert":
        return transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=31, **small))
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=31, num_key_value_heads=1, **small))


def _with_values(net: Any) -> Any:
    """PEFT begins half of an adapter with zeros."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "lora_" in name or "ia3" in name:
                parameter.normal_()
    return net


def peft(base: str = "llama", config: str = "LoraConfig", **options: Any) -> Any:
    """A small model of transformers with an adapter of PEFT on it."""
    library = package("peft")
    if config == "LoraConfig":
        options = {"r": 2, **options}
    return _with_values(library.get_peft_model(_base(base), getattr(library, config)(**options)))


def merged() -> Any:
    """With the adapter added to the weights, and still there."""
    net = peft(target_modules=["q_proj", "v_proj"])
    net.merge_adapter()
    return net


def two_adapters() -> Any:
    """One beside the other."""
    net = peft(target_modules=["q_proj"])
    net.add_adapter("second", package("peft").LoraConfig(r=3, target_modules=["v_proj"]))
    return _with_values(net)


_PEFT: dict[str, Callable[[], Any]] = {
    "LoRA on GPT-2, tied": lambda: peft("gpt2", fan_in_fan_out=True, task_type="CAUSAL_LM"),
    "LoRA on Llama": lambda: peft(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    "LoRA on BERT, head trained": lambda: peft("bert", task_type="SEQ_CLS", target_modules=["query"]),
    "LoRA on embeddings, head saved": lambda: peft(
        "gpt2", target_modules=["wte", "c_attn"], modules_to_save=["lm_head"], fan_in_fan_out=True
    ),
    "DoRA": lambda: peft(target_modules=["q_proj"], use_dora=True),
    "IA3": lambda: peft(config="IA3Config", target_modules=["k_proj"], feedforward_modules=[]),
    "prompt tuning": lambda: peft(config="PromptTuningConfig", num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "trainable tokens": lambda: peft(target_modules=["q_proj"], trainable_token_indices=[1, 5]),
    "two adapters": two_adapters,
    "LoRA merged": merged,
    "LoRA merged and unloaded": lambda: peft(target_modules=["q_proj"]).merge_and_unload(),
}


# ---- quantization ----


def torchao(config: str, *, bias: bool = True, **options: Any) -> Any:
    """Two linear layers quantized by torchao."""
    quantization = package("torchao.quantization")
    net = nn.Sequential(nn.Linear(16, 16, bias), nn.ReLU(), nn.Linear(16, 8, bias))
    quantization.quantize_(net, getattr(quantization, config)(**options))
    return net


def _lora_on_int8() -> Any:
    net, quantization, library = _base("llama"), package("torchao.quantization"), package("peft")
    quantization.quantize_(net, quantization.Int8WeightOnlyConfig())
    return library.get_peft_model(net, library.LoraConfig(r=2, target_modules=["q_proj"]))


_TORCHAO: dict[str, Callable[[], Any]] = {
    "int8 weights": lambda: torchao("Int8WeightOnlyConfig"),
    "int8 weights, int8 activations": lambda: torchao("Int8DynamicActivationInt8WeightConfig"),
    "int4 weights": lambda: package("torchao") and torchao("IntxWeightOnlyConfig", weight_dtype=torch.int4),
    "nothing but int8 weights": lambda: torchao("Int8WeightOnlyConfig", bias=False),
    "below LoRA": lambda: _with_values(_lora_on_int8()),
    "float8 weights": lambda: torchao("Float8WeightOnlyConfig"),
}


def _quiet(make: Callable[[Any], Any]) -> Callable[[], Any]:
    def made() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.ao import quantization

            return make(quantization)

    return made


def _convolutions(quantization: Any) -> Any:
    return nn.Sequential(
        quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
        quantization.DeQuantStub(),
    )  # fmt: skip


def _prepared(quantization: Any, *, is_run: bool) -> Any:
    net = _convolutions(quantization).train()
    quantization.fuse_modules_qat(net, [["1", "2", "3"]], inplace=True)
    net.qconfig = quantization.get_default_qat_qconfig("x86")
    quantization.prepare_qat(net, inplace=True)
    if is_run:
        net(torch.randn(2, 3, 6, 6))
    return net


def _static(quantization: Any) -> Any:
    net = _convolutions(quantization).eval()
    net.qconfig = quantization.get_default_qconfig("x86")
    quantization.prepare(net, inplace=True)
    net(torch.randn(2, 3, 6, 6))
    return quantization.convert(net, inplace=True)


class Recurrent(nn.Module):
    """Packs its weights when it is quantized."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(2, 3)


def quantized_recurrent() -> Any:
    """A quantized LSTM: its state dict holds objects of TorchScript."""
    return _quiet(lambda quantization: quantization.quantize_dynamic(Recurrent().eval(), {nn.LSTM}))()


def _quantized_buffers() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2))
    scale = float(torch.rand(()) + 0.1)
    net.register_buffer("one", torch.quantize_per_tensor(torch.randn(3), scale, 2, torch.qint8))
    scales = torch.rand(3) + 0.1
    net.register_buffer(
        "many", torch.quantize_per_channel(torch.randn(3, 2), scales, torch.zeros(3).long(), 0, torch.quint8)
    )
    net.register_buffer("odd", torch.quantize_per_channel(torch.randn(3, 2), scales, torch.rand(3), 0, torch.quint8))
    return net


# ---- parametrizations, norms, lazy modules, layouts ----


class Symmetric(nn.Module):
    """A parametrization of one's own."""

    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


def _tied_parametrized() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for each in net:
        parametrize.register_parametrization(each, "weight", Symmetric())
    net[1].parametrizations.weight.original = net[0].parametrizations.weight.original
    return net


def _pruned() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    prune.random_structured(net[1], "weight", amount=0.5, dim=0)
    return net


def _old_norms() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(
            nn.utils.weight_norm(nn.Linear(3, 4), dim=None), nn.utils.weight_norm(nn.Conv2d(2, 3, 3), dim=1),
            nn.utils.spectral_norm(nn.ConvTranspose2d(2, 3, 3)), nn.utils.spectral_norm(nn.Embedding(5, 3)),
        )  # fmt: skip


def _new_norms() -> nn.Module:
    double = parametrizations.weight_norm(parametrizations.orthogonal(nn.Linear(3, 3)))
    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv1d(2, 3, 3)), parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)),
        parametrizations.orthogonal(nn.Linear(4, 3), orthogonal_map="householder"),
        parametrizations.orthogonal(nn.Linear(3, 3), "weight", "cayley", use_trivialization=False), double,
    )  # fmt: skip


def _norms() -> nn.Module:
    net = nn.ModuleList()
    for options in ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}):
        net.extend(kind(3, **options) for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm))
    net.extend([nn.InstanceNorm1d(3), nn.InstanceNorm2d(3, affine=True, track_running_stats=True), nn.GroupNorm(1, 3)])
    net.append(nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(2))))
    for buffer in net.buffers():
        buffer.copy_(torch.rand(buffer.shape) * 10)
    return net


def _lazy(*, is_run: bool) -> nn.Module:
    net = nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5), nn.LazyBatchNorm1d(affine=False)
    )
    if is_run:
        net(torch.randn(2, 3, 6, 6))
    return net


def _sparse() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2))
    net.register_buffer("coo", torch.rand(4, 3).mul(4).round().to_sparse())
    net.register_buffer("csr", torch.diag(torch.rand(3) + 1).to_sparse_csr())
    net.weight = nn.Parameter(torch.rand(3, 3).round().to_sparse())
    return net


class Numbered(nn.Module):
    """Extra state, and no tensor at all."""

    def __init__(self):
        super().__init__()
        self.number = int(torch.randint(10**6, ()))

    def get_extra_state(self):
        return self.number

    def set_extra_state(self, state):
        self.number = state


class Growing(nn.Module):
    """Has as many layers as what it loads."""

    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(n))

    def _load_from_state_dict(self, state, prefix, *rest):
        n = len({name[len(prefix) :].split(".")[1] for name in state if name.startswith(f"{prefix}layers.")})
        self.layers.extend(nn.Linear(2, 2) for _ in range(n - len(self.layers)))
        super()._load_from_state_dict(state, prefix, *rest)


def _extra(*values: Callable[[], Any]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        net = Words()
        net.words = [value() for value in values]
        return net

    return made


def _number() -> float:
    return float(torch.randn(()))


_OTHERS: dict[str, Callable[[], Any]] = {
    "prepare_qat": _quiet(lambda quantization: _prepared(quantization, is_run=True)),
    "quantized statically": _quiet(_static),
    "quantized buffers": _quantized_buffers,
    "parametrizations": _new_norms,
    "norms by hooks": _old_norms,
    "parametrized and tied": _tied_parametrized,
    "pruned": _pruned,
    "norms": _norms,
    "lazy": lambda: _lazy(is_run=True),
    "sparse": _sparse,
    "extra state alone": lambda: nn.Sequential(Numbered(), nn.ReLU(), Numbered()),
    "growing": lambda: nn.Sequential(nn.Linear(1, 1), Growing(3)),
    "extra state of all plain kinds": _extra(
        lambda: {1, int(10 * _number())}, lambda: bytearray(str(_number()), "ascii"), lambda: complex(1, _number()),
        lambda: [None, (2**70, {"a": torch.Size([1, 2]), 3: torch.float16})], lambda: str(_number()).encode(),
        lambda: torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8), lambda: torch.randn(2).bfloat16(),
    ),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(2, 2), Grown(2))),
    "traced": lambda: torch.jit.trace(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), torch.randn(1, 2)),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))),
}  # fmt: skip

_FRESH: dict[str, Callable[[], Any]] = {
    **FRESH,
    "prepare_qat": _quiet(lambda quantization: _prepared(quantization, is_run=False)),
    "lazy": lambda: _lazy(is_run=False),
    "growing": lambda: nn.Sequential(nn.Linear(1, 1), Growing(1)),
}

_EXTRA_STATE = {".safetensors": "extra state"}
_REFUSED: dict[str, dict[str, str]] = {
    "extra state": _EXTRA_STATE,
    "extra state below": _EXTRA_STATE,
    "tied, extra state": _EXTRA_STATE,
    "used twice": _EXTRA_STATE,
    "extra state alone": _EXTRA_STATE,
    "extra state of all plain kinds": _EXTRA_STATE,
    "quantize_dynamic": {".safetensors": "is a dtype"},
    "quantized statically": {".safetensors": "is a dtype"},
    "quantized buffers": {".safetensors": "qint8, which safetensors has no name for"},
    "sparse": {".safetensors": "is sparse"},
}
_OF_A_CLASS = {".safetensors": "is a .*Tensor, made of qdata"}

ZOO: dict[str, Kind] = {
    name: Kind(make, _FRESH.get(name, make), _REFUSED.get(name, {}))
    for name, make in (OWN_CODE | PLAIN | _OTHERS).items()
} | {name: Kind(make, make) for name, make in _PEFT.items()} | {
    f"torchao: {name}": Kind(make, make, _OF_A_CLASS) for name, make in _TORCHAO.items()
}  # fmt: skip
