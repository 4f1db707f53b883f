"""Writing a safetensors file: the header, then the tensors' memory as it is.

Names stand in the header in the model's order. Bytes lie by falling width of their elements, so that each tensor begins
where its dtype may. Of names for the same tensor one is written, and the metadata say which the others are, as
``safetensors.torch.save_model`` does. The header is written last, since it states the checksums of what was written.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from nnwidgets.checkpoint.formats.crc32 import crc32
from nnwidgets.checkpoint.formats.safetensors import crc_metadata
from nnwidgets.checkpoint.formats.safetensors.single_file import DTYPES
from nnwidgets.checkpoint.formats.safetensors.strict_json import MOST_BYTES
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted

CODES = {dtype: code for code, dtype in DTYPES.items()}
"""The format's names of dtypes."""

_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """A file before it is written.

    Attributes:
        header: Its first bytes, the length included, with room for the checksums.
        order: Names of the tensors in the order of their bytes.
        n_bytes: Of the file.
    """

    header: bytes
    order: tuple[str, ...]
    n_bytes: int


def layout(named: Mapping[str, TensorToSave], metadata: Mapping[str, str]) -> Layout:
    """Lay out tensors in a file.

    Raises:
        SaveError: A tensor is one that the format can't hold, or the header would be too long for readers.
    """
    for name, tensor in named.items():
        _check(name, tensor)
    order = sorted(named, key=lambda name: -named[name].data.element_size())
    ends: dict[str, tuple[int, int]] = {}
    at = 0
    for name in order:
        n_bytes = named[name].data.numel() * named[name].data.element_size()
        ends[name] = (at, at + n_bytes)
        at += n_bytes
    sums = {crc_metadata.KEY: crc_metadata.placeholder(len(order))}
    described: dict[str, object] = {"__metadata__": sums | dict(metadata)}
    for name, tensor in named.items():
        described[name] = {
            "dtype": CODES[tensor.data.dtype],
            "shape": list(tensor.data.shape),
            "data_offsets": list(ends[name]),
        }
    text = crc_metadata.respell(json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MOST_BYTES:
        raise SaveError(
            f"The header would have {counted(len(text), 'byte')}; it can have {MOST_BYTES:,}.",
            hint="Pass shard_size to save several files. Nothing was changed.",
        )
    header = len(text).to_bytes(8, "little") + text
    return Layout(header, tuple(order), len(header) + at)


def write(out: HashingWriter, made: Layout, named: Mapping[str, TensorToSave]) -> None:
    """Write a file that was laid out.

    Raises:
        OSError: It can't be written.
    """
    out.skip(len(made.header))
    sums = [out.write_tensor(named[name].data, crc32) for name in made.order]
    out.write_first(crc_metadata.fill_in(made.header, sums))


def _check(name: str, tensor: TensorToSave) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise SaveError(f"The name {name!r} is no text that safetensors can hold.", path=name) from None
    if name == "__metadata__":
        raise SaveError("A tensor is named __metadata__, which safetensors keeps for itself.", path=name, hint=_ELSE)
    data = tensor.data
    if not tensor.is_strided:
        found = str(data.layout).removeprefix("torch.")
        raise SaveError(f"{name} is sparse ({found}), which safetensors can't hold.", path=name, hint=_ELSE)
    if data.dtype not in CODES or data.is_quantized:
        found = str(data.dtype).removeprefix("torch.")
        raise SaveError(f"{name} is {found}, which safetensors has no name for.", path=name, hint=_ELSE)


_ELSE = 'Save to a torch file, such as "net.pt", which can. Nothing was changed.'
