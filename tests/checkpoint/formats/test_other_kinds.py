"""Files of other kinds are named for what they are, with what to do, and never called damaged; the advice is true."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import re
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint import folder, peek


def zipped(**members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, held in members.items():
            file.writestr(name.replace("__", "/").replace("_", "."), held)
    return made.getvalue()


def tar(*names):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        for name in names or ("model_config.yaml",):
            file.addfile(tarfile.TarInfo(name), io.BytesIO())
    return made.getvalue()


def numpy_file():
    made = io.BytesIO()
    np.save(made, np.zeros(3))
    return made.getvalue()


def field(held, number=1):
    """A field of a protobuf message."""
    return bytes([number << 3 | 2, len(held)]) + held


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12345\n"
KINDS = {
    "gguf": (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + bytes(99), "GGUF"),
    "ggml": (b"lmgg" + bytes(99), "ggml"),
    "npy": (numpy_file(), r"an array of NumPy's \(npy\)"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5.*h5py"),
    "keras": (zipped(config_json="{}", model_weights_h5="x"), "Keras archive"),
    "onnx by pytorch": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(99), "an ONNX model"),
    "onnx without a producer": (b"\x08\x07:\x05abcde", "an ONNX model"),
    "TensorFlow's SavedModel": (b"\x08\x01\x12\x05\x0a\x03\x12\x01\x2a" + bytes(9), "a TensorFlow model"),
    "Core ML": (b"\x08\x04\x12\x05\x0a\x03\x0a\x01x" + bytes(9), "a Core ML model"),
    "TensorFlow's index": (bytes(90) + bytes.fromhex("57fb808b247547db"), "TensorFlow checkpoint"),
    "TensorFlow's pointer": (b'model_checkpoint_path: "model-1"\n', "TensorFlow checkpoint"),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite"),
    "Flax": (b"\x81\xa6params\x81\xa5Dense" + bytes(99), "msgpack, as Flax"),
    "Lua, binary": (struct.pack("<3i", 4, 1, 3) + b"V 1" + bytes(99), r"Lua Torch \(t7\)"),
    "Lua, a table": (struct.pack("<3i", 3, 1, 2) + bytes(99), "Lua Torch"),
    "Lua, text": (b"4\n1\n3\nV 1\n17\ntorch.FloatTensor\n", "Lua Torch"),
    "gzip": (gzip.compress(b"x" * 99), "gzip"),
    "bzip2": (bz2.compress(b"x" * 99), "bzip2"),
    "xz": (lzma.compress(b"x" * 99), "xz"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z archive"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(99), "RAR archive"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(99), "zstd"),
    "tar": (tar(), "a tar archive"),
    "zip": (zipped(README_md="x", data_csv="y"), r"a zip archive of 2 files \(README.md, data.csv\)"),
    "zip with a checkpoint": (zipped(net_pt="x", README_md="y"), "a zip archive with net.pt in it"),
    "Git LFS": (POINTER, "Git LFS pointer, which stands for a file of 12,345 bytes.*git lfs pull"),
    "Git LFS, a size of nonsense": (POINTER + b"9" * 9_000, "Git LFS pointer"),
    "a page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
    "a page with a mark before it": (b"\xef\xbb\xbf\n  <HTML lang='en'>" + b"x" * 9_000, "web page"),
    "an answer in XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML: .*AccessDenied"),
    "an answer in JSON": (b'{"error": "Repository not found"}', "answer of a server.*Repository not found"),
    "an answer": (b"Invalid username or password.", "text file: it says 'Invalid username or password.'"),
    "an answer, short": (b"404: Not Found", "404: Not Found"),
    "an answer in brackets": (b"(access denied).", "access denied"),
    "settings": (json.dumps({"model_type": "bert", "x": "y" * 300}).encode(), "a model's configuration"),
    "other JSON": (b'{"a": [1, 2]}', "it is JSON"),
    "long JSON": (json.dumps({f"k{n}": n for n in range(2_000)}).encode(), "it is JSON"),
    "a list in JSON": (b"[1, 2]", "it is JSON"),
    "a program": (b"import torch\n\nprint(1)\n", "text file"),
    "text in Chinese": ("模型".encode() * 3_000, "text file"),
    "nothing": (b"", "it is empty"),
    "a library": (b"\x7fELF\x02\x01\x01" + bytes(99), "ELF"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3" + bytes(99), "PDF"),
    "HDF5 after a block of the user's": (bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
    "MATLAB 7.3": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "MATLAB file .HDF5"),
    "ExecuTorch": (b"8\0\0\0ET12" + bytes(99), "a program of ExecuTorch"),
    "TorchScript for phones": (b"8\0\0\0PTMF" + bytes(99), "TorchScript program for mobile"),
    "ONNX Runtime": (b"8\0\0\0ORTM" + bytes(99), "ONNX Runtime"),
    "TensorRT": (b"ftrt" + bytes(99), "engine of TensorRT"),
    "MXNet": (struct.pack("<QQQ", 0x112, 0, 2) + bytes(99), "MXNet"),
    "fastText": (struct.pack("<ii", 793712314, 12) + bytes(99), "fastText"),
    "XGBoost": (b"{L\0\0\0\0\0\0\0\x07learner{" + bytes(99), "XGBoost"),
    "SentencePiece": (b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n\x0c\n\x03<s>", "SentencePiece"),
    "MindSpore": (field(field(b"conv1.weight") + field(field(b"\6\1") + field(b"Float32", 2), 2)) * 2, "MindSpore"),
    "a graph": (field(field(b"input") + field(b"Placeholder", 2)) * 2, "graph of TensorFlow"),
    "macOS's litter": (b"\x00\x05\x16\x07\0\2\0\0Mac OS X" + bytes(99), "AppleDouble"),
    "encrypted": (b"Salted__" + bytes(range(99)), "encrypted .OpenSSL"),
    "zlib": (zlib.compress(b"x" * 99), "compressed .zlib"),
    "tar, compressed": (gzip.compress(tar("net.pt")), r"tar archive, compressed \(gzip\). tar -xzf"),
    "tar with a checkpoint": (tar("a/net.pt", "b"), "tar archive with a/net.pt in it. tar -xf .*Name the checkpoint"),
    "NeMo": (tar("./model_config.yaml", "./model_weights.ckpt"), "NeMo.*model_weights.ckpt in it is the checkpoint"),
    "TorchServe": (zipped(MAR_INF__MANIFEST_json="{}").replace(b"MAR.INF", b"MAR-INF"), "TorchServe"),
    "a compiled model": (zipped(m__data__aotinductor__model__x_so="x", m__archive_format="pt2"), "AOTInductor"),
    "an office document": (zipped(word__document_xml="x"), "zip archive of 1 file .*No name in it ends as a checkp"),
    "a pointer with Windows's lines": (POINTER.replace(b"\n", b"\r\n"), "stands for a file of 12,345 bytes"),
    "a pointer of DVC": (b"outs:\n- md5: a30\n  size: 3\n", "pointer of DVC"),
    "text in UTF-16": ("Not found: sign in".encode("utf-16"), "Not found: sign in"),
    "a page in Latin-1": ("<html><body>nicht verfügbar".encode("latin-1"), "web page"),
    "a page without a head": (b"<script>window.x = 1</script>" + b"x" * 99, "web page"),
    "an adapter's settings": (b'{"peft_type": "LORA", "r": 8}', "adapter's configuration"),
    "OpenVINO": (b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO's description"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(99), "MATLAB"),
}


LIKE_DAMAGE = {"nothing", "a program", "text in Chinese"}


@pytest.mark.parametrize("ending", [".pt", ""])
@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_kind_is_named_and_not_called_damaged(name, ending, tmp_path):
    held, says = KINDS[name]
    file = tmp_path / f"held{ending}"
    file.write_bytes(held)
    with pytest.raises(nnw.NNWidgetsError) as raised:
        peek(file)
    said = str(raised.value).replace(file.name, "")
    assert re.search(says, said, re.DOTALL), said
    assert isinstance(raised.value, nnw.CorruptCheckpointError) is (name in LIKE_DAMAGE)
    assert not re.search("damaged|mislead|cut short", said)
    assert raised.value.path == str(file)
    assert folder(tmp_path).entries[0].kind in {"other", "refused"}


BY_NAME = {
    "net.t7": "Lua",
    "net.mlmodel": "Core ML",
    "flax_model.msgpack": "Flax",
    "net.onnx": "ONNX",
    "net.pb": "TensorF",
    "model.ckpt-10.data-00000-of-00001": "part of a TensorFlow checkpoint",
    "net.onnx_data": "weights of an ONNX model",
    "net.engine": "TensorRT",
    "net.pdiparams": "PaddlePaddle",
    "net.pt.003": "file that was split",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_where_the_content_does_not_tell_the_name_does(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(b"\xfe\xfe\xfe\xfe" + bytes(99))
    with pytest.raises(nnw.InvalidTargetError, match=BY_NAME[name]):
        peek(file)


FOLDERS = {
    "a TensorFlow SavedModel": ("saved_model.pb", "variables"),
    "a Core ML package": ("Manifest.json", "Data"),
    "a folder of a Flax model": ("config.json", "flax_model.msgpack"),
    "JAX's Orbax": ("_CHECKPOINT_METADATA", "manifest.ocdbt"),
    "checkpoint of JAX's Orbax": ("_METADATA", "manifest.ocdbt"),
    "a TensorFlow checkpoint": ("model-1.index", "model-1.data-00000-of-00001"),
    "DeepSpeed's ZeRO": ("zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"),
    "a model of OpenVINO": ("openvino_model.xml", "openvino_model.bin"),
}


@pytest.mark.parametrize("says", FOLDERS)
def test_a_folder_of_another_kind_is_named(says, tmp_path):
    for name in FOLDERS[says]:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(nnw.InvalidTargetError, match=says):
        peek(tmp_path)


# ---- what is advised, carried out ----


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def advice(file, error):
    """The Python in an error's hint."""
    with pytest.raises(error) as raised:
        peek(file)
    assert "damaged" not in str(raised.value)
    return re.search(r"torch\.save\(.*\)", raised.value.hint).group()


