"""Archives: zip and tar files told by what is in them, compressed files by how that begins.

Sources: POSIX ``ustar``; what each library writes, where it isn't said.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind
from nnwidgets.errors import UnsafeCheckpointError
from nnwidgets.formatting import and_more, counted, inert


def kind_of_zip(names: Iterable[str]) -> Kind | None:
    """What a zip file is, by its members, that is none of ``torch.save``; None for one that may be."""
    held = list(names)
    members = {*held, *(name.partition("/")[2] for name in held)}
    members |= _folders_of(members)
    for needed, kind in _ZIPS:
        found = next((each for each in needed if each in members), None)
        if found is not None:
            told = ": a program, not a checkpoint" if kind.error is UnsafeCheckpointError else ""
            return kind._replace(what=f"{kind.what} (it has {found}){told}")
    if not held or any(mark in f"/{name}" for name in held for mark in _TORCHS):
        return None
    if all(name.endswith(".npy") for name in held):
        return _NPZ
    return _archive("a zip archive", held)


def kind_of_tar(_path: Path, start: bytes, file: File) -> Kind | None:
    """What a tar file is, by its members."""
    if start[_TAR_AT : _TAR_AT + len(_TAR_MARK)] != _TAR_MARK:
        return None
    names = list(_tar_names(file))
    if {"model_config.yaml", "model_weights.ckpt"} <= {Path(name).name for name in names}:
        return Kind("an archive of NeMo's (tar)", f"{_TAR} model_weights.ckpt in it is the checkpoint.")
    kind = _archive("a tar archive", names)
    return kind._replace(hint=f"{_TAR} {kind.hint.partition('. ')[2]}".rstrip())


def kind_of_compressed(_path: Path, start: bytes, _file: File) -> Kind | None:
    """What a compressed file is, by its mark and by how its content begins."""
    for mark, name, command, tar_flag, open_one in _COMPRESSIONS:
        if not start.startswith(mark):
            continue
        held = _unpacked(start, open_one)
        if name == "zlib" and not held:
            continue
        if held[_TAR_AT : _TAR_AT + len(_TAR_MARK)] == _TAR_MARK:
            return Kind(f"a tar archive, compressed ({name})", f"tar -x{tar_flag}f unpacks it; {_NAME_INNER}")
        if held or not tar_flag:
            return Kind(f"compressed ({name})", f"Unpack it: {command}.")
        return Kind(f"compressed ({name})", f"Unpack it: {command}; tar -x{tar_flag}f where it is an archive.")
    return None


def _archive(what: str, names: Sequence[str]) -> Kind:
    """An archive by the names in it."""
    inner = [name for name in names if name.endswith(_CHECKPOINTS)]
    if inner:
        shown = f"{', '.join(inert(name, 60) for name in inner[:_FEW])}{and_more(len(inner) - _FEW)}"
        return Kind(f"{what} with {shown} in it", f"Unpack it into a folder of its own. {_NAME_INNER.capitalize()}")
    shown = f"{', '.join(inert(name, 40) for name in names[:_FEW])}{and_more(len(names) - _FEW)}"
    told = f"{what} of {counted(len(names), 'file')} ({shown})" if names else f"{what} with nothing in it"
    return Kind(told, "No name in it ends as a checkpoint's does." if names else "")


def _folders_of(names: Iterable[str]) -> set[str]:
    """The folders that files are in, each ending in a slash."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and f"{above}/" not in found:
            found.add(f"{above}/")
            above = above.rpartition("/")[0]
    return found


