"""Ten thousand generated pickles of described objects: each is read or refused, in little time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

N = 2_500


@pytest.mark.parametrize("seed", range(4))
def test_generated_objects_are_described_or_refused_and_nothing_of_them_runs(seed):
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.generated_objects", str(seed), str(N)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("touched") == 0
    known = {"read", "UnsafeCheckpointError", "CorruptCheckpointError", "CheckpointMismatchError"}
    assert set(told) <= known, [each for each in told if each not in known][:3]
    assert sum(told.values()) == 2 * N
    assert told["read"] > N // 4