def carry_out(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(line, {"torch": torch, "numpy": np})  # noqa: S102 - what the user is told to run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_traced", [True, False])
def test_a_torchscript_file_is_named_and_its_advice_gives_a_file_that_loads(net, is_traced, tmp_path, monkeypatch):
    made = torch.jit.trace(net, torch.zeros(1, 2)) if is_traced else torch.jit.script(net)
    torch.jit.save(made, tmp_path / "net.pt")
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"TorchScript archive \(it has (constants.pkl|code/)\)"):
        peek(tmp_path / "net.pt")
    carry_out(advice(tmp_path / "net.pt", nnw.UnsafeCheckpointError), tmp_path, monkeypatch)
    assert nnw.load(net, tmp_path / "weights.pt").n_loaded == 4


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_is_named_and_its_advice_gives_a_file_that_loads(net, tmp_path, monkeypatch):
    torch.export.save(torch.export.export(net, (torch.zeros(1, 2),)), tmp_path / "net.pt2")
    carry_out(advice(tmp_path / "net.pt2", nnw.UnsafeCheckpointError), tmp_path, monkeypatch)
    assert nnw.load(net, tmp_path / "weights.pt").n_loaded == 4


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_of_arrays_is_named_and_its_advice_gives_a_file_that_loads(net, save, tmp_path, monkeypatch):
    save(tmp_path / "net.npz", **{name: each.numpy() for name, each in net.state_dict().items()})
    carry_out(advice(tmp_path / "net.npz", nnw.InvalidTargetError), tmp_path, monkeypatch)
    assert nnw.load(net, tmp_path / "weights.pt").n_loaded == 4


