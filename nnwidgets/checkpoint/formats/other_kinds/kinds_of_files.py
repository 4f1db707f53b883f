"""Files told by marks at known places, and where there is none by the ends of their names.

Sources: the formats' own specifications; ``libmagic``'s database for archives, images and programs.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.other_kinds.archives import kind_of_compressed, kind_of_tar
from nnwidgets.checkpoint.formats.other_kinds.binary_messages import CORE_ML, FLAX, ONNX, SAVED_MODEL, msgpack, protobuf
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind
from nnwidgets.checkpoint.formats.other_kinds.text_files import lfs_pointer, text
from nnwidgets.errors import CorruptCheckpointError, UnsafeCheckpointError
from nnwidgets.formatting import counted


def kind_of_file(path: Path, start: bytes, file: File) -> Kind | None:
    """What a file is that is no checkpoint; None where that can't be told.

    Args:
        path: It.
        start: Its first bytes.
        file: It, open.
    """
    if not start:
        return Kind("empty", _AGAIN, CorruptCheckpointError)
    for tell in (_marked, kind_of_tar, kind_of_compressed, lfs_pointer, protobuf, msgpack, text):
        found = tell(path, start, file)
        if found is not None:
            return found
    if file.n_bytes >= _TABLE_END and file.read(file.n_bytes - 8, 8) == _TABLE_MARK:
        return _TENSORFLOW
    named = next((kind for pattern, kind in _NAMES if re.search(pattern, path.name)), None)
    return named or _too_little(start, file)


def _marked(_path: Path, start: bytes, _file: File) -> Kind | None:
    """A file that has its mark at a known place."""
    if start.startswith(_LUA):
        return _T7
    return next((kind for offset, mark, kind in _MARKS if start[offset : offset + len(mark)] == mark), None)


def _too_little(start: bytes, file: File) -> Kind | None:
    """A file that has too few bytes, or none but zeros where something should be."""
    if file.n_bytes < _FEWEST:
        return Kind(f"{counted(file.n_bytes, 'byte')} long, too short for a checkpoint", _AGAIN, CorruptCheckpointError)
    if start.strip(b"\0"):
        return None
    some = f", its first {len(start):,} at least" if file.n_bytes > len(start) else ""
    return Kind(
        f"{counted(file.n_bytes, 'byte')} of zeros{some}",
        "A download that ended early leaves such a file, and so does a disk that was full. Get it again.",
        CorruptCheckpointError,
    )


_FEWEST = 10
"""Bytes; the least safetensors file has as many."""
_AGAIN = "Get it again, or save it again."
_READS_NUMPY = "numpy.load reads it, with allow_pickle left False"
_NPY = Kind(
    "an array of NumPy's (npy)",
    f"{_READS_NUMPY}, which refuses an array of objects: torch.save(torch.from_numpy(numpy.load({{file}})), "
    '"array.pt").',
)
_HDF5 = Kind("HDF5, as Keras and others write it", "h5py.File reads its arrays.")
_GGUF = Kind(
    "a GGUF file, of llama.cpp", "The gguf package's GGUFReader reads it. Look for the same weights as safetensors."
)
_GGML = Kind("a file of an old llama.cpp or whisper.cpp (ggml)", "Look for the weights that it was converted from.")
_TENSORFLOW = Kind(
    "a part of a TensorFlow checkpoint",
    "tf.train.load_checkpoint reads it, by the name that its parts have in common; get_tensor gives NumPy's arrays.",
)
_T7 = Kind("a file of Lua Torch (t7)", "The package torchfile reads it, into NumPy's arrays.")
_EXECUTORCH = Kind("a program of ExecuTorch's", "Get the state dict of the model that it was exported from.")
_TENSORRT = Kind(
    "an engine of TensorRT's, compiled for one GPU", "Get the state dict of the model that it was built from."
)
_PROGRAM = "Don't run it."
_MEDIA = "a recording, an image or another file of media"
_APPLE = Kind("what macOS keeps beside a file (AppleDouble)", "Name the file without ._ before its name.")

_MARKS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x93NUMPY", _NPY),
    (0, b"GGUF", _GGUF),
    *((0, mark, _GGML) for mark in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
    (0, b"MATLAB 7.3 MAT-file", Kind("a MATLAB file (HDF5)", "h5py.File reads its arrays.")),
    *((place, b"\x89HDF\r\n\x1a\n", _HDF5) for place in (0, 512, 1024, 2048)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", "7z x unpacks it; name the checkpoint in it.")),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", "unrar x unpacks it; name the checkpoint in it.")),
    (4, b"TFL3", Kind("a TensorFlow Lite model", "TensorFlow's interpreter reads it.")),
    (4, b"ET12", _EXECUTORCH),
    (4, b"FT01", _EXECUTORCH._replace(what="data of a program of ExecuTorch's")),
    (4, b"PTMF", Kind("a TorchScript program for mobile devices", _EXECUTORCH.hint, UnsafeCheckpointError)),
    (4, b"ORTM", Kind("a model of ONNX Runtime's (ort)", "Look for the .onnx that it was converted from.")),
    (0, b"ftrt", _TENSORRT),
    (0, b"ptrt", _TENSORRT),
    (0, b"|TZR|", Kind("a file of Tensorizer's", "tensorizer.TensorDeserializer reads it.")),
    (0, b"MATLAB 5.0 MAT-file", Kind("a MATLAB file", "scipy.io.loadmat reads its arrays.")),
    (0, b"PAR1", Kind("a Parquet table", "It is data, not weights.")),
    (0, b"ARROW1", Kind("an Arrow table", "It is data, not weights.")),
    (0, struct.pack("<QQ", 0x112, 0), Kind("a file of MXNet's parameters", "mxnet.nd.load reads it.")),
    (0, struct.pack("<i", 793712314), Kind("a model of fastText's", "fasttext.load_model reads it.")),
    (0, struct.pack("<I", 0x01306B47), Kind("weights for ncnn", "Their layout is in the .param beside it.")),
    (0, b"{L\0\0", Kind("a model of XGBoost's (UBJSON)", "xgboost.Booster().load_model reads it.")),
    (0, b"CBM1", Kind("a model of CatBoost's", "CatBoost().load_model reads it.")),
    (0, b"Salted__", Kind("encrypted (OpenSSL)", "Decrypt it first: openssl enc -d.")),
    (0, b"\x00\x05\x16\x07", _APPLE),
    (0, b"%PDF-", Kind("a PDF document")),
    (0, b"\x89PNG\r\n", Kind("an image (PNG)")),
    (0, b"\xff\xd8\xff", Kind("an image (JPEG)")),
    (0, b"GIF8", Kind("an image (GIF)")),
    (0, b"RIFF", Kind(f"{_MEDIA} (RIFF)")),
    (4, b"ftyp", Kind(f"{_MEDIA} (MP4)")),
    (0, b"\x7fELF", Kind("a program or a library (ELF)", _PROGRAM, UnsafeCheckpointError)),
    (0, b"MZ\x90\x00", Kind("a program or a library (Windows)", _PROGRAM, UnsafeCheckpointError)),
    *(
        (0, mark, Kind("a program or a library (macOS)", _PROGRAM, UnsafeCheckpointError))
        for mark in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
    ),
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
_UNFINISHED = Kind(
    "perhaps a part of a download that didn't end", "Let it end, or get it again.", CorruptCheckpointError
)
_PADDLE = Kind("perhaps a model of PaddlePaddle's for inference", "paddle.inference or paddle.jit.load reads it.")
_NAMES: tuple[tuple[str, Kind], ...] = (
    (r"\.t7$", _T7),
    (r"\.mlmodel$", CORE_ML),
    (r"\.msgpack$", FLAX),
    (r"\.onnx$", ONNX),
    (r"\.onnx[._]data$", Kind("perhaps the weights of an ONNX model", "onnx.load of the .onnx beside it reads them.")),
    (r"\.pb$", SAVED_MODEL._replace(what="perhaps a TensorFlow model")),
    (r"\.data-\d{5}-of-\d{5}$", _TENSORFLOW),
    (r"\.ckpt(-\d+)?\.meta$", _TENSORFLOW._replace(what="the graph of a TensorFlow checkpoint")),
    (r"tfevents", Kind("perhaps a log for TensorBoard", "It holds no weights.")),
    (r"\.weights$", Kind("perhaps a file of Darknet", "Its layout is in the .cfg beside it.")),
    (r"\.caffemodel$", Kind("perhaps a Caffe model", "Caffe reads it.")),
    (r"\.(pdiparams|pdmodel)$", _PADDLE),
    (r"\.params$", Kind("perhaps a file of MXNet's parameters", "mxnet.nd.load reads it.")),
    (r"\.(engine|plan|trt)$", _TENSORRT._replace(what="perhaps an engine of TensorRT's, compiled for one GPU")),
    (r"\.pte$", _EXECUTORCH._replace(what="perhaps a program of ExecuTorch's")),
    (r"\.(crdownload|part|partial|incomplete|download|aria2)$", _UNFINISHED),
    (r"\.\d{3}$|\.part\d+$|-part-?\d+$", Kind("perhaps a part of a file that was split", "Join its parts: cat.")),
)
"""How a name ends, as a regular expression, and what the file perhaps is, where its content doesn't tell."""
_TABLE_MARK = bytes.fromhex("57fb808b247547db")
"""At the end of a table of LevelDB's, in which TensorFlow keeps the index of a checkpoint."""
_TABLE_END = 48
