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


def torch_lacks(path):
    """That torch has nothing at the path, such as ``serialization.safe_globals``; empty where it has."""
    try:
        pkgutil.resolve_name(f"torch.{path}")
    except (ImportError, AttributeError):
        return f"torch {torch.__version__} has no torch.{path}"
    return ""


def needs_torch(path):
    """A mark that skips a test where torch has nothing at the path."""
    return pytest.mark.skipif(bool(torch_lacks(path)), reason=torch_lacks(path))


LACKS_FSDP2 = torch_lacks("distributed.fsdp.fully_shard")
needs_fsdp2 = needs_torch("distributed.fsdp.fully_shard")


def each_kind(kinds):
    """Ways of spreading a model as a test's parameters; those with FSDP2 are skipped where torch has none."""
    return [pytest.param(kind, marks=() if kind in ("DDP", "TP", "uneven TP") else needs_fsdp2) for kind in kinds]


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
