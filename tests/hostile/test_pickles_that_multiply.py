"""A small pickle that asks for the same again and again is refused, or read, in little time and memory."""

from __future__ import annotations

import pytest
from torch import nn

import nnwidgets as nnw
from tests.hostile.confined import CORRUPT, UNSAFE
from tests.hostile.pickle_bombs import BOMBS, aside, get
from tests.support.torch_builder import Raw, Storage, opcodes, tensor, torch_zip

MISMATCH = "CheckpointMismatchError"


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_pickle_that_asks_for_much_takes_little(name, confined, tmp_path):
    build, n = BOMBS[name]
    path = tmp_path / "bomb.pt"
    path.write_bytes(torch_zip({"w": tensor(), "x": Raw(build(n))}))
    answer = confined.read(path)
    assert answer["error"] in (None, CORRUPT, UNSAFE, MISMATCH), (answer["error"], answer["message"][:200])
    assert "takes more memory" not in answer["message"]
    assert len(answer["message"]) < 1_000
    assert answer["seen"] == []


def test_dicts_that_repeat_each_other_are_no_state_dict_of_thousands_of_names(tmp_path):
    dicts = aside(b"}" + opcodes("0.weight") + opcodes(tensor()) + b"s", 1)
    for level in range(1, 15):
        dicts += aside(b"}(" + opcodes("a") + get(level) + opcodes("b") + get(level) + b"u", level + 1)
    path = tmp_path / "tree.pt"
    path.write_bytes(torch_zip({"w": tensor(), "x": Raw(dicts + get(15))}))
    with pytest.raises(nnw.CorruptCheckpointError, match=r"stands for .* objects by repeating 32"):
        nnw.plan(nn.Linear(2, 2), path)


def test_tensors_that_lie_through_each_other_too_finely_are_told_as_that(tmp_path):
    steps = {f"t{i}": tensor(Storage(n=40_400), first=i, shape=(200,), strides=(i % 190 + 2,)) for i in range(120)}
    path = tmp_path / "comb.pt"
    path.write_bytes(torch_zip(steps, {"0": bytes(4 * 40_400)}))
    found = nnw.peek(path)
    assert found.ties == ()
    (told,) = found.departures
    assert told.startswith("Which of 120 tensors over one storage, t0 the first, share bytes isn't told")
