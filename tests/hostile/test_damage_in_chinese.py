"""What is said of a damaged file has its Chinese, whatever the damage is."""

from __future__ import annotations

import io
import random

import torch
from safetensors.torch import save
from torch import nn

import nnwidgets as nnw
from tests.hostile.mutated_files import Mutator
from tests.support.chinese import without_chinese


def saved(state, **options):
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


def damaged_files(draw):
    state = nn.Linear(3, 2).state_dict()
    whole = [saved({"model": state, "lr": 0.1}), saved(state, _use_new_zipfile_serialization=False), save(state)]
    for n in range(200):
        held = bytearray(whole[n % len(whole)])
        if n % 5:
            held[draw.randrange(len(held))] = draw.randrange(256)
        else:
            del held[draw.randrange(len(held)) :]
        yield held
    made = Mutator(draw)
    for _ in range(200):
        yield made.file()


def test_each_error_and_hint_of_files_damaged_at_random_has_its_chinese(tmp_path):
    file, said = tmp_path / "net", set()
    for held in damaged_files(random.Random(7)):  # noqa: S311 - nothing is to be kept secret
        file.write_bytes(held)
        try:
            said |= set(nnw.peek(file).departures)
        except nnw.NNWidgetsError as error:
            said |= {error.message, str(error.hint)} - {""}
    assert len(said) > 50
    assert without_chinese(said) == []
