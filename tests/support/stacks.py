"""Tests that only some environments can run: of what an older torch lacks, or of packages that lie beside."""

from __future__ import annotations

import io
import json
import pickle
import pkgutil
import sys
import tempfile
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file

from nnwidgets.checkpoint.formats.safetensors.single_file import DTYPES


def needs_torch(path):
    """A mark that skips a test where torch has nothing at the path, such as ``serialization.safe_globals``."""
    try:
        pkgutil.resolve_name(f"torch.{path}")
        lacks = False
    except (ImportError, AttributeError):
        lacks = True
    return pytest.mark.skipif(lacks, reason=f"torch {torch.__version__} has no torch.{path}")


def torch_keeps(value):
    """Whether this torch saves a value and loads it with ``weights_only=True``."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (KeyError, pickle.UnpicklingError):
        return False
    return True


def safetensors_reads(dtype):
    """Whether this safetensors loads a file with a tensor of a dtype."""
    name = next(name for name, each in DTYPES.items() if each is dtype)
    header = json.dumps({"x": {"dtype": name, "shape": [0], "data_offsets": [0, 0]}}).encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.flush()
        try:
            load_file(file.name)
        except safetensors.SafetensorError:
            return False
    return True


def beside(name):
    """The folder where ``make test`` unpacks packages beside the environment; skips the test in one that has none."""
    folder = Path(sys.prefix) / "share" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: make .venv/test makes it")
    return folder
