"""Pickles made to mislead are refused with the right error, in little time and memory, and nothing in them runs."""

from __future__ import annotations

import struct
from contextlib import nullcontext

import pytest

from tests.hostile.confined import CORRUPT, UNSAFE, refused
from tests.support.torch_builder import (
    Call,
    Global,
    Raw,
    Storage,
    in_legacy_files,
    opcodes,
    tensor,
    torch_legacy,
    torch_zip,
)


def text(value):
    return opcodes(value)


def laughs(first, again, n=60):
    """Containers that each hold the one before several times: a few bytes that stand for 10^18 values."""
    made = first + b"q\x00"
    for _ in range(n):
        made += again
    return Raw(made)


def command(canary):
    return f"touch {canary}"


PAYLOADS = {
    "system by REDUCE": (lambda c: Call("os", "system", command(c)), UNSAFE, "import os.system, to call os.system"),
    "system under its other name": (lambda c: Call("posix", "system", command(c)), UNSAFE, "posix.system"),
    "name of Python 2": (lambda c: Call("__builtin__", "eval", "1"), UNSAFE, "builtins.eval"),
    "name put together on the stack": (
        lambda c: Raw(text("os") + b"q\x01" + text("system") + b"q\x020h\x01h\x02\x93" + text((command(c),)) + b"R"),
        UNSAFE,
        "os.system",
    ),
    "classes of tensors of before torch 0.4": (
        lambda c: [Global("torch", "FloatTensor"), Global("torch.sparse", "LongTensor")],
        UNSAFE,
        r"wants to import torch\.FloatTensor, torch\.sparse\.LongTensor\. Nothing was imported",
    ),
    "name that is a number": (lambda c: Raw(text(1) + text(2) + b"\x93)R"), CORRUPT, "imports 2 from 1"),
    "state set on an object": (
        lambda c: Raw(text(Global("shelve", "Shelf")) + b")\x81" + text({"a": command(c)}) + b"b"),
        UNSAFE,
        "set .* on shelve.Shelf",
    ),
    "INST": (lambda c: Raw(b"(" + text(command(c)) + b"ios\nsystem\n"), UNSAFE, "os.system"),
    "OBJ": (lambda c: Raw(b"(" + text(Global("os", "system")) + text(command(c)) + b"o"), UNSAFE, "os.system"),
    "NEWOBJ": (
        lambda c: Raw(text(Global("subprocess", "Popen")) + text((["touch", str(c)],)) + b"\x81"),
        UNSAFE,
        "subprocess.Popen",
    ),
    "NEWOBJ_EX": (
        lambda c: Raw(text(Global("subprocess", "Popen")) + b")" + text({"args": command(c)}) + b"\x92"),
        UNSAFE,
        "subprocess.Popen",
    ),
    "several, with sound values between": (
        lambda c: [
            Call("os", "system", command(c)),
            tensor(),
            Call("builtins", "exec", "1"),
            Call("runpy", "run_path", "x"),
        ],
        UNSAFE,
        "import os.system, builtins.exec, runpy.run_path",
    ),
    "after a long way": (
        lambda c: [*([[0] * 50] * 100), {"a": {"b": Call("os", "system", command(c))}}],
        UNSAFE,
        "os.system",
    ),
    "a function for a rebuild function": (
        lambda c: Call(
            "torch._tensor",
            "_rebuild_from_type_v2",
            Global("os", "system"),
            Global("torch", "Tensor"),
            (command(c),),
            {},
        ),
        UNSAFE,
        "os.system",
    ),
    "a class for a storage's": (
        lambda c: Raw(text(("storage", Global("os", "system"), "0", "cpu", 4)) + b"Q"),
        UNSAFE,
        "os.system",
    ),
    "getattr": (
        lambda c: Call("builtins", "getattr", Global("os", "system"), "x"),
        UNSAFE,
        "builtins.getattr, os.system",
    ),
    "torch.load": (lambda c: Call("torch.serialization", "load", "x"), UNSAFE, "torch.serialization.load"),
    "torch.hub": (lambda c: Call("torch.hub", "load", "a/b", "c"), UNSAFE, "torch.hub.load"),
    "pickle within": (lambda c: Call("torch.storage", "_load_from_bytes", "x"), UNSAFE, "_load_from_bytes"),
    "numpy's reconstruct of nothing": (
        lambda c: Call("numpy.core.multiarray", "_reconstruct"),
        CORRUPT,
        "passes 0 arguments to numpy's _reconstruct",
    ),
    "name with a dot": (
        lambda c: Call("torch", "serialization.os.system", command(c)),
        UNSAFE,
        "serialization.os.system",
    ),
    "name of a megabyte": (lambda c: Raw(b"c" + b"x" * 2**20 + b"\ny\n"), CORRUPT, "name without an end"),
    "name with markup and control characters": (
        lambda c: Call("os.<img src=x>\x1b[2J", "y"),
        UNSAFE,
        r"<img src=x>",
    ),
    "a thousand imports": (lambda c: [Global("os", f"b{n}") for n in range(1_000)], UNSAFE, "os.b0, os.b1, "),
    "EXT1": (lambda c: Raw(b"\x82\x01"), UNSAFE, "copyreg extension code 1"),
    "EXT2": (lambda c: Raw(b"\x83\x01\x00"), UNSAFE, "copyreg extension code 1"),
    "EXT4": (lambda c: Raw(b"\x84\x01\x00\x00\x00"), UNSAFE, "copyreg extension code 1"),
    "laughs of lists": (lambda c: laughs(b"]", b"]q\x01(h\x00h\x00h\x00e0h\x01q\x00"), CORRUPT, "by repeating"),
    "laughs of tuples": (lambda c: laughs(b")", b"h\x00h\x00\x86q\x00"), CORRUPT, "by repeating|more than"),
    "laughs by DUP": (lambda c: Raw(b")" + b"2\x86" * 60), CORRUPT, "by repeating"),
    "laughs of dicts": (
        lambda c: laughs(b"}", b"}q\x01(" + text("a") + b"h\x00" + text("b") + b"h\x00u0h\x01q\x00"),
        CORRUPT,
        "by repeating",
    ),
    "LONG4 of two gigabytes": (lambda c: Raw(b"\x8b\xff\xff\xff\x7f"), CORRUPT, "whole number of 2,147,483,647 bytes"),
    "BINUNICODE of four gigabytes": (lambda c: Raw(b"X\xff\xff\xff\xff"), CORRUPT, "ends before"),
    "BINUNICODE8 of exabytes": (lambda c: Raw(b"\x8d" + b"\xff" * 8), CORRUPT, "ends before"),
    "BINBYTES8 of exabytes": (lambda c: Raw(b"\x8e" + b"\xff" * 7 + b"\x7f"), CORRUPT, "ends before"),
    "bytearray of a terabyte": (lambda c: Call("builtins", "bytearray", 2**40), CORRUPT, "makes a bytearray"),
    "text that is no UTF-8": (lambda c: Raw(b"X\x02\x00\x00\x00\xff\xfe"), CORRUPT, "UTF-8"),
    "shape beyond all memory": (lambda c: tensor(shape=(2**40, 2**40), strides=(0, 0)), CORRUPT, "more elements than"),
    "shape beyond its storage": (lambda c: tensor(shape=(1_000_000,)), CORRUPT, "needs 4,000,000 bytes .* has 16"),
    "shape below zero": (lambda c: tensor(shape=(-1,)), CORRUPT, "none negative"),
    "shape of floats": (lambda c: tensor(shape=(4.0,)), CORRUPT, "whole numbers"),
    "shape of a hundred dimensions": (lambda c: tensor(shape=(1,) * 100, strides=(1,) * 100), CORRUPT, "up to 64"),
    "empty beside a shape beyond all memory": (
        lambda c: tensor(shape=(0, 2**60, 2**60), strides=(1, 1, 1)),
        CORRUPT,
        "more elements",
    ),
    "stride below zero": (lambda c: tensor(first=3, strides=(-1,)), CORRUPT, "strides .* none negative"),
    "stride beyond its storage": (lambda c: tensor(strides=(2**50,)), CORRUPT, "needs"),
    "strides of another length": (lambda c: tensor(strides=(1, 1)), CORRUPT, "with strides"),
    "offset beyond its storage": (lambda c: tensor(first=1), CORRUPT, "needs 20 bytes .* has 16"),
    "offset below zero": (lambda c: tensor(first=-1), CORRUPT, "begins at element -1"),
    "offset of an empty tensor beyond its storage": (lambda c: tensor(first=2**40, shape=(0,)), CORRUPT, "needs"),
    "tensor over a tensor": (
        lambda c: tensor(tensor(shape=(2**40,), strides=(0,)), shape=(2**30,)),
        CORRUPT,
        "expected a storage",
    ),
    "storage named twice with different sizes": (
        lambda c: [tensor(), tensor(Storage(n=2**30), shape=(2**30,))],
        CORRUPT,
        "1,073,741,824|4,294,967,296",
    ),
    "storage of elements below zero": (lambda c: tensor(Storage(n=-4)), CORRUPT, "of -4 elements"),
    "storage that isn't there": (
        lambda c: tensor(Storage(key="7")),
        CORRUPT,
        "lacks the storage '7'|expected the same",
    ),
    "persistent id that is a number": (lambda c: Raw(text(7) + b"Q"), CORRUPT, "refers to 7"),
    "persistent id that is text": (lambda c: Raw(text("storage") + b"Q"), CORRUPT, "refers to 'storage'"),
    "persistent id of a module": (
        lambda c: Raw(text(("module", None, "a.py", "x")) + b"Q"),
        CORRUPT,
        "expected a storage",
    ),
    "persistent id of wrong types": (
        lambda c: Raw(text(("storage", 1, [], 2, "x")) + b"Q"),
        CORRUPT,
        "names a storage by|expected a storage",
    ),
    "list that holds itself": (lambda c: Raw(b"]q\x00h\x00a"), CORRUPT, "holds itself"),
    "dict that holds itself": (lambda c: Raw(b"}q\x00" + text("a") + b"h\x00s"), CORRUPT, "holds itself"),
    "tuple that holds itself": (lambda c: Raw(b"]q\x00h\x00\x85q\x01a0h\x01"), CORRUPT, "holds itself"),
    "tuples a hundred thousand deep": (lambda c: Raw(b")" + b"\x85" * 100_000), CORRUPT, "more than 200 deep"),
    "tuples a hundred thousand deep for a key": (
        lambda c: Raw(b"}" + b")" + b"\x85" * 100_000 + b"Ns"),
        CORRUPT,
        "has the key",
    ),
    "marks a million deep": (lambda c: Raw(b"(" * 1_000_000), CORRUPT, "marks open"),
    "keys whose hashes meet": (
        lambda c: Raw(b"}(" + b"".join(text(n * (2**61 - 1)) + b"N" for n in range(1, 30_000)) + b"u"),
        CORRUPT,
        "has the key",
    ),
    "key that is a list": (lambda c: Raw(b"}]Ns"), CORRUPT, r"has the key \[\]"),
    "key without a value": (lambda c: Raw(b"}(" + text("a") + b"u"), CORRUPT, "no value"),
    "set of lists": (lambda c: Call("builtins", "set", [[1]]), CORRUPT, "has the key"),
    "rebuild with too few arguments": (
        lambda c: Call("torch._utils", "_rebuild_tensor_v2", Storage()),
        CORRUPT,
        "passes 1 argument",
    ),
    "rebuild with a number for arguments": (
        lambda c: Raw(text(Global("torch._utils", "_rebuild_tensor_v2")) + b"K\x01R"),
        CORRUPT,
        "passes 1 to",
    ),
    "rebuild with hooks": (lambda c: tensor(hooks={1: 2}), CORRUPT, "hooks"),
    "rebuild with a number for a flag": (lambda c: tensor(grad=1), CORRUPT, "requires_grad"),
    "rebuild with flags that are none": (lambda c: tensor(more=({"evil": True},)), CORRUPT, "expected conj and neg"),
    "quantized storage without a quantizer": (
        lambda c: tensor(Storage("torch.QInt8Storage", n=16)),
        CORRUPT,
        "without a quantizer",
    ),
    "floats with a quantizer": (
        lambda c: Call("torch._utils", "_rebuild_qtensor", Storage(), 0, (4,), (1,), (), False, None),
        CORRUPT,
        "with a quantizer",
    ),
    "several elements to a byte": (
        lambda c: tensor(Storage("torch.QUInt4x2Storage", n=16)),
        CORRUPT,
        "several elements to a byte",
    ),
    "gradient of integers": (
        lambda c: tensor(Storage("torch.IntStorage"), grad=True),
        CORRUPT,
        "requires_grad of a tensor of int32",
    ),
    "conjugated floats": (lambda c: tensor(more=({"conj": True},)), CORRUPT, "conjugated"),
    "parameter of a list": (
        lambda c: Call("torch._utils", "_rebuild_parameter", [], True, None),
        CORRUPT,
        "makes a parameter",
    ),
    "dtype that is none": (
        lambda c: Call(
            "torch._utils",
            "_rebuild_tensor_v3",
            Storage("torch.storage.UntypedStorage", n=16),
            0,
            (4,),
            (1,),
            False,
            None,
            3,
        ),
        CORRUPT,
        "the dtype 3",
    ),
    "call of a dtype": (lambda c: Call("torch", "float32", 1), CORRUPT, "nothing to call"),
    "device of a number beyond all": (lambda c: Call("torch", "device", "cuda", 2**70), CORRUPT, "device that is none"),
    "device that is none": (lambda c: Call("torch", "device", "evil:1"), CORRUPT, "device that is none"),
    "state of a tensor": (lambda c: Raw(text(tensor()) + b"}b"), CORRUPT, "sets the state"),
    "items of a tuple": (lambda c: Raw(b")" + text("a") + b"Ns"), CORRUPT, "sets items of"),
    "appending to a dict": (lambda c: Raw(b"}Na"), CORRUPT, "appends to"),
    "nothing on the stack": (lambda c: Raw(b"R" * 30), CORRUPT, "from its stack|ends before"),
    "nothing in the memo": (lambda c: Raw(b"h\x07"), CORRUPT, "memo"),
    "text of protocol 0 without its quotes": (lambda c: Raw(b"Sx\n"), CORRUPT, "isn't quoted"),
    "number of protocol 0 that is none": (lambda c: Raw(b"Ione\n"), CORRUPT, "the number 'one'"),
    "memo of protocol 0 that is no number": (lambda c: Raw(b"Np-1\n"), CORRUPT, "numbers a value '-1'"),
    "INST of protocol 0": (lambda c: Raw(b"(S'touch it'\nios\nsystem\n"), UNSAFE, r"call os\.system\('touch it',?\)"),
    "persistent id of protocol 0": (lambda c: Raw(b"Pstorage\n"), CORRUPT, "refers to 'storage'"),
    "getattr of an object's dunder": (
        lambda c: Call("builtins", "getattr", Call("here", "Config"), "__class__"),
        UNSAFE,
        "builtins.getattr",
    ),
    "getattr of what is no name": (
        lambda c: Call("builtins", "getattr", Global("here", "A"), Raw(b"]" * 100_000 + b"a" * 99_999)),
        UNSAFE,
        "builtins.getattr",
    ),
    "getattr that is only named": (lambda c: Global("builtins", "getattr"), UNSAFE, "builtins.getattr"),
    "getattr of a module within another's": (
        lambda c: Call("builtins", "getattr", Global("here.tools", "os"), "remove"),
        UNSAFE,
        "builtins.getattr",
    ),
    "type that makes a class": (lambda c: Call("builtins", "type", "A", (), {}), UNSAFE, r"call builtins\.type"),
    "a known function where it is called": (
        lambda c: Call("torch.nn.functional", "relu", 1),
        UNSAFE,
        r"call torch\.nn\.functional\.relu",
    ),
    "state set on a class": (
        lambda c: Raw(text(Global("here", "Config")) + text({"__init__": 1}) + b"b"),
        UNSAFE,
        "set .* on here.Config",
    ),
    "item of what isn't typing's": (
        lambda c: Call("_operator", "getitem", [1], 0),
        UNSAFE,
        "operator.getitem",
    ),
    "array of fewer bytes than its shape": (
        lambda c: Call(
            "numpy.core.numeric", "_frombuffer", Raw(b"C\x04abcd"), Call("numpy", "dtype", "f4"), (2**40,), "C"
        ),
        CORRUPT,
        "with 4 bytes",
    ),
    "number of other bytes than its dtype's": (
        lambda c: Call("numpy.core.multiarray", "scalar", Call("numpy", "dtype", "f8"), Raw(b"C\x01a")),
        CORRUPT,
        "dtype f8 with 1 byte",
    ),
    "opcode that is none": (lambda c: Raw(b"\xff"), CORRUPT, "opcode 0xff"),
    "protocol 200": (lambda c: Raw(b"\x80\xc8N"), CORRUPT, "protocol 200"),
    "described objects without end": (
        lambda c: Raw(text(Global("here", "A")) + b"q\x00(" + b"h\x00)\x81" * 210_000 + b"t"),
        CORRUPT,
        "more than 2,000,000 containers and calls, an object for 10",
    ),
    "empty containers without end": (
        lambda c: Raw(b"(" + b"}" * 2_500_000 + b"t"),
        CORRUPT,
        "more than 2,000,000 containers",
    ),
}


