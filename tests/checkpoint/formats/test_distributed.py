"""What several processes save together is read by one, without a process group."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nnwidgets as nnw
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.torch.distributed import check_whole
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


def test_pieces_of_a_large_mesh_are_checked_without_comparing_them():
    grid = [((2 * row, 3 * column), (2, 3)) for row in range(200) for column in range(200)]
    check_whole("w", (400, 600), grid)  # 40,000 of them; more than are compared
    with pytest.raises(Malformed, match="overlap"):
        check_whole("w", (4, 6), [((0, 0), (2, 6)), ((2, 0), (2, 3)), ((2, 0), (2, 3))])
