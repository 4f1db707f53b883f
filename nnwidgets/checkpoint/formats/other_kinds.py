"""Files and folders of other kinds, which people do try to load: what each is, and what can be done with it.

Told by content first, by name second; none of it is read further than that takes. To add a kind, add a line to a table.
Sources: the formats' own specifications; ``libmagic``'s database for archives and images.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.errors import CorruptCheckpointError, InvalidTargetError, NNWidgetsError, UnsafeCheckpointError
from nnwidgets.formatting import inert


class Kind(NamedTuple):
    """What something is.

    Attributes:
        what: As the sentence "… is what." has it.
        hint: What to do; ``{file}`` stands for its name.
        error: Of a program `UnsafeCheckpointError`; where damage looks the same `CorruptCheckpointError`.
    """

    what: str
    hint: str = ""
    error: type[NNWidgetsError] = InvalidTargetError


def error_of(kind: Kind, path: Path) -> NNWidgetsError:
    """The error that names it."""
    known = "" if kind.error is UnsafeCheckpointError else "no checkpoint known here: it is "
    return kind.error(
        f"{path.name} is {known}{kind.what}.", path=str(path), hint=kind.hint.replace("{file}", repr(path.name))
    )


def kind_of_file(path: Path, start: bytes, file: File) -> Kind | None:
    """What a file is that is no checkpoint; None where that can't be told.

    Args:
        path: It.
        start: Its first bytes.
        file: It, open.
    """
    if not start:
        return Kind("empty", "Get it again, or save it again.", CorruptCheckpointError)
    for offset, mark, kind in _MARKS:
        if start[offset : offset + len(mark)] == mark:
            return kind
    if start.startswith(_LUA):
        return _T7
    for tell in (_lfs_pointer, _protobuf, _msgpack, _text):
        found = tell(path, start, file)
        if found is not None:
            return found
    if file.n_bytes >= _TABLE_END and file.read(file.n_bytes - 8, 8) == _TABLE_MARK:
        return _TENSORFLOW
    return next((kind for ending, kind in _ENDINGS if path.name.endswith(ending)), None)


def kind_of_folder(names: Iterable[str]) -> Kind | None:
    """What a folder is, by the names in it, that is no checkpoint; None where that can't be told."""
    held = set(names)
    return next((kind for needed, kind in _FOLDERS if needed <= held), None)


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
    inner = next((name for name in held if name.endswith(_CHECKPOINTS)), None)
    shown = ", ".join(inert(name, 40) for name in held[:_FEW])
    told = f"of {len(held):,} files ({shown})" if inner is None else f"with {inert(inner, 60)} in it"
    return Kind(f"a zip archive {told}", _UNPACK)


_TORCHS = ("data.pkl", "/version", "/byteorder", "/data/")
"""What names in a torch file have, a damaged one's too."""


