"""Loading 512 MiB in 128 tensors, all checks and the comparison afterwards included, against the plain libraries' way.

Each row compares the same promise: where the load can be undone, the other side copies the old values first.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.common import Row, against, report
from nnwidgets import checkpoint, edit

N_TENSORS = 128
ROWS, COLUMNS = 1024, 1024  # 4 MiB of float32
N_BYTES = N_TENSORS * ROWS * COLUMNS * 4
ROUNDS = 7


def rows() -> Iterator[Row]:
    """Both formats, the page cache warm."""
    state = {f"layers.{index}.weight": torch.randn(ROWS, COLUMNS) for index in range(N_TENSORS)}
    with tempfile.TemporaryDirectory() as folder:
        safetensors, zipped = Path(folder) / "model.safetensors", Path(folder) / "model.pt"
        save_file(state, safetensors)
        torch.save(state, zipped)
        del state
        model = _model()
        # The history is full, so each load drops the copy of the one before, as in a long session.
        edit.set_budget(model, N_BYTES)
        yield against(
            "load 512 MiB of safetensors, undo=False", lambda: checkpoint.load(model, safetensors, undo=False),
            lambda: model.load_state_dict(load_file(safetensors)),
            limit=1.5, rounds=ROUNDS, theirs_is="load_file + load_state_dict",
        )  # fmt: skip
        yield against(
            "load 512 MiB of safetensors", lambda: checkpoint.load(model, safetensors),
            lambda: (_copy(model), _with_safe_open(model, safetensors)),
            limit=1.2, rounds=ROUNDS, theirs_is="a copy of the old values + safe_open + copy_",
        )  # fmt: skip
        yield against(
            "load 512 MiB of a torch zip", lambda: checkpoint.load(model, zipped),
            lambda: (_copy(model), model.load_state_dict(torch.load(zipped, mmap=True, weights_only=True))),
            limit=1.2, rounds=ROUNDS, theirs_is="a copy of the old values + torch.load(mmap=True) + load_state_dict",
        )  # fmt: skip


def _model() -> nn.Module:
    net = nn.Module()
    net.layers = nn.ModuleList(nn.Linear(COLUMNS, ROWS, bias=False) for _ in range(N_TENSORS))
    return net


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    """The old values, into fresh memory."""
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def _with_safe_open(model: nn.Module, path: Path) -> None:
    tensors = dict(model.named_parameters())
    with torch.no_grad(), safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dict
            tensors[name].copy_(file.get_tensor(name))


if __name__ == "__main__":
    sys.exit(report("loading", rows()))
