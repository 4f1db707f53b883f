"""Text: pages, answers of servers, settings, pointers to files, programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind
from nnwidgets.errors import CorruptCheckpointError, InvalidTargetError
from nnwidgets.formatting import counted, inert


def lfs_pointer(_path: Path, start: bytes, _file: File) -> Kind | None:
    """What Git LFS leaves in place of a file."""
    if not start.startswith(b"version https://git-lfs.github.com/spec/"):
        return None
    size = start.partition(b"\nsize ")[2].split(b"\n")[0].strip().decode("ascii", "replace")
    told = f" of {counted(int(size), 'byte')}" if size.isdecimal() and len(size) < _LONGEST_SIZE else ""
    return Kind(
        f"a Git LFS pointer, which stands for a file{told} that wasn't fetched",
        "Run git lfs pull in its repository, or download the file itself.",
    )


def text(path: Path, start: bytes, file: File) -> Kind | None:
    """What a text is."""
    is_whole = file.n_bytes <= len(start)
    held = _decoded(start, is_whole=is_whole)
    if not held:
        return None
    said = inert(" ".join(held.split()), _SHOWN)
    lower = held[:_MOST_BEFORE].lower()
    if held[0] == "<" and any(f"<{tag}" in lower for tag in (_TAGS[:2] if lower.startswith("<?xml") else _TAGS)):
        return Kind("a web page (HTML)", "A page was downloaded in place of the file: sign in or use its raw link.")
    if held[0] in "{[":
        return _json(path, held, is_whole, said)
    for begins, kind in _TEXTS:
        if held.startswith(begins):
            return kind
    if held[0] == "<":
        return _OPENVINO if "<net " in held[:_MOST_BEFORE] else Kind(f"XML: it says {said!r}", _ANSWER)
    is_answer = len(held) < _SHORT and any(each in lower for each in _ANSWERS)
    return Kind(f"a text file: it says {said!r}", _ANSWER, InvalidTargetError if is_answer else CorruptCheckpointError)


def _decoded(start: bytes, *, is_whole: bool) -> str:
    """Text without what is round it; "" where it is none."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        held = start.decode("utf-16", "ignore")
    elif start.lstrip().startswith(b"<"):
        # Pages of old servers are in no encoding of Unicode.
        held = start.decode("utf-8", "replace")
    else:
        try:
            held = start.decode("utf-8")
        except UnicodeDecodeError as error:
            # The last character may be cut.
            if is_whole or error.start < len(start) - _LONGEST_CHARACTER:
                return ""
            held = start[: error.start].decode("utf-8")
    held = held.lstrip("\ufeff").strip()
    return "" if any(each < " " and each not in "\t\n\r\f" for each in held) else held


def _json(path: Path, held: str, is_whole: bool, said: str) -> Kind | None:
    """JSON that is no index of shards."""
    found: object = None
    if path.name.endswith(".index.json"):
        return None
    try:
        found = json.loads(held) if is_whole else None
    except (ValueError, RecursionError):
        if not path.name.endswith(".json"):
            return Kind(f"a text file: it says {said!r}", _ANSWER, CorruptCheckpointError)
    if isinstance(found, dict):
        keys = found.keys()
        for is_it, kind in _SETTINGS:
            if is_it(keys):
                return kind._replace(what=kind.what.replace("{said}", said))
    return Kind(f"JSON: {said}", "Weights aren't kept in it: name the file that holds them.")


_ANSWERS = (
    "404", "403", "401", "not found", "denied", "error", "forbidden", "unauthorized", "invalid", "expired", "exceeded",
    "restricted", "sign in", "log in", "login", "too many requests", "quota", "unavailable", "no such", "authenticated",
    "gated", "moved permanently", "timeout", "timed out",
)  # fmt: skip
"""What servers say in place of a file."""
_ANSWER = "If it is an answer that was saved in place of the file, download it again."
_TAGS = ("html", "!doctype html", "head", "body", "script", "meta", "title", "div")
_BESIDE = "Name the weights beside it."
_POINTER = "Fetch it with the tool that wrote it, or download the file itself."
_OPENVINO = Kind(
    "OpenVINO's description of a model", "Its weights are in the .bin beside it; openvino.Core().read_model reads both."
)
_TEXTS: tuple[tuple[str, Kind], ...] = (
    (
        'model_checkpoint_path: "',
        Kind(
            "a part of a TensorFlow checkpoint, which names the newest",
            "tf.train.load_checkpoint reads it, given its folder; get_tensor gives NumPy's arrays.",
        ),
    ),
    ("outs:\n- md5:", Kind("a pointer of DVC's, which stands for a file", f"Run dvc pull. {_POINTER}")),
    ("# xet version", Kind("a pointer of Xet's, which stands for a file", _POINTER)),
    ("7767517\n", Kind("ncnn's description of a model", "Its weights are in the .bin beside it; ncnn reads both.")),
    ("-----BEGIN PGP MESSAGE", Kind("encrypted (PGP)", "Decrypt it first: gpg -d.")),
)
"""How a text begins, and what it is."""
_SETTINGS: tuple[tuple[Callable[[Any], bool], Kind], ...] = (
    (
        lambda keys: bool(keys & {"error", "message", "detail", "errors"}) and len(keys) <= _FEW,
        Kind("an answer of a server (JSON): {said}", _ANSWER),
    ),
    (
        lambda keys: "peft_type" in keys,
        Kind("an adapter's configuration (JSON), which holds no weights", "Name the adapter_model file beside it."),
    ),
    (
        lambda keys: bool(keys & {"architectures", "model_type", "_class_name", "transformers_version"}),
        Kind("a model's configuration (JSON), which holds no weights", _BESIDE),
    ),
    (lambda keys: {"cells", "nbformat"} <= keys, Kind("a notebook (JSON)")),
)
"""By its keys, what JSON is."""
_LONGEST_SIZE = 20
_LONGEST_CHARACTER = 4
_FEW = 3
_SHOWN, _SHORT = 80, 400
_MOST_BEFORE = 1_000
