"""The names that are read, those that ``torch.load(weights_only=True)`` takes and NumPy's, and what they stand for.

A function is one of ours that describes what it would make; a dtype is itself; `names` knows of all others.
Source: ``_get_allowed_globals`` in ``torch/_weights_only_unpickler.py``.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch

from nnwidgets.checkpoint.formats.pickle import numpy_values, rebuild_tensors, values
from nnwidgets.checkpoint.formats.pickle.arguments import AllowedName, StorageType
from nnwidgets.introspect.safe_access.objects import whole_name

BEYOND_TORCHS = frozenset({
    *numpy_values.CALLS, "collections.defaultdict", "builtins.frozenset", "builtins.bytes", "copyreg._reconstructor",
    "copyreg.__newobj__",
})  # fmt: skip
"""Those of them that torch doesn't take."""


def is_known_to_torch(name: str) -> bool:
    """Whether torch was told of a class that it is plain data."""
    told = torch.serialization.get_safe_globals()
    return any(isinstance(each, type) and whole_name(each) == name for each in told)


@functools.cache
def allowed_names() -> dict[str, Any]:
    """What each name that a file may import stands for."""
    made: dict[str, Any] = {
        name: AllowedName(name, call)
        for name, call in (values.CALLS | rebuild_tensors.CALLS | numpy_values.CALLS).items()
    }
    made |= {each.class_name: each for each in (rebuild_tensors.PARAMETER, rebuild_tensors.TENSOR)}
    made["torch.storage.TypedStorage"] = AllowedName("torch.storage.TypedStorage")
    for name, value in list(vars(torch).items()):
        if type(value) in (torch.dtype, torch.qscheme):
            made[f"torch.{name}"] = made[str(value)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in list(vars(torch).items()):
            if isinstance(value, type) and name.endswith("Storage") and name not in ("TypedStorage", "UntypedStorage"):
                made[f"torch.{name}"] = made[f"torch.cuda.{name}"] = StorageType(value.dtype)  # type: ignore[attr-defined]
    made["torch.storage.UntypedStorage"] = StorageType(torch.uint8)
    return made
