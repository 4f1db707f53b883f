"""Looking into files, planning loads and comparing: in milliseconds, and against reading what is compared."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.common import Row, against, medians, report
from nnwidgets import checkpoint

N_TENSORS = 200
ROWS, COLUMNS = 2048, 1280  # 10 MiB of float32
N_NAMES = 50_000
N_SHARDS = 1_000
N_ENTRIES = 20
N_IN_EACH = 1_000


def rows() -> Iterator[Row]:
    """What takes headers alone, then what takes the tensors."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        yield shards(place)
        yield planning(place)
        yield choosing(place)
        yield from pickled(place)
        state = {f"layers.{index}.weight": torch.randn(ROWS, COLUMNS) for index in range(N_TENSORS)}
        one, other, zipped = place / "one.safetensors", place / "other.safetensors", place / "one.pt"
        save_file(state, one)
        torch.save(state, zipped)
        yield milliseconds("peek of 2 GiB in 200 tensors, safetensors", lambda: checkpoint.peek(one), 2)
        yield milliseconds("peek of 2 GiB in 200 tensors, torch zip", lambda: checkpoint.peek(zipped), 10)
        zipped.unlink()
        for tensor in state.values():
            tensor.add_(1e-3)
        save_file(state, other)
        del state
        yield against(
            "diff of two files of 2 GiB, all tensors changed", lambda: checkpoint.diff(one, other), reading(one, other),
            limit=1.5, rounds=3, theirs_is="reading both",
        )  # fmt: skip
        yield against(
            "diff of two equal files of 2 GiB", lambda: checkpoint.diff(one, one), reading(one, one),
            limit=1.5, rounds=3, theirs_is="reading both",
        )  # fmt: skip


def milliseconds(what: str, call: Callable[[], object], limit: float) -> Row:
    """The median time of a call."""
    (took,) = medians(call)
    return Row(what, took * 1e3, "ms", limit, "header alone")


def shards(place: Path) -> Row:
    """`peek` of an index of 1,000 shards."""
    weight_map = {}
    for number in range(N_SHARDS):
        name = f"model-{number}.safetensors"
        save_file({f"layers.{number}.{part}": torch.zeros(2, 3) for part in range(5)}, place / name)
        weight_map |= {f"layers.{number}.{part}": name for part in range(5)}
    index = place / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": N_SHARDS * 5 * 24}, "weight_map": weight_map}))
    return milliseconds("peek of an index of 1,000 shards, 5,000 tensors", lambda: checkpoint.peek(index), 100)


def planning(place: Path) -> Row:
    """`plan` for 50,000 tensors, each under another name."""
    net = nn.Module()
    net.layers = nn.ModuleList()
    for _ in range(N_NAMES // 50):
        layer = nn.Module()
        for part in range(50):
            layer.register_buffer(f"part{part}", torch.zeros(2))
        net.layers.append(layer)
    file = place / "renamed.safetensors"
    save_file({f"module.{name}": tensor.clone() for name, tensor in net.state_dict().items()}, file)
    found = checkpoint.plan(net, file)
    if len(found.renames) != N_NAMES:
        raise SystemExit(f"{len(found.renames)} of {N_NAMES} renames were found.")
    (took,) = medians(lambda: checkpoint.plan(net, file), rounds=5)
    return Row("plan for 50,000 tensors, every key renamed", took, "s", 2, "all renames found")


def choosing(place: Path) -> Row:
    """`plan` for a file of 20 state dicts of 1,000 tensors, all of which have the model's names, one its shapes."""

    def net(width: int) -> nn.Module:
        made = nn.Module()
        made.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(N_IN_EACH // 2))
        return made

    file = place / "several.pt"
    torch.save({f"net{width}": net(width).state_dict() for width in range(1, N_ENTRIES + 1)}, file)
    model = net(N_ENTRIES // 2)
    found = checkpoint.plan(model, file)
    if found.entry.name != f"net{N_ENTRIES // 2}" or not found.is_exact:
        raise SystemExit(f"{found.entry} was taken.")
    (took,) = medians(lambda: checkpoint.plan(model, file), rounds=5)
    return Row("plan with fit over 20 state dicts of 1,000 tensors", took, "s", 0.5, "the one that fits is taken")


def pickled(place: Path) -> Iterator[Row]:
    """`peek` of files that hold more than tensors, against loading them with whatever they want to run."""
    blocks = [nn.Sequential(nn.Conv2d(205, 205, 3, bias=False), nn.BatchNorm2d(205), nn.SiLU()) for _ in range(180)]
    detector = {"epoch": -1, "model": nn.Sequential(*blocks).half(), "ema": None, "train_args": {"imgsz": 640}}
    weights = {f"layers.{index}.weight": torch.randn(1024, 1024) for index in range(64)}
    moments = {index: {"step": torch.tensor(9.0), "exp_avg": each} for index, each in enumerate(weights.values())}
    trained = {
        "epoch": 3, "global_step": 900, "pytorch-lightning_version": "2.5.0", "state_dict": weights,
        "hyper_parameters": argparse.Namespace(lr=1e-3, data=Path("data")),
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-3, "params": [*moments]}]}],
    }  # fmt: skip
    yield peeking(place, "a detector pickled whole, 68 M in half precision", detector)
    yield peeking(place, "a Lightning file", trained)


def peeking(place: Path, name: str, content: object) -> Row:
    """`peek` against loading the whole."""
    file = place / "pickled.pt"
    torch.save(content, file)
    return against(
        f"peek of {name}", lambda: checkpoint.peek(file), lambda: torch.load(file, weights_only=False),
        limit=0.1, rounds=7, theirs_is="torch.load(weights_only=False)",
    )  # fmt: skip


def reading(*paths: Path) -> Callable[[], object]:
    """Read files whole, a piece at a time."""
    room = bytearray(1 << 20)

    def read() -> None:
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            while os.readv(fd, [room]):
                pass
            os.close(fd)

    return read


if __name__ == "__main__":
    sys.exit(report("comparing", rows()))
