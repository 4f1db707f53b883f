"""Kills a saving process at random moments, and says what it found afterwards; run by `test_saving_dies`.

Each saver is forked from this process, which has used no thread of torch's, so that starting one takes no time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)

from nnwidgets.checkpoint import read, save  # noqa: E402 - after the threads are said
from nnwidgets.errors import CorruptCheckpointError  # noqa: E402
from tests.support.saved_files import loaded, names, sum_beside  # noqa: E402

FILES = ("net.pt", "net.safetensors")
TARGETS = (*FILES, "folder/")


def state(generation):
    """Tensors that all say which save they are from."""
    return {f"layer.{number}": torch.full((5_000,), float(generation)) for number in range(8)}


def store(folder, target, generation):
    save(state(generation), f"{folder}/{target}", overwrite=True, shard_size=50_000 if target == "folder/" else None)


def found(folder, target):
    """Which save a target is from: an error where it isn't the whole of one."""
    held = loaded(f"{folder}/{target}")
    assert list(map(str, sorted(held))) == sorted(state(0)), sorted(held)
    generations = {value for tensor in held.values() for value in tensor.unique().tolist()}
    assert len(generations) == 1, generations
    return int(generations.pop())


def check_sum(folder, target, *, is_stale):
    """A sum beside a target is that of the whole old file, or has the whole new one refused until it is gone."""
    side = folder / f"{target}.sha256"
    if not is_stale:
        read(f"{folder}/{target}")
        return
    try:
        read(f"{folder}/{target}")
    except CorruptCheckpointError as error:
        assert f"remove {side.name}" in str(error), error  # noqa: PT017 - run without pytest
    else:
        raise AssertionError("a file was read whose sum is that of another")
    side.unlink()
    read(f"{folder}/{target}")


def killed(folder, target, generation, delay):
    """Whether a saver died of being killed after ``delay`` seconds, rather than having come to its end."""
    begun, tell = os.pipe()
    child = os.fork()
    if not child:
        os.write(tell, b"!")
        store(folder, target, generation)
        os._exit(0)
    os.read(begun, 1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(begun)
    os.close(tell)
    return os.WIFSIGNALED(status)


def whole(folder):
    """What is in a folder and in the one below it, but for the sums, which are taken away where they are stale."""
    those = names(folder) + [f"folder/{name}" for name in names(f"{folder}/folder")]
    return [name for name in those if not name.endswith(".sha256")]


def sums_beside(folder):
    """Let each target that is a file have its sum beside it."""
    for target in FILES:
        sum_beside(folder / target)


def main(folder, n_kills, seed):
    chosen = random.Random(seed)  # noqa: S311 - which moments
    seconds = {}
    for target in TARGETS:
        store(folder, target, 0)
        start = time.perf_counter()
        store(folder, target, 0)
        seconds[target] = time.perf_counter() - start
    tidy = len(whole(folder))
    sums_beside(folder)
    current = dict.fromkeys(TARGETS, 0)
    told = {"killed": 0, "old": 0, "new": 0, "litter": 0, "stale": 0}
    for number in range(1, n_kills + 1):
        target = TARGETS[number % len(TARGETS)]
        told["killed"] += killed(folder, target, number, chosen.uniform(0, 2.2 * seconds[target]))
        there = found(folder, target)
        assert there in (current[target], number), (target, there, current[target], number)
        told["new" if there == number else "old"] += 1
        has_sum = target in FILES and (folder / f"{target}.sha256").exists()
        check_sum(folder, target, is_stale=has_sum and there != current[target])
        told["stale"] += has_sum and there != current[target]
        current[target] = there
        told["litter"] += len(whole(folder)) > tidy
        if number % 5 == 0:
            # The next saves, which come to their end, take all litter away.
            for each in TARGETS:
                store(folder, each, number)
                current[each] = number
            assert len(whole(folder)) == tidy, whole(folder)
            assert [found(folder, each) for each in TARGETS] == [number] * len(TARGETS)
            sums_beside(folder)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
