"""Tests that only some environments can run: of what an older torch lacks, or of packages that lie beside."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

import pytest
import torch


def needs_torch(path):
    """A mark that skips a test where torch has nothing at the path, such as ``serialization.safe_globals``."""
    try:
        pkgutil.resolve_name(f"torch.{path}")
        lacks = False
    except (ImportError, AttributeError):
        lacks = True
    return pytest.mark.skipif(lacks, reason=f"torch {torch.__version__} has no torch.{path}")


def beside(name):
    """The folder where ``make test`` unpacks packages beside the environment; skips the test in one that has none."""
    folder = Path(sys.prefix) / "share" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: make .venv/test makes it")
    return folder
