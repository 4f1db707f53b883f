"""What is known of the names that libraries write: `known_layouts.toml`, read, and smaller tables beside it.

The table there says what one and the same tensor is called in the files of different libraries. Each row is a tensor,
or all tensors of a module; each column is a library. ``#`` stands for a number, the same in each column; ``-`` where a
library has none; ``{a,b}`` makes a row of each, taken side by side. What stands before a name, in a file or a model, is
free. After ``@`` is the form of the values, where it isn't the same in all columns:

- ``pairs`` and ``halves``: the order of rows that a rotary embedding wants, its two parts side by side or apart;
- ``T``: a matrix turned, ``[in, out]`` for ``[out, in]``;
- ``1x1``: a convolution of one pixel, ``[out, in, 1, 1]`` for ``[out, in]``;
- ``q``, ``k``, ``v``: some rows of a fused tensor. What is fused has one name for three, and no rename leads from one
  to three: it is told, and not loaded.

- ``shift-scale`` and ``scale-shift``: the order of the two halves of a modulation's rows.

A layout is believed where names of ``least`` rows are found on both sides; ``with`` are components of which one must be
in a name of either side, ``without`` those of which none may: they tell apart libraries that call different tensors
alike.

The names are facts of the projects named as sources; none of their code is here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Cell:
    """A name of the table.

    Attributes:
        layout: Which layout.
        row: Which row of it.
        column: Whose name it is.
        form: Of its values; ``""`` for the usual one.
        numbers: The numbers in it; None for one that is free.
    """

    layout: int
    row: int
    column: int
    form: str
    numbers: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class KnownLayouts:
    """The table, to look names up in.

    Attributes:
        titles: Of the layouts: whose names.
        least: How many rows each wants.
        needed: Components of which each wants one, if any.
        barred: Components of which each wants none.
        cells: By a name's components, numbers as ``#``.
        longest: The most components that a name among these has.
        stems: Beginnings of components that a number is written to: ``"encoder_layer_"``.
    """

    titles: tuple[str, ...]
    least: tuple[int, ...]
    needed: tuple[frozenset[str], ...]
    barred: tuple[frozenset[str], ...]
    cells: dict[tuple[str, ...], list[Cell]]
    longest: int
    stems: frozenset[str]

    def possible(self, names: Iterable[str]) -> frozenset[int]:
        """The layouts that nothing in these names speaks against."""
        telling = frozenset().union(*self.needed, *self.barred)
        found = {part for name in names for part in name.split(".") if part in telling}
        return frozenset(
            layout
            for layout, (needed, barred) in enumerate(zip(self.needed, self.barred, strict=True))
            if barred.isdisjoint(found) and (not needed or not needed.isdisjoint(found))
        )

    def split(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A name's components with ``#`` for each number, and the numbers.

        Example:
            >>> known_layouts().split("layers.3.attention.wq.weight")
            (('layers', '#', 'attention', 'wq', 'weight'), ('3',))
        """
        parts, numbers = [], []
        for part in name.split("."):
            if part.isdecimal():
                parts.append("#")
                numbers.append(part)
                continue
            stem = part.rstrip("0123456789")
            if stem != part and stem in self.stems:
                parts.append(f"{stem}#")
                numbers.append(part[len(stem) :])
            else:
                parts.append(part)
        return tuple(parts), tuple(numbers)


@cache
def known_layouts() -> KnownLayouts:
    """The table of `known_layouts.toml`, read once."""
    table = tomllib.loads(files(__package__).joinpath("known_layouts.toml").read_text(encoding="utf-8"))["layout"]
    cells: dict[tuple[str, ...], list[Cell]] = {}
    stems = set()
    for layout, each in enumerate(table):
        rows = [row for line in each["rows"].splitlines() for row in _alternatives(line.split())]
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                name, _, form = text.partition("@")
                if name == "-":
                    continue
                key = tuple(re.sub(r"^\d+$", "#", part) for part in name.split("."))
                numbers = tuple(part if part.isdecimal() else None for part in name.split(".") if _has_number(part))
                cells.setdefault(key, []).append(Cell(layout, number, column, form, numbers))
                stems |= {part[:-1] for part in key if part.endswith("#") and part != "#"}
    return KnownLayouts(
        titles=tuple(each["title"] for each in table),
        least=tuple(each["least"] for each in table),
        needed=tuple(frozenset(each.get("with", "").split()) for each in table),
        barred=tuple(frozenset(each.get("without", "").split()) for each in table),
        cells=cells,
        longest=max(map(len, cells)),
        stems=frozenset(stems),
    )


def _has_number(part: str) -> bool:
    return part.isdecimal() or part.endswith("#")


def _alternatives(row: list[str]) -> list[list[str]]:
    """The rows that braces stand for."""
    found = [re.search(r"\{([^}]*)\}", text) for text in row]
    n = next((each.group(1).count(",") + 1 for each in found if each), 0)
    if not n:
        return [row]
    made = []
    for index in range(n):
        one = [
            text if each is None else text[: each.start()] + each.group(1).split(",")[index] + text[each.end() :]
            for text, each in zip(row, found, strict=True)
        ]
        made += _alternatives(one)
    return made


