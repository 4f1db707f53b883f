"""Loading 2 GiB in 200 tensors, all checks and the comparison afterwards included, against the plain libraries' way."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from benchmarks.common import Row, against, report
from nnwidgets import checkpoint, edit

N_TENSORS = 200
ROWS, COLUMNS = 2048, 1280  # 10 MiB of float32


def rows() -> Iterator[Row]:
    """Both formats, the page cache warm."""
    state = {f"layers.{index}.weight": torch.randn(ROWS, COLUMNS) for index in range(N_TENSORS)}
    with tempfile.TemporaryDirectory() as folder:
        safetensors, zipped = Path(folder) / "model.safetensors", Path(folder) / "model.pt"
        save_file(state, safetensors)
        torch.save(state, zipped)
        del state
        model = _model()
        yield against(
            "load 2 GiB of safetensors, undo kept", _ours(model, safetensors), _with_safe_open(model, safetensors),
            limit=2, rounds=5, theirs_is="safe_open + copy_",
        )  # fmt: skip
        yield against(
            "load 2 GiB of a torch zip, undo kept", _ours(model, zipped), _with_torch(model, zipped),
            limit=2, rounds=5, theirs_is="torch.load(mmap=True) + load_state_dict",
        )  # fmt: skip


def _model() -> nn.Module:
    net = nn.Module()
    net.layers = nn.ModuleList(nn.Linear(COLUMNS, ROWS, bias=False) for _ in range(N_TENSORS))
    return net


def _ours(model: nn.Module, path: Path) -> Callable[[], object]:
    """Load it; the history is full, so each load drops the copy of the one before, as in a long session."""
    edit.set_budget(model, 2**31)
    return lambda: checkpoint.load(model, path)


def _with_safe_open(model: nn.Module, path: Path) -> Callable[[], object]:
    def load() -> None:
        tensors = dict(model.named_parameters())
        with torch.no_grad(), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                tensors[name].copy_(file.get_tensor(name))

    return load


def _with_torch(model: nn.Module, path: Path) -> Callable[[], object]:
    return lambda: model.load_state_dict(torch.load(path, mmap=True, weights_only=True))


if __name__ == "__main__":
    sys.exit(report("loading", rows()))
