"""What several processes save together is read by one, without a process group."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

import nnwidgets as nnw
from tests.support import gloo_saver


def test_tensors_spread_over_two_processes_come_back_whole(tmp_path):
    folder = tmp_path / "it"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", gloo_saver.__name__, str(rank), tmp_path / "store", folder],
            cwd=Path(__file__).parents[3],
            env=environment,
        )
        for rank in range(2)
    ]
    try:
        assert [each.wait(timeout=120) for each in running] == [0, 0]
    finally:
        for each in running:
            each.kill()
    index = nnw.peek(folder)
    assert (index.format, index.state_dict, index.departures) == ("distributed", "model", ())
    assert index.values["epoch"] == "4"
    assert len([name for name in index.files if name.endswith(".distcp")]) == 2
    whole = gloo_saver.whole()
    expected = {"rows": whole, "columns": whole, "everywhere": whole, "one row": whole[:1], "plain": whole}
    found = nnw.read(folder)
    assert found["epoch"] == 4
    assert set(found["model"]) == set(expected)
    assert all(torch.equal(found["model"][name], value) for name, value in expected.items())