def _folders_of(names: Iterable[str]) -> set[str]:
    """The folders that files are in, each ending in a slash."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and f"{above}/" not in found:
            found.add(f"{above}/")
            above = above.rpartition("/")[0]
    return found


def _lfs_pointer(_path: Path, start: bytes, _file: File) -> Kind | None:
    if not start.startswith(b"version https://git-lfs.github.com/spec/"):
        return None
    size = start.partition(b"\nsize ")[2].split(b"\n")[0].decode("ascii", "replace")
    told = f" of {int(size):,} bytes" if size.isdecimal() and len(size) < _LONGEST_SIZE else ""
    return Kind(
        f"a Git LFS pointer, which stands for a file{told} that wasn't fetched",
        "Run git lfs pull in its repository, or download the file itself.",
    )


def _protobuf(path: Path, start: bytes, _file: File) -> Kind | None:
    """ONNX, TensorFlow and Core ML, whose messages have no mark: by the fields that they begin with."""
    fields = _fields(start)
    if not fields:
        return None
    first, second = fields[0], fields[1] if len(fields) > 1 else (0, b"")
    if first[0] == 1 and type(first[1]) is int:
        is_text = type(second[1]) is bytes and second[1].isascii() and second[1].decode("ascii").isprintable()
        if second[0] == _PRODUCER and is_text and first[1] < _MOST_VERSION:
            return _ONNX
        if second[0] == _GRAPH or path.suffix == ".onnx":
            return _ONNX
        if second[0] == _PRODUCER:
            return _CORE_ML if path.suffix == ".mlmodel" or first[1] > 1 else _SAVED_MODEL
    if path.suffix == ".pb" and first[0] == 1:
        return _SAVED_MODEL
    return None


def _fields(start: bytes) -> list[tuple[int, int | bytes]]:
    """Number and value of the first two fields of a message, as far as ``start`` has them; [] where it is none."""
    made: list[tuple[int, int | bytes]] = []
    at = 0
    while len(made) < _FIRST_FIELDS and at < len(start):
        tag, at = _varint(start, at)
        value, at = _varint(start, at)
        if tag & 7 == 0:
            made.append((tag >> 3, value))
        elif tag & 7 == _BYTES and value:
            made.append((tag >> 3, start[at : at + value]))
            at += value
        else:
            return []
        if not 0 < tag >> 3 < _MOST_FIELDS:
            return []
    return made


def _varint(data: bytes, at: int) -> tuple[int, int]:
    made = shift = 0
    while at < len(data) and shift < _LONGEST_VARINT:
        made |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < _MORE:
            break
        shift += 7
    return made, at


def _msgpack(path: Path, start: bytes, _file: File) -> Kind | None:
    """A map whose first key is text: how Flax writes its parameters."""
    at = {0xDE: 3, 0xDF: 5}.get(start[0], 1 if 0x81 <= start[0] <= 0x8F else 0)  # noqa: PLR2004
    length = start[at] & 0x1F if at and len(start) > at and 0xA1 <= start[at] <= 0xBF else 0  # noqa: PLR2004
    key = start[at + 1 : at + 1 + length]
    is_key = len(key) == length > 0 and key.isascii() and key.decode("ascii").isprintable()
    return _FLAX if is_key or path.suffix == ".msgpack" else None


def _text(path: Path, start: bytes, file: File) -> Kind | None:
    """Text: pages, answers of servers, settings, programs."""
    is_whole = file.n_bytes <= len(start)
    text = _decoded(start, is_whole=is_whole)
    if not text:
        return None
    said = inert(" ".join(text.split()), _SHOWN)
    if "<html" in text[:_SHOWN].lower() or text.lower().startswith(("<!doctype html", "<head", "<body")):
        return Kind("a web page (HTML)", "A page was downloaded in place of the file: sign in or use its raw link.")
    if text[0] in "{[":
        return _json(path, text, is_whole, said)
    if text.startswith('model_checkpoint_path: "'):
        return _TENSORFLOW
    if text[0] == "<":
        return Kind(f"XML: it says {said!r}", _ANSWER)
    is_answer = len(text) < _SHOWN and any(each in text.lower() for each in _ANSWERS)
    return Kind(f"a text file: it says {said!r}", _ANSWER, InvalidTargetError if is_answer else CorruptCheckpointError)


def _decoded(start: bytes, *, is_whole: bool) -> str:
    """Text without what is round it; "" where it is none."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut.
        if is_whole or error.start < len(start) - _LONGEST_CHARACTER:
            return ""
        text = start[: error.start].decode("utf-8")
    text = text.lstrip("\ufeff").strip()
    return "" if any(each < " " and each not in "\t\n\r\f" for each in text) else text


