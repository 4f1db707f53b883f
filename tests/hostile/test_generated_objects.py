"""Generated pickles of described objects and changed ones of torch: each is read or refused, in little memory and time.

A few hundred here; ``python -m tests.hostile.generated_objects 0 15000`` is the long run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

N, N_ACTS = 450, 3


def test_generated_files_are_described_or_refused_and_nothing_of_them_runs():
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.generated_objects", "1", str(N)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    del told["longest"], told["megabytes"]
    assert told.pop("touched") == 0
    known = {"read", "UnsafeCheckpointError", "CorruptCheckpointError", "CheckpointMismatchError", "InvalidTargetError"}
    assert set(told) <= known, [each for each in told if each not in known][:3]
    assert sum(told.values()) == N_ACTS * N
    assert told["read"] > N