def sparse(indices, values, shape, layout="torch.sparse_coo"):
    name = Call("torch.serialization", "_get_layout", layout)
    return Call("torch._utils", "_rebuild_sparse_tensor", name, (indices, values, shape, False))


def longs(*numbers):
    return struct.pack(f"<{len(numbers)}q", *numbers)


def indices(shape, strides, n=2):
    return tensor(Storage("torch.LongStorage", "i", n), shape=shape, strides=strides)


def values(shape=(2,), strides=(1,)):
    return tensor(Storage(key="v", n=2), shape=shape, strides=strides)


COMPOSED = {
    "sparse indices out of range": (
        sparse(indices((1, 2), (2, 1)), values(), (3,)),
        longs(0, 3),
        "can't be put together",
    ),
    "sparse indices below zero": (
        sparse(indices((1, 2), (2, 1)), values(), (3,)),
        longs(-1, 0),
        "can't be put together",
    ),
    "sparse parts that repeat a few bytes": (
        sparse(indices((1, 2**40), (0, 0)), values((2**40,), (0,)), (3,)),
        longs(0, 1),
        "that repeats 16 bytes",
    ),
    "sparse parts that are no tensors": (sparse([0, 1], values(), (3,)), longs(0, 1), "sparse tensor made of"),
    "sparse of no shape": (sparse(indices((1, 2), (2, 1)), values(), (2.5,)), longs(0, 1), "whole numbers"),
    "sparse of another layout": (
        sparse(indices((1, 2), (2, 1)), values(), (3,), "torch.strided"),
        longs(0, 1),
        "of layout",
    ),
    "sparse of a layout that is none": (sparse(None, None, (3,), "os.system"), longs(0, 1), "names a layout"),
    "quantized along an axis that isn't there": (
        Call(
            "torch._utils",
            "_rebuild_qtensor",
            Storage("torch.QInt8Storage", "i", 16),
            0,
            (2,),
            (1,),
            (Global("torch", "per_channel_affine"), values(), values(), 5),
            False,
            None,
        ),
        longs(0, 1),
        "along axis 5",
    ),
    "quantized by zeros that don't fit": (
        Call(
            "torch._utils",
            "_rebuild_qtensor",
            Storage("torch.QInt8Storage", "i", 16),
            0,
            (2,),
            (1,),
            (Global("torch", "per_channel_affine"), [1.0, 1.0], [2**70, 0], 0),
            False,
            None,
        ),
        longs(0, 1),
        "quantized tensor that can't be put together",
    ),
    "quantized by text": (
        Call(
            "torch._utils",
            "_rebuild_qtensor",
            Storage("torch.QInt8Storage", "i", 16),
            0,
            (2,),
            (1,),
            (Global("torch", "per_tensor_affine"), "x", 0),
            False,
            None,
        ),
        longs(0, 1),
        "quantizes a tensor by",
    ),
}


@pytest.mark.parametrize("form", [torch_zip, torch_legacy])
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_hostile_pickle_is_refused_and_runs_nothing(name, form, confined, tmp_path):
    build, error, says = PAYLOADS[name]
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    with in_legacy_files() if form is torch_legacy else nullcontext():
        content = build(canary)
    path.write_bytes(form(content))
    refused(confined, path, error, says, canary)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_tensor_of_parts_that_do_not_fit_is_refused(name, confined, tmp_path):
    content, held, says = COMPOSED[name]
    path = tmp_path / "evil.pt"
    path.write_bytes(torch_zip([content], {"i": held, "v": bytes(8)}))
    refused(confined, path, CORRUPT, says, tmp_path / "canary")
