"""The models that trees and ties are measured on."""

from __future__ import annotations

import torch
from torch import nn


def gpt2() -> nn.Module:
    """GPT-2 small with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config())


def llama_3_8b() -> nn.Module:
    """Llama-3-8B on the meta device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config)


class _Expert(nn.Module):
    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)
        self.act = nn.SiLU()


class _Layer(nn.Module):
    def __init__(self, hidden: int, inner: int, n_experts: int) -> None:
        super().__init__()
        self.input_norm = nn.RMSNorm(hidden)
        self.q_proj = nn.Linear(hidden, hidden, bias=False)
        self.kv_proj = nn.Linear(hidden, hidden // 4, bias=False)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)
        self.post_norm = nn.RMSNorm(hidden)
        self.gate = nn.Linear(hidden, n_experts, bias=False)
        self.experts = nn.ModuleList(_Expert(hidden, inner) for _ in range(n_experts))


def mixture_of_experts() -> nn.Module:
    """About 79,000 modules on the meta device: 61 layers of 256 experts, as DeepSeek-V3 has."""
    with torch.device("meta"):
        return nn.ModuleList(_Layer(7168, 2048, 256) for _ in range(61))


def synthetic() -> nn.Module:
    """100,000 small modules, three deep, with parameters and buffers."""
    return nn.ModuleList(
        nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2)) for _ in range(100))
        for _ in range(250)
    )


def nest(depth: int) -> nn.Module:
    """One module inside the other."""
    net: nn.Module = nn.Linear(1, 1)
    for _ in range(depth):
        net = nn.Sequential(net)
    return net


def fifty_thousand_parameters(*, tied: bool) -> nn.Module:
    """25,000 small layers; with ``tied``, some weights the same, some views, some overlapping."""
    net = nn.ModuleList(nn.Linear(2, 2) for _ in range(25_000))
    if tied:
        flat = torch.zeros(4_000)
        for index in range(0, 1_000, 2):
            net[index].weight = net[index + 1].weight
            net[index].bias = nn.Parameter(flat[index : index + 3])
            net[index + 1].bias = nn.Parameter(flat[index : index + 2])
            net[index + 2_000].weight = nn.Parameter(net[index + 3_000].weight.detach().t())
    return net