def _tar_names(file: File) -> Iterator[str]:
    """Names of the files in a tar file, the first few hundred."""
    at = 0
    for _ in range(_MOST_MEMBERS):
        if at + _BLOCK > file.n_bytes:
            return
        header = file.read(at, _BLOCK)
        size = header[124:136].strip(b"\0 ")
        if header[_TAR_AT : _TAR_AT + len(_TAR_MARK)] != _TAR_MARK or not size.isdigit() or set(size) & set(b"89"):
            return
        if header[156:157] in b"0\0":
            yield header[:100].split(b"\0")[0].decode("utf-8", "replace").removeprefix("./")
        at += _BLOCK + -(-int(size, 8) // _BLOCK) * _BLOCK


def _unpacked(start: bytes, open_one: Any) -> bytes:
    """How the content of a compressed file begins, as far as its first bytes tell; b"" where they don't."""
    if open_one is None:
        return b""
    try:
        made: bytes = open_one().decompress(start, _BLOCK)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):
        return b""
    return made


_FEW = 3
_BLOCK = 512
_MOST_MEMBERS = 400
_TAR_AT, _TAR_MARK = 257, b"ustar"
_NAME_INNER = "name the checkpoint in it."
_TAR = "tar -xf unpacks it."
_MEMORY = 2**26
_COMPRESSIONS: tuple[tuple[bytes, str, str, str, Any], ...] = (
    (b"\x1f\x8b", "gzip", "gzip -dc < {file} > unpacked", "z", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    (b"BZh", "bzip2", "bzip2 -dc < {file} > unpacked", "j", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", "xz", "xz -dc < {file} > unpacked", "J", lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
    (b"\x5d\x00\x00", "lzma", "xz -dc --format=lzma < {file} > unpacked", "J", None),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc < {file} > unpacked", " --zstd -", None),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc < {file} > unpacked", "", None),
    *(
        (mark, "zlib", "zlib.decompress gives its content", "", zlib.decompressobj)
        for mark in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
    ),
)
"""The mark of each, its name, how to unpack it, what tar calls it, and what unpacks the start of it here."""
_TORCHS = ("data.pkl", "/version", "/byteorder", "/data/")
"""What names in a torch file have, a damaged one's too."""
_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".h5", ".onnx", ".pkl", ".mlmodel", ".pb", ".pth.tar")
_JIT = Kind(
    "a TorchScript archive",
    "If you trust it, torch.jit.load it, and save its state_dict: "
    'torch.save(torch.jit.load({file}, map_location="cpu").state_dict(), "weights.pt").',
    error=UnsafeCheckpointError,
)
_EXPORTED = Kind(
    "an exported program",
    'If you trust it: torch.save(torch.export.load({file}).state_dict, "weights.pt").',
    error=UnsafeCheckpointError,
)
_COMPILED = Kind(
    "a compiled model (AOTInductor)",
    "Its weights are within its library; get the state dict of the model that it was compiled from.",
    error=UnsafeCheckpointError,
)
_PACKAGE = Kind(
    "a torch.package archive",
    "If you trust it, torch.package.PackageImporter({file}) loads what is in it; file_structure() lists that.",
    error=UnsafeCheckpointError,
)
_KERAS = Kind("a Keras archive", "Its model.weights.h5 is HDF5: h5py reads its arrays.")
_NPZ = Kind(
    "an archive of NumPy's arrays (npz)",
    "numpy.load reads it, with allow_pickle left False, which refuses arrays of objects: torch.save({name: "
    "torch.from_numpy(array) for name, array in numpy.load({file}).items() if array.dtype.kind in 'biufc'}, "
    '"weights.pt").',
)
_ZIPS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("data/aotinductor/",), _COMPILED),
    (("archive_format", "serialized_exported_program.json", "models/model.json"), _EXPORTED),
    (("constants.pkl", "code/", "bytecode.pkl"), _JIT),
    ((".data/extern_modules",), _PACKAGE),
    (("model.weights.h5",), _KERAS),
    (
        ("_stable_baselines3_version",),
        Kind("an archive of Stable-Baselines3", "Unpack it into a folder of its own; policy.pth is its network's."),
    ),
    (
        ("MAR-INF/", "MAR-INF/MANIFEST.json"),
        Kind("an archive of TorchServe (mar)", "Unpack it; MAR-INF/MANIFEST.json says which file is the model."),
    ),
)
"""Members of which one is enough, and what the zip file is."""