WRAPPERS = {
    "module": "https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html",
    "_orig_mod": "https://docs.pytorch.org/docs/stable/generated/torch.compile.html",
    "_fsdp_wrapped_module": "https://docs.pytorch.org/docs/stable/fsdp.html",
    "_checkpoint_wrapped_module": "https://github.com/pytorch/pytorch/blob/main/torch/distributed/algorithms/_checkpoint/checkpoint_wrapper.py",
    "base_layer": "https://github.com/huggingface/peft/blob/main/src/peft/tuners/tuners_utils.py",
}
"""Components that a wrapper puts into names, anywhere, and that say nothing of the tensor; where each is told."""

SYNONYMS = (
    ("weight", "gamma"),
    ("bias", "beta"),
    ("running_mean", "moving_mean"),
    ("running_var", "moving_variance", "moving_var"),
    ("layer", "layers", "block", "blocks", "h", "resblocks"),
    ("attn", "self_attn", "attention", "self_attention"),
    ("mlp", "ffn", "feed_forward"),
    ("norm", "layer_norm", "ln"),
    ("bn", "batch_norm"),
    ("q", "query", "q_proj", "q_lin", "wq", "to_q"),
    ("k", "key", "k_proj", "k_lin", "wk", "to_k"),
    ("v", "value", "v_proj", "v_lin", "wv", "to_v"),
    ("o_proj", "out_proj", "out_lin", "wo"),
    ("fc", "linear", "lin"),
    ("embed_tokens", "tok_embeddings", "token_embedding", "word_embeddings", "wte"),
)
"""Components that mean the same wherever one stands in the other's place."""

TRANSPOSED_MODULES = ("c_attn", "c_proj", "c_fc", "q_attn")
"""Modules of GPT-2 that transformers makes as ``Conv1D``, whose weight is ``[in, out]``, and others as ``nn.Linear``.

Source: https://github.com/huggingface/transformers/blob/main/src/transformers/models/gpt2/modeling_gpt2.py and
https://github.com/karpathy/nanoGPT/blob/master/model.py, which turns the same four.
"""


def may_be_turned(path: str) -> bool:
    """Whether a name is of a tensor of such a module.

    Example:
        >>> may_be_turned("h.0.attn.c_attn.weight"), may_be_turned("h.0.ln_1.weight")
        (True, False)
    """
    return path.rpartition(".")[0].rpartition(".")[2] in TRANSPOSED_MODULES


HALVED_ROTARY = (
    "LlamaAttention", "MistralAttention", "MixtralAttention", "Qwen2Attention", "Qwen3Attention", "GemmaAttention",
    "Gemma2Attention", "Phi3Attention", "OlmoAttention", "Olmo2Attention", "StableLmAttention", "SmolLM3Attention",
)  # fmt: skip
"""Attention classes of transformers that turn the two halves of a head against each other (``rotate_half``).

Source: ``models/*/modeling_*.py`` of https://github.com/huggingface/transformers. Others, Cohere's for one, turn pairs.
"""

SCALES = (
    "weight_scale", "weight_scale_inv", "weight_scales", "scale_weight", "weight_scale_2", "scale", "scales", "SCB",
    "weight_scaler", "weight_zero_point", "_scale", "_weight_scale",
)  # fmt: skip
"""What scales are called that lie beside codes.

Sources: https://github.com/neuralmagic/compressed-tensors, https://github.com/deepseek-ai/DeepSeek-V3 (``scale_inv``),
https://github.com/bitsandbytes-foundation/bitsandbytes (``SCB``), https://github.com/comfyanonymous/ComfyUI
(``scale_weight``), https://github.com/google/gemma_pytorch (``weight_scaler``),
https://github.com/huggingface/optimum-quanto (``weight._scale``), https://github.com/pytorch/ao (``_weight_scale``).
"""

ADAPTERS = {
    "lora_A": "LoRA", "lora_B": "LoRA", "lora_embedding_A": "LoRA", "lora_embedding_B": "LoRA", "lora_down": "LoRA",
    "lora_up": "LoRA", "lora_magnitude_vector": "DoRA", "hada_w1_a": "LoHa", "hada_w2_a": "LoHa", "lokr_w1": "LoKr",
    "lokr_w2": "LoKr", "ia3_l": "IA3", "vera_lambda_b": "VeRA", "oft_r": "OFT", "boft_R": "BOFT",
}  # fmt: skip
"""Components of an adapter's names, and what it is called.

Sources: https://github.com/huggingface/peft/tree/main/src/peft/tuners, https://github.com/kohya-ss/sd-scripts.
"""

FUSED = ("qkv", "in_proj_weight", "in_proj_bias", "query_key_value", "Wqkv", "qkv_proj", "c_attn", "to_qkv", "W_pack")
"""What a tensor is called that holds query, key and value one after the other."""
