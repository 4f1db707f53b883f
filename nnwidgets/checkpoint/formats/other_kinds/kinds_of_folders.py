"""Folders, by the names in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nnwidgets.checkpoint.formats.other_kinds.binary_messages import CORE_ML, FLAX, SAVED_MODEL
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind


def kind_of_folder(names: Iterable[str]) -> Kind | None:
    """What a folder is, by the names in it, that is no checkpoint; None where that can't be told."""
    held = sorted(names)
    for patterns, kind in _FOLDERS:
        if all(any(re.fullmatch(pattern, name) for name in held) for pattern in patterns):
            return kind
    return None


_ORBAX = Kind("a checkpoint of JAX's Orbax", "orbax.checkpoint reads it.")
_UNPACKED = Kind(
    "a file of torch.save, unpacked",
    "Some browsers and archivers unpack it by themselves. In the folder above it, put it together again: "
    "zip -0 -X -D -r whole.pt {file}, and name whole.pt.",
)
_TENSORFLOW = Kind(
    "a TensorFlow checkpoint", "tf.train.load_checkpoint reads it, given the folder; get_tensor gives NumPy's arrays."
)
_ZERO = Kind(
    "what DeepSpeed's ZeRO writes: a part of every tensor in each file",
    "zero_to_fp32.py, which DeepSpeed puts in the folder above it, makes one state dict of them.",
)
_FOLDERS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("data.pkl", "data", "version"), _UNPACKED),
    ((r"saved_model\.pb",), SAVED_MODEL._replace(what="a TensorFlow SavedModel")),
    ((r".*\.index", r".*\.data-\d{5}-of-\d{5}"), _TENSORFLOW),
    ((r"Manifest\.json", "Data"), CORE_ML._replace(what="a Core ML package")),
    ((r"coremldata\.bin",), CORE_ML._replace(what="a compiled Core ML model")),
    ((r"flax_model\.msgpack",), FLAX._replace(what="a folder of a Flax model")),
    (
        (r"tf_model\.h5",),
        Kind("a folder of a TensorFlow model (tf_model.h5)", "h5py.File reads the arrays of tf_model.h5."),
    ),
    (("_CHECKPOINT_METADATA",), _ORBAX),
    ((r"manifest\.ocdbt",), _ORBAX),
    ((r"(bf16_)?zero_pp_rank_\d+_mp_rank_\d+_optim_states\.pt",), _ZERO),
    ((r".*\.xml", r".*\.bin"), Kind("a model of OpenVINO's", "openvino.Core().read_model of its .xml reads it.")),
    ((r"\.zgroup|\.zarray|zarr\.json",), Kind("an array store of Zarr's", "zarr.open reads its arrays.")),
    (
        (r"adapter_config\.json", r"adapter_model\.bin"),
        Kind("an adapter", "Name its adapter_model.bin."),
    ),
)
"""Patterns that names in a folder fit, each one of them, and what the folder is."""