def test_an_array_is_named_and_its_advice_gives_a_file_that_is_read(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(3))
    carry_out(advice(tmp_path / "x.npy", nnw.InvalidTargetError), tmp_path, monkeypatch)
    assert nnw.read(tmp_path / "array.pt").tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_of_any_protocol_is_read(net, protocol, tmp_path):
    state = {name: each.numpy() for name, each in net.state_dict().items()}
    (tmp_path / "it.pkl").write_bytes(
        pickle.dumps({"model": state, "epoch": 3, "best": 0.5, "tags": ["ä", b"\xff"]}, protocol)
    )
    assert nnw.load(net, tmp_path / "it.pkl").n_loaded == 4
    made = nnw.read(tmp_path / "it.pkl")
    assert (made["epoch"], made["best"], made["tags"]) == (3, 0.5, ["ä", b"\xff"])
    assert peek(tmp_path / "it.pkl").format == "pickle"


def test_a_plain_pickle_of_tensors_says_how_to_write_it_so_that_it_is_read(net, tmp_path):
    (tmp_path / "it.pkl").write_bytes(pickle.dumps(net.state_dict()))
    with pytest.raises(nnw.UnsafeCheckpointError, match=r"plain pickle with tensors.*torch\.save instead"):
        peek(tmp_path / "it.pkl")