def _json(path: Path, text: str, is_whole: bool, said: str) -> Kind | None:
    """JSON that is no index of shards."""
    found: object = None
    if path.name.endswith(".index.json"):
        return None
    try:
        found = json.loads(text) if is_whole else None
    except (ValueError, RecursionError):
        if not path.name.endswith(".json"):
            return Kind(f"a text file: it says {said!r}", _ANSWER, CorruptCheckpointError)
    if isinstance(found, dict):
        keys = found.keys()
        if keys & {"error", "message", "detail", "errors"} and len(keys) <= _FEW:
            return Kind(f"an answer of a server (JSON): {said}", _ANSWER)
        if keys & {"architectures", "model_type", "_class_name", "transformers_version"}:
            return Kind("a model's configuration (JSON), which holds no weights", "Name the weights beside it.")
    return Kind(f"JSON: {said}", "Weights aren't kept in it: name the file that holds them.")


_UNPACK = "Unpack it into a folder of its own, and name the checkpoint in it."
_ANSWERS = (
    "404", "403", "401", "not found", "denied", "error", "forbidden", "unauthorized", "invalid", "expired", "exceeded",
    "restricted", "sign in", "log in", "login", "too many requests", "quota", "unavailable", "no such",
)  # fmt: skip
"""What servers say in place of a file."""
_ANSWER = "If it is an answer that was saved in place of the file, download it again."
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
_PACKAGE = Kind(
    "a torch.package archive", "If you trust it, load it with torch, and save its state_dict.", UnsafeCheckpointError
)
_KERAS = Kind("a Keras archive", "Its model.weights.h5 is HDF5: h5py reads its arrays.")
_NPZ = Kind(
    "an archive of NumPy's arrays (npz)",
    "numpy.load reads it, with allow_pickle left False: torch.save({name: torch.from_numpy(array) for name, array in "
    'numpy.load({file}).items()}, "weights.pt").',
)
_NPY = Kind(
    "an array of NumPy's (npy)",
    'numpy.load reads it, with allow_pickle left False: torch.save(torch.from_numpy(numpy.load({file})), "array.pt").',
)
_HDF5 = Kind("HDF5, as Keras and others write it", "h5py.File reads its arrays.")
_GGUF = Kind(
    "a GGUF file, of llama.cpp", "The gguf package's GGUFReader reads it. Look for the same weights as safetensors."
)
_ONNX = Kind(
    "an ONNX model", "onnx.load gives its weights: onnx.numpy_helper.to_array(each) for each of graph.initializer."
)
_FLAX = Kind(
    "msgpack, as Flax writes its parameters", "flax.serialization.msgpack_restore reads it, into NumPy's arrays."
)
_SAVED_MODEL = Kind("a TensorFlow model", "TensorFlow reads it, and gives its variables as NumPy's arrays.")
_TENSORFLOW = Kind(
    "a part of a TensorFlow checkpoint",
    "tf.train.load_checkpoint reads it, by the name that its parts have in common; get_tensor gives NumPy's arrays.",
)
_CORE_ML = Kind("a Core ML model", "coremltools reads it. Look for the weights that it was converted from.")
_T7 = Kind("a file of Lua Torch (t7)", "The package torchfile reads it, into NumPy's arrays.")
_OLD_TAR = "tar -xf unpacks it; name the checkpoint in it."

