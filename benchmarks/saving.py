"""Saving 2 GiB in 200 tensors, against writing the same bytes, against `torch.save`, and what reading back adds.

Both sides end with the bytes on the disk (fsync). The disk is what most of the time goes to; the rounds take turns,
and each writes a new file. ``--size`` takes another number of mebibytes, ``--folder`` another place than the temporary
one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.common import Row, medians, parser, report
from benchmarks.edits import most_resident, resident
from nnwidgets.checkpoint import save
from nnwidgets.checkpoint.formats.file import memory_of

MIB = 1 << 20
N_TENSORS = 200


def rows(n_bytes: int, folder: Path) -> Iterator[Row]:
    """The measures, the memory one first, while the process is small."""
    state = {f"layers.{number}.weight": torch.randn(n_bytes // N_TENSORS // 4) for number in range(N_TENSORS)}
    save({"small": torch.zeros(8 * MIB)}, folder / "warm.safetensors")
    yield from memory(state, folder)
    tasks: dict[str, Callable[[], object]] = {
        "bytes": fresh(folder / "bytes", lambda file: write_bytes(state, file)),
        "safetensors": fresh(folder / "a.safetensors", lambda file: save(state, file, verify=False)),
        "verified": fresh(folder / "b.safetensors", lambda file: save(state, file)),
        "torch.save": fresh(folder / "torch", lambda file: save_by_torch(state, file)),
        "zip": fresh(folder / "a.pt", lambda file: save(state, file, verify=False)),
        "verified zip": fresh(folder / "b.pt", lambda file: save(state, file)),
    }
    took = dict(zip(tasks, medians(*tasks.values(), rounds=5), strict=True))
    size = f"{n_bytes / MIB:,.0f} MiB"
    for what, ours, theirs, limit in (
        (f"save {size} to safetensors, against its bytes", "safetensors", "bytes", 1.3),
        (f"save {size} to a torch file, against torch.save", "zip", "torch.save", 1.05),
        (f"save {size} to safetensors, read back too", "verified", "safetensors", 2.0),
        (f"save {size} to a torch file, read back too", "verified zip", "zip", 2.0),
    ):
        note = f"{took[ours]:.2f} s against {took[theirs]:.2f} s for {theirs}"
        yield Row(what, took[ours] / took[theirs], "x", limit, note)


def memory(state: dict[str, torch.Tensor], folder: Path) -> Iterator[Row]:
    """What saving holds beyond the tensors, at the most."""
    for file in ("memory.safetensors", "memory.pt"):
        before = resident()
        most = most_resident(fresh(folder / file, lambda file: save(state, file)))
        yield Row(f"memory of saving to {file.split('.')[1]}", max(0.0, (most - before) / MIB), "MiB", 64)


def fresh(file: Path, write: Callable[[Path], object]) -> Callable[[], None]:
    """Write a file that isn't there, with nothing else waiting for the disk; it is gone before the next round."""

    def prepared() -> None:
        file.unlink(missing_ok=True)
        write(file)

    return prepared


def write_bytes(state: dict[str, torch.Tensor], file: Path) -> None:
    """Write the tensors' memory and sync it."""
    with file.open("wb", buffering=0) as raw:
        for tensor in state.values():
            data = memory_of(tensor)
            done = 0
            while done < len(data):
                done += os.write(raw.fileno(), data[done:])
        os.fsync(raw.fileno())


def save_by_torch(state: dict[str, torch.Tensor], file: Path) -> None:
    """`torch.save` and a sync."""
    torch.save(state, file)
    with file.open("rb+") as raw:
        os.fsync(raw.fileno())


if __name__ == "__main__":
    command = parser("Saving")
    command.add_argument("--size", type=int, default=2_048, help="mebibytes")
    command.add_argument("--folder", help="where to write")
    arguments = command.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
        sys.exit(report("Saving", rows(arguments.size * MIB, Path(made)), arguments))