def test_two_pickles_in_a_file_are_not_called_damaged_alone(tmp_path):
    (tmp_path / "it.pkl").write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(nnw.CorruptCheckpointError, match="ends at byte 5, followed by 5 bytes: several values, or"):
        peek(tmp_path / "it.pkl")


def test_a_pickle_with_references_to_elsewhere_is_not_called_damaged(tmp_path):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return "storage 7" if obj is Ellipsis else None

    with (tmp_path / "it.pkl").open("wb") as file:
        Pickler(file).dump({"x": ...})
    with pytest.raises(nnw.NNWidgetsError, match="refers to 'storage 7', which is kept elsewhere") as raised:
        peek(tmp_path / "it.pkl")
    assert "damaged" not in str(raised.value)


def test_an_index_that_is_broken_is_said_to_be(tmp_path):
    file = tmp_path / "model.safetensors.index.json"
    for held, says in ((b"[1]", "no checkpoint known here"), (b'{"weight_map', "is no JSON"), (b"{}", "no weight_map")):
        file.write_bytes(held)
        with pytest.raises(nnw.CorruptCheckpointError, match=says):
            peek(file)


# ---- damage, with where it is ----


def whole(net):
    made = io.BytesIO()
    torch.save(net.state_dict(), made)
    return made.getvalue()