_MARKS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x93NUMPY", _NPY),
    (0, b"GGUF", _GGUF),
    *(
        (0, mark, Kind("a file of an old llama.cpp (ggml)", _GGUF.hint))
        for mark in (b"lmgg", b"fmgg", b"tjgg", b"algg")
    ),
    (0, b"\x89HDF\r\n\x1a\n", _HDF5),
    (0, b"\x1f\x8b", Kind("compressed (gzip)", "Unpack it: gunzip, or tar -xzf where it is an archive.")),
    (0, b"BZh", Kind("compressed (bzip2)", "Unpack it: bunzip2, or tar -xjf where it is an archive.")),
    (0, b"\xfd7zXZ\x00", Kind("compressed (xz)", "Unpack it: unxz, or tar -xJf where it is an archive.")),
    (0, b"\x28\xb5\x2f\xfd", Kind("compressed (zstd)", "Unpack it: unzstd.")),
    (0, b"\x04\x22\x4d\x18", Kind("compressed (lz4)", "Unpack it: unlz4.")),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", _UNPACK)),
    (257, b"ustar", Kind("a tar archive", _OLD_TAR)),
    (4, b"TFL3", Kind("a TensorFlow Lite model", "TensorFlow's interpreter reads it.")),
    (0, b"MATLAB 5.0 MAT-file", Kind("a MATLAB file", "scipy.io.loadmat reads its arrays.")),
    (0, b"PAR1", Kind("a Parquet table", "It is data, not weights.")),
    (0, b"ARROW1", Kind("an Arrow table", "It is data, not weights.")),
    (0, b"%PDF-", Kind("a PDF document")),
    (0, b"\x89PNG\r\n", Kind("an image (PNG)")),
    (0, b"\xff\xd8\xff", Kind("an image (JPEG)")),
    (0, b"\x7fELF", Kind("a program or a library (ELF)", "Don't run it.", error=UnsafeCheckpointError)),
    (0, b"SQLite format 3\x00", Kind("an SQLite database")),
)
"""Where in a file its mark is, the mark, and what the file is."""
_LUA = (
    b"4\n1\n3\nV 1\n",
    b"3\n1\n",
    struct.pack("<3i", 4, 1, 3) + b"V 1",
    struct.pack("<2i", 3, 1),
    struct.pack("<iqi", 4, 1, 3),
)
_ENDINGS: tuple[tuple[str, Kind], ...] = (
    (".t7", _T7),
    (".mlmodel", _CORE_ML),
    (".msgpack", _FLAX),
    (".onnx", _ONNX),
    (".pb", _SAVED_MODEL),
    (".weights", Kind("perhaps a file of Darknet", "Its layout is in the .cfg beside it.")),
    (".caffemodel", Kind("perhaps a Caffe model", "Caffe reads it.")),
)
"""What a file is by the end of its name, where its content doesn't tell."""
_ZIPS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("archive_format", "serialized_exported_program.json", "models/model.json"), _EXPORTED),
    (("constants.pkl", "code/", "bytecode.pkl"), _JIT),
    ((".data/extern_modules",), _PACKAGE),
    (("model.weights.h5",), _KERAS),
)
"""Members of which one is enough, and what the zip file is."""
_FOLDERS: tuple[tuple[frozenset[str], Kind], ...] = (
    (frozenset({"saved_model.pb"}), _SAVED_MODEL._replace(what="a TensorFlow SavedModel")),
    (frozenset({"Manifest.json", "Data"}), _CORE_ML._replace(what="a Core ML package")),
    (frozenset({"flax_model.msgpack"}), _FLAX._replace(what="a folder of a Flax model")),
    (frozenset({"tf_model.h5"}), _HDF5._replace(what="a folder of a TensorFlow model (tf_model.h5)")),
    (frozenset({"_CHECKPOINT_METADATA"}), Kind("a checkpoint of JAX's Orbax", "orbax.checkpoint reads it.")),
    (frozenset({"adapter_config.json", "adapter_model.bin"}), Kind("an adapter", "Name its adapter_model.bin.")),
)
"""Names that a folder has, all of them, and what it is."""
_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".h5", ".onnx", ".pkl")
_TABLE_MARK = bytes.fromhex("57fb808b247547db")
"""At the end of a table of LevelDB's, in which TensorFlow keeps the index of a checkpoint."""
_TABLE_END = 48
_PRODUCER, _GRAPH = 2, 7
_BYTES, _MOST_FIELDS, _FIRST_FIELDS, _MOST_VERSION = 2, 200, 2, 100
_LONGEST_VARINT, _MORE = 64, 0x80
_LONGEST_SIZE = 20
_LONGEST_CHARACTER = 4
_FEW = 3
_SHOWN = 80
