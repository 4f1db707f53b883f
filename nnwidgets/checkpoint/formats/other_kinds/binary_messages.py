"""Formats that have no mark, told by their first fields: messages of protobuf, maps of msgpack.

Sources: ``onnx.proto``, TensorFlow's ``graph.proto`` and ``saved_model.proto``, Core ML's ``Model.proto``, MindSpore's
``checkpoint.proto``, ``sentencepiece_model.proto``, ``caffe.proto``; the encodings of protobuf and msgpack.
"""

from __future__ import annotations

from pathlib import Path

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind


def protobuf(path: Path, start: bytes, _file: File) -> Kind | None:
    """ONNX, TensorFlow, Core ML, MindSpore, SentencePiece: by the fields that their messages begin with."""
    fields = _fields(start)
    if not fields:
        return None
    first, second = fields[0], fields[1] if len(fields) > 1 else (0, b"")
    if first[0] == 1 and type(first[1]) is int:
        if second[0] == _PRODUCER and _is_text(second[1]) and first[1] < _MOST_VERSION:
            return ONNX
        if second[0] == _GRAPH or path.suffix == ".onnx":
            return ONNX
        if second[0] == _PRODUCER:
            return CORE_ML if path.suffix == ".mlmodel" or first[1] > 1 else SAVED_MODEL
    return _of_messages(first)


def _of_messages(first: tuple[int, int | bytes]) -> Kind | None:
    """A message that begins with the first of several messages, each of a name and something."""
    number, held = first
    if number != 1 or type(held) is not bytes:
        return None
    fields = _fields(held)
    if not fields or fields[0][0] != 1 or not _is_text(fields[0][1]):
        return None
    number, value = fields[1] if len(fields) > 1 else (0, b"")
    if number == _PRODUCER and type(value) is bytes:
        return TENSORFLOW_GRAPH if _is_text(value) else MINDSPORE
    at = 2 + len(fields[0][1]) if type(fields[0][1]) is bytes else len(held)
    return SENTENCE_PIECE if held[at : at + 1] == _SCORE else None


def _is_text(value: int | bytes) -> bool:
    try:
        return type(value) is bytes and bool(value) and value.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _fields(start: bytes) -> list[tuple[int, int | bytes]]:
    """Number and value of the first two fields of a message, as far as ``start`` has them; [] where it is none.

    Of a message whose second field is of another sort, the first alone.
    """
    made: list[tuple[int, int | bytes]] = []
    at = 0
    while len(made) < _FIRST_FIELDS and at < len(start):
        tag, at = _varint(start, at)
        if not 0 < tag >> 3 < _MOST_FIELDS:
            return []
        if tag & 7 not in (0, _BYTES):
            return made
        value, at = _varint(start, at)
        if tag & 7 == 0:
            made.append((tag >> 3, value))
        elif value:
            made.append((tag >> 3, start[at : at + value]))
            at += value
        else:
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


def msgpack(path: Path, start: bytes, _file: File) -> Kind | None:
    """A map whose first key is text: how Flax writes its parameters."""
    at = {0xDE: 3, 0xDF: 5}.get(start[0], 1 if 0x81 <= start[0] <= 0x8F else 0)  # noqa: PLR2004
    length = start[at] & 0x1F if at and len(start) > at and 0xA1 <= start[at] <= 0xBF else 0  # noqa: PLR2004
    key = start[at + 1 : at + 1 + length]
    is_key = len(key) == length > 0 and key.isascii() and key.decode("ascii").isprintable()
    return FLAX if is_key or path.suffix == ".msgpack" else None


ONNX = Kind(
    "an ONNX model", "onnx.load gives its weights: onnx.numpy_helper.to_array(each) for each of graph.initializer."
)
FLAX = Kind(
    "msgpack, as Flax writes its parameters", "flax.serialization.msgpack_restore reads it, into NumPy's arrays."
)
SAVED_MODEL = Kind("a TensorFlow model", "TensorFlow reads it, and gives its variables as NumPy's arrays.")
TENSORFLOW_GRAPH = Kind(
    "a graph of TensorFlow's", "tf.compat.v1.GraphDef reads it; its weights are in its nodes named Const, if at all."
)
CORE_ML = Kind("a Core ML model", "coremltools reads it. Look for the weights that it was converted from.")
MINDSPORE = Kind("perhaps a checkpoint of MindSpore's", "mindspore.load_checkpoint reads it, into its parameters.")
SENTENCE_PIECE = Kind("a tokenizer of SentencePiece's, which holds no weights", "Name the weights beside it.")
_PRODUCER, _GRAPH = 2, 7
_SCORE = b"\x15"
"""The tag of a piece's score: field 2, a float."""
_BYTES, _MOST_FIELDS, _FIRST_FIELDS, _MOST_VERSION = 2, 200, 2, 100
_LONGEST_VARINT, _MORE = 64, 0x80
