"""The stages of a load, before each of which a test can have something happen."""

from __future__ import annotations

import importlib

from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.loading.copy_tensors import Transfer

LOAD_STAGES = {
    "plan": (importlib.import_module("nnwidgets.checkpoint.loading.load"), "loaded_entries"),
    "sums": (CheckpointReader, "verify_files"),
    "write": (Transfer, "_in_lanes"),
    "verify": (Transfer, "differing"),
}
"""By their names, where each begins; of "write", what ends when some is written."""


def call_at(stage, happen, stages=LOAD_STAGES):
    """Have something be called at a stage from now on; gives what has it be as it was."""
    place, name = stages[stage]
    real = getattr(place, name)

    def with_it(*args, **options):
        if stage == "write":  # when some of it is written
            real(*args, **options)
        happen()
        return real(*args, **options)

    setattr(place, name, with_it)
    return lambda: setattr(place, name, real)
