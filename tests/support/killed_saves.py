"""Saves by four processes of which some are ended meanwhile, each time at another point; what the paths hold then.

Run as ``python -m tests.support.killed_saves N [SEED]``. The processes are forked, since all that they import takes
longer than the save.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import nnwidgets as nnw
from nnwidgets.checkpoint.saving.over_ranks import save_together

WORLD_SIZE = 4
FORMS = {"ckpt": {}, "net.safetensors": {}, "shards": {"shard_size": 20_000}}
_SAVED, _TOLD, _ELSE = 0, 3, 4


def main(n: int, seed: int = 0) -> None:
    """Do it some times; print what came of it as JSON."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    chance = random.Random(seed)  # noqa: S311 - when to end what
    root = Path(tempfile.mkdtemp(prefix="nnw-killed-"))
    found = {"saves": 0, "old": 0, "new": 0, "stuck": 0, "wrong": []}
    spans: dict[str, float] = {}
    for form in FORMS:
        _, spans[form] = _save(root, form, 1.0, [], 0.0)
    values = dict.fromkeys(FORMS, 1.0)
    for number in range(n):
        form = list(FORMS)[number % len(FORMS)]
        victims = chance.choice([[rank] for rank in range(WORLD_SIZE)] + [list(range(WORLD_SIZE))])
        codes, _ = _save(root, form, number + 2.0, victims, chance.uniform(0, 1.2 * spans[form]))
        now = _values(root / form)
        found["saves"] += 1
        found["stuck"] += codes.count(None)
        is_new = now == {number + 2.0}
        found["new" if is_new else "old"] += 1
        if now not in ({values[form]}, {number + 2.0}) or (_SAVED in codes and not is_new) or _ELSE in codes:
            found["wrong"].append([form, victims, codes, values[form], sorted(now)])
        values[form] = next(iter(now))
    for form in FORMS:
        codes, _ = _save(root, form, n + 2.0, [], 0.0)
        if codes != [_SAVED] * WORLD_SIZE or _values(root / form) != {n + 2.0}:
            found["wrong"].append([form, codes])
    found["left"] = sorted(each.name for each in root.rglob(".nnw-*"))
    found["files"] = {form: len(list((root / form).iterdir())) for form in FORMS if (root / form).is_dir()}
    print(json.dumps(found))


def _save(root: Path, form: str, value: float, victims: list[int], delay: float) -> tuple[list[int | None], float]:
    """Save, end some processes after a while; how each ended, and how long it took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun, theirs = os.pipe()
    kids = []
    for rank in range(WORLD_SIZE):
        pid = os.fork()
        if not pid:
            _kid(rank, port, root / form, value, theirs)
        kids.append(pid)
    os.close(theirs)
    n = 0
    while n < WORLD_SIZE and (said := os.read(begun, 1)):
        n += len(said)
    os.close(begun)
    start = time.monotonic()
    time.sleep(delay)
    for rank in victims:
        os.kill(kids[rank], signal.SIGKILL)
    ended: dict[int, int | None] = {}
    while len(ended) < WORLD_SIZE:
        for pid in kids:
            if pid not in ended and os.waitpid(pid, os.WNOHANG)[0]:
                ended[pid] = -1
        if time.monotonic() - start > 60:
            for pid in kids:
                if pid not in ended:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    ended[pid] = None
        time.sleep(0.005)
    return [_code(root, rank) if ended[pid] is not None else None for rank, pid in enumerate(kids)], (
        time.monotonic() - start
    )


def _code(root: Path, rank: int) -> int:
    said = root / f"said-{rank}"
    code = said.read_text() if said.exists() else ""
    said.unlink(missing_ok=True)
    return int(code or -1)  # it may be killed as it says that


def _kid(rank: int, port: int, path: Path, value: float, begun: int) -> None:
    code = _ELSE
    try:
        save_together.PATIENCE = 1.5
        store = dist.TCPStore("127.0.0.1", port, WORLD_SIZE, rank == 0, dt.timedelta(seconds=30))
        dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD_SIZE)
        net = nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 70), nn.BatchNorm1d(70))
        for each in [*net.parameters(), *net.buffers()]:
            each.data.fill_(value)
        fully_shard(net, mesh=init_device_mesh("cpu", (WORLD_SIZE,)))
        dist.barrier()
        os.write(begun, b".")
        os.close(begun)
        try:
            nnw.save(net, f"{path}/" if path.name == "ckpt" else path, overwrite=True, **FORMS[path.name])
            code = _SAVED
        except nnw.RankMissingError:
            code = _TOLD
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            (path.parent / f"said-{rank}").write_text(str(code))
        os._exit(code)


def _values(path: Path) -> set[float]:
    """The values of all tensors at a path, by nnwidgets and by plain torch."""
    held = dict(nnw.read(path))
    found = {float(each) for tensor in held.values() for each in tensor.float().flatten().unique()}
    if (path / ".metadata").exists():
        again = {name: torch.zeros_like(each) for name, each in held.items()}
        dcp.load(again, checkpoint_id=path, no_dist=True)
        found |= {float(each) for tensor in again.values() for each in tensor.float().flatten().unique()}
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