CUT = {
    "a zip file": (lambda data: data[:1_000], "has 1,000 bytes, and no directory among the last.*was cut short"),
    "a zip file with room set aside": (lambda data: data[:900] + bytes(999), "the last of them, which are zeros"),
    "a zip file with something after it": (
        lambda data: data + b"x" * 7,
        "its end, at byte [0-9,]+, is followed by 7 by",
    ),
    "a zip file copied as text": (lambda data: data.replace(b"\n", b"\r\n"), "copied as if it were text"),
    "a zip file copied as text, without a line feed in its end": (
        lambda _: whole(nn.Linear(2, 3)).replace(b"\n", b"\r\n"),
        "copied as if it were text",
    ),
    "a few bytes of a zip file": (lambda data: data[:4], "has 4 bytes, too few"),
    "a few bytes": (lambda _: bytes([8, 1, 0, 0]), "4 bytes long, too short"),
    "zeros alone": (lambda _: bytes(9_000), "9,000 bytes of zeros, its first 4,096 at least.*Get it again"),
    "a pickle": (lambda _: pickle.dumps([0.5] * 99)[:50], "ends before its last opcode.*was cut short"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_was_cut_short_is_said_to_be_and_not_made_to_mislead(name, net, tmp_path):
    change, says = CUT[name]
    (tmp_path / "net.pt").write_bytes(change(whole(net)))
    with pytest.raises(nnw.CorruptCheckpointError, match=f"(?s){says}") as raised:
        peek(tmp_path / "net.pt")
    assert "mislead" not in str(raised.value)


# ---- files that a zip program packed anew, and those it unpacked ----


def packed_anew(data, file, method, *, is_in_folder=True, is_mac=False, has_folders=False):
    source = zipfile.ZipFile(io.BytesIO(data))
    with zipfile.ZipFile(file, "w", method) as made:
        if has_folders:
            made.writestr("archive/", b"")
        for name in source.namelist():
            made.writestr(name if is_in_folder else name.partition("/")[2], source.read(name))
            if is_mac:
                made.writestr(f"__MACOSX/._{name}", b"x")


ANEW = {
    "compressed": (zipfile.ZIP_DEFLATED, {}),
    "with folders": (zipfile.ZIP_STORED, {"has_folders": True}),
    "without its folder": (zipfile.ZIP_STORED, {"is_in_folder": False}),
    "compressed, without its folder": (zipfile.ZIP_DEFLATED, {"is_in_folder": False}),
    "by macOS": (zipfile.ZIP_DEFLATED, {"is_mac": True}),
}


@pytest.mark.skipif(not shutil.which("zip") or not shutil.which("unzip"), reason="what is advised needs zip and unzip")
@pytest.mark.parametrize("how", ANEW)
def test_a_file_packed_anew_is_told_how_to_be_written_so_that_it_loads(how, net, tmp_path, monkeypatch):
    method, others = ANEW[how]
    packed_anew(whole(net), tmp_path / "net.pt", method, **others)
    with pytest.raises(nnw.CorruptCheckpointError, match="A zip program packed it anew") as raised:
        peek(tmp_path / "net.pt")
    assert not re.search("damaged|mislead", str(raised.value))
    call = re.search(r"torch\.save\(.*\)", raised.value.hint)
    if call:
        carry_out(call.group(), tmp_path, monkeypatch)
    else:
        command = re.search("unzip .*[^.]", raised.value.hint).group()
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)  # noqa: S602 - what the user is told to run
    assert nnw.load(net, tmp_path / ("anew.pt" if call else "whole.pt")).n_loaded == 4


@pytest.mark.skipif(not shutil.which("zip"), reason="what is advised needs zip")
def test_a_file_that_was_unpacked_is_told_how_to_be_put_together_so_that_it_loads(net, tmp_path):
    zipfile.ZipFile(io.BytesIO(whole(net))).extractall(tmp_path)  # noqa: S202 - made above
    with pytest.raises(nnw.CorruptCheckpointError, match="below it is archive"):
        peek(tmp_path)
    with pytest.raises(nnw.InvalidTargetError, match=r"it is a file of torch\.save, unpacked") as raised:
        peek(tmp_path / "archive")
    command = re.search("zip .*'", raised.value.hint).group()
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)  # noqa: S602 - what the user is told to run
    assert nnw.load(net, tmp_path / "whole.pt").n_loaded == 4


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_told_how_to_be_unpacked_whatever_it_is_called(compress, net, tmp_path):
    (tmp_path / "net.pt").write_bytes(compress(whole(net)))
    with pytest.raises(nnw.InvalidTargetError, match="compressed") as raised:
        peek(tmp_path / "net.pt")
    command = re.search("[a-z0-9]+ -dc < 'net.pt' > unpacked", raised.value.hint).group()
    if shutil.which(command.split()[0]):
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)  # noqa: S602 - what the user is told to run
        assert nnw.load(net, tmp_path / "unpacked").n_loaded == 4


def test_arrays_beside_text_and_objects_are_taken_by_what_is_advised(tmp_path, monkeypatch):
    np.savez(tmp_path / "net.npz", weight=np.ones((3, 2), np.float32), bias=np.zeros(3, np.float32), note=np.array("x"))
    carry_out(advice(tmp_path / "net.npz", nnw.InvalidTargetError), tmp_path, monkeypatch)
    assert nnw.load(nn.Linear(2, 3), tmp_path / "weights.pt").n_loaded == 2


def test_a_torch_package_is_named_and_its_advice_opens_it(net, tmp_path):
    with torch.package.PackageExporter(tmp_path / "net.pt") as file:
        file.extern("**")
        file.save_pickle("model", "model.pkl", net)
    with pytest.raises(
        nnw.UnsafeCheckpointError, match=r"PackageImporter\('net\.pt'\) loads what is in it; file_structure"
    ):
        peek(tmp_path / "net.pt")
    assert torch.package.PackageImporter(tmp_path / "net.pt").file_structure().has_file("model/model.pkl")


def test_an_address_is_said_to_be_one():
    with pytest.raises(nnw.PathNotFoundError, match="It is an address: download the file"):
        peek("https://huggingface.co/x/y/resolve/main/model.safetensors")
