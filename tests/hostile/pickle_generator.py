"""Pickles put together at random from what picklers write and what nobody should: each a seed away from the next.

A `Generator` makes the opcodes of one value after another. Most are of described objects, in the shapes that
``__reduce_ex__`` gives; a few lie about a size, ask for what isn't there, or stand for more than there is memory for.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID

from tests.hostile.pickle_bombs import BOMBS
from tests.support.torch_builder import Call, Global, Storage, opcodes, tensor

PLAIN = (
    "argparse.Namespace", "pathlib.PosixPath", "datetime.datetime", "collections.deque", "enum_like.Color",
    "torch.nn.modules.linear.Linear", "torch.optim.adam.Adam", "mmcv.Config", "numpy.dtype", "numpy.ndarray",
    "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "copyreg._reconstructor",
    "builtins.getattr", "collections.OrderedDict", "torch.nn.functional.relu", "builtins.frozenset",
    "torch.distributed.tensor.DTensor", "torch._tensor._rebuild_from_type_v2", "<b>\x1b[2J.\u202ex",
    "collections.defaultdict", "builtins.set", "builtins.complex", "torch.Size", "torch.device", "torch.float32",
    "torch.nn.parameter.Parameter", "torch.FloatStorage", "copyreg.__newobj__", "copyreg.__newobj_ex__",
    "torch._utils._rebuild_wrapper_subclass", "typing.List", "operator.getitem", "numpy.core.numeric._frombuffer",
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_nested_tensor", "collections.Counter", "builtins.type",
)  # fmt: skip
HARMFUL = ("os.system", "builtins.eval", "subprocess.Popen", "torch.load", "functools.partial", "os.\x1b[2J\u202e\n")
KEYS = (
    "k", "w", "0.weight", "0.bias", "1.running_mean", "state_dict", "model", "", "a.b", "_metadata", "_extra_state",
    "param_groups", "state", "\u202e<img src=x>", "\x1b[2J\n", "\x00", "a" * 300, "x." * 60, "\u0301" * 9,
)  # fmt: skip
MODULE = ("training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
REBUILDS = (
    "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_qtensor",
    "_rebuild_sparse_tensor", "_rebuild_device_tensor_from_cpu_tensor", "_rebuild_device_tensor_from_numpy",
    "_rebuild_meta_tensor_no_storage", "_rebuild_parameter_with_state", "_rebuild_wrapper_subclass",
)  # fmt: skip
SIZES = (0, 1, 2, 3, 4, 5, 16, -1, 2**20, 2**31, 2**40, 2**62, 2**63, 2.0, None, True)
DTYPES = ("f4", "<f4", ">i8", "u1", "b1", "c16", "O8", "V8", "U4", "M8", "S3", "f3", "", "\u202e", "f8" * 400)
VALUES = (
    OrderedDict(a=1), defaultdict(int, a=1), Counter("abc"), deque([1, 2], 3), datetime(2026, 1, 2, tzinfo=UTC),
    date(1, 1, 1),
    timedelta(3), Decimal("1.5"), Fraction(1, 3), PurePosixPath("a/b"), UUID(int=7), {1, 2}, frozenset("ab"), 1 + 2j,
    range(3), slice(1), bytearray(b"xy"), b"\xff\x00", "\u00e9\u4e2d", 10**40, -1, 1e300, float("nan"), ("a", (1, 2)),
    [[], {}, ()], ValueError("x"), {("a", 1): None, 1.5: b"", None: True}, "x" * 300,
)  # fmt: skip


class Generator:
    """Makes the opcodes of one value after another; each leaves one value on the stack."""

    def __init__(self, draw):
        self.draw, self.n_memo, self.n_left = draw, 0, 60

    def value(self, depth=0):
        self.n_left -= 1
        makes = [self.leaf] * 3
        if depth < 8 and self.n_left > 0:
            makes += [self.leaf, self.many, self.dict, self.call, self.made, self.made, self.module, self.again]
            makes += [self.array, self.rebuilt, self.reduced, self.set, self.pickled, self.dtensor, self.itself]
        return self.draw.choice(makes)(depth + 1)

    def name(self):
        draw = self.draw
        whole = draw.choice((*PLAIN, "__main__.Canary", "__main__.Canary"))
        if draw.random() < 0.02:
            whole = draw.choice((*HARMFUL, "here." + "x" * draw.choice((1_000, 1_100, 2**20))))
        module, _, name = whole.rpartition(".")
        if draw.random() < 0.5 and "\n" not in whole:
            return opcodes(Global(module, name))
        return opcodes(module) + opcodes(name) + b"\x93"

    def leaf(self, _depth):
        draw = self.draw
        if draw.random() < 0.01:
            return draw.choice((self.broken, self.broken, self.bomb))()
        number = draw.choice((0, 1, -1, 2**40, 2**63))
        return draw.choice(
            (
                b"N",
                b"\x88",
                b"\x89",
                b")",
                b"]",
                b"}",
                opcodes(number),
                opcodes(draw.choice(KEYS)),
                opcodes(0.5),
                opcodes(tensor()),
                b"C\x02ab",
                b"I01\n",
                b"S'x'\n",
                b"S'\\d\\xff'\n",
                b"Vy\n",
                b"\x8f",
                self.name(),
                b"F1e400\n",
                b"L5L\n",
                b"U\x01\xff",
                b"T\x02\x00\x00\x00ab",
                b"\x8c\x01a",
                b"B\x01\x00\x00\x00a",
                b"\x8a\x00",
                b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab",
                b"\x95" + struct.pack("<Q", draw.choice((0, 5, 2**63))) + b"N",
                b"J\xff\xff\xff\xff",
                b"M\x00\x01",
                b"X\x03\x00\x00\x00\xed\xa0\x80",
                b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
                self.storage(),
            )
        )

    def broken(self):
        """What no reader takes, or an opcode that lies."""
        return self.draw.choice(
            (
                b"\x82\x01",
                b"\x83\x01\x00",
                b"\x84\x01\x00\x00\x00",
                b"\x97",
                b"N\x98",
                b"Pstorage\n",
                b"NQ",
                b"\x8b\xff\xff\xff\x7f",
                b"\x8b\xff\xff\xff\xff",
                b"\x8b\x02\x00\x00\x00ab",
                b"X\xff\xff\xff\xff",
                b"\x8d" + b"\xff" * 8,
                b"\x8e" + b"\x7f" * 8,
                b"\x96" + b"\x7f" * 8,
                b"h\xff",
                b"g7\n",
                b"g\xc2\xb2\n",
                b"p-1\n",
                b"I" + b"9" * 5_000 + b"\n",
                b"S'a\n",
                b"0",
                b"1",
                b"e",
                b"NR",
                b"Nb",
                b"N)R",
                b"}Nb",
                b"N}b",
                b")Na",
                b"}Na",
                b"]NNs",
                b"}]Ns",
                b"}}Ns",
                b"\xff",
                b"\x80\x09",
                b"cos\nsystem\n(S'touch x'\ntR",
                b"(S'touch x'\nios\nsystem\n",
                b"(cos\nsystem\nS'touch x'\no",
                b"c\n\n",
                b"ca.b\n\n",
                b"N.",
                b"(" * 1_001 + b"t" * 1_001,
                b"X\x02\x00\x00\x00\xff\xfe",
                b"V\\uzzzz\n",
                b"V\\U00110000\n",
            )
        )

    def storage(self):
        draw = self.draw
        kind = draw.choice(
            ("torch.FloatStorage",) * 6 + ("torch.QInt8Storage", "torch.storage.UntypedStorage", "os.system")
        )
        key, n = draw.choice(("0",) * 9 + ("1",)), draw.choice((4,) * 9 + (16, -1, 2**62, None))
        return opcodes(("storage", Global(*kind.rsplit(".", 1)), key, "cpu", n, *Storage.more)) + b"Q"

    def keep(self):
        self.n_memo += 1
        return b"r" + struct.pack("<I", self.n_memo)

    def again(self, depth):
        if not self.n_memo:
            return self.leaf(depth)
        return b"j" + struct.pack("<I", self.draw.randint(1, self.n_memo))

    def some(self, depth, n=None):
        return b"".join(self.value(depth) for _ in range(self.draw.randint(0, 4) if n is None else n))

    def many(self, depth):
        return self.draw.choice((b"]%s(" % self.keep(), b"(")) + self.some(depth) + self.draw.choice((b"e", b"t", b"l"))

    def key(self, depth):
        if self.draw.random() < 0.1:
            return self.draw.choice(
                (self.value(depth), opcodes((1, "a")), opcodes(5), b"N", self.name(), opcodes(tensor()))
            )
        return opcodes(self.draw.choice(KEYS) + self.draw.choice(("", "", "1", "2")))

    def pairs(self, depth):
        return b"".join(self.key(depth) + self.value(depth) for _ in range(self.draw.randint(0, 3)))

    def dict(self, depth):
        return b"}" + self.keep() + b"(" + self.pairs(depth) + b"u"

    def set(self, depth):
        into = self.draw.choice((b"\x8f" + self.keep() + b"(", b"("))
        return into + self.some(depth) + (b"\x90" if into != b"(" else b"\x91")

    def call(self, depth):
        name, arguments, some = self.name(), b"(" + self.some(depth) + b"t", self.some(depth)
        return self.draw.choice(
            (
                name + arguments + b"R",
                name + arguments + b"\x81",
                b"(" + name + some + b"o",
                self.value(depth) + arguments + b"R",
                name + arguments + b"}(" + self.pairs(depth) + b"u\x92",
                b"(" + some + b"iargparse\nNamespace\n",
                opcodes(Call("builtins", "getattr", Global("here", "A"), "B")),
                name + self.value(depth) + b"R",
            )
        )

    def made(self, depth):
        code = self.name() + b")\x81" + self.keep()
        for _ in range(self.draw.randint(0, 3)):
            code += self.draw.choice(
                (
                    self.value(depth) + b"b",
                    b"}(" + self.pairs(depth) + b"ub",
                    b"(" + self.some(depth) + b"e",
                    b"(" + self.pairs(depth) + b"u",
                    self.value(depth) + b"a",
                    self.some(depth, 2) + b"\x86b",
                    b"}(" + self.pairs(depth) + b"u}(" + self.pairs(depth) + b"u\x86b",
                    b"N}(" + self.pairs(depth) + b"u\x86b",
                    b"(" + self.some(depth) + b"\x90",
                )
            )
        return code

    def reduced(self, depth):
        """As ``copyreg`` writes objects in protocol 0 and 1, and the first steps of ``__reduce_ex__``."""
        kind = self.name()
        return self.draw.choice(
            (
                opcodes(Global("copyreg", "_reconstructor"))
                + b"("
                + kind
                + b"c__builtin__\nobject\nNtR"
                + self.value(depth)
                + b"b",
                opcodes(Global("copyreg", "_reconstructor"))
                + b"("
                + kind
                + b"c__builtin__\ndict\n"
                + self.dict(depth)
                + b"tR",
                opcodes(Global("copyreg", "__newobj__")) + b"(" + kind + self.some(depth) + b"tR",
                opcodes(Global("copyreg", "__newobj_ex__"))
                + b"("
                + kind
                + self.value(depth)
                + self.dict(depth)
                + b"tR",
                opcodes(Global("copyreg", "_reconstructor")) + self.value(depth) + b"R",
            )
        )

    def itself(self, depth):
        """An object, or a container, that is in itself."""
        kept = self.keep()
        me = b"j" + kept[1:]
        return self.draw.choice(
            (
                self.name() + b")\x81" + kept + b"}" + opcodes("me") + me + b"sb",
                b"]" + kept + me + b"a",
                self.name() + b")\x81" + kept + me + b"a",
                self.name() + b")\x81" + kept + me + b"b",
                b"}" + kept + opcodes("a") + me + b"s",
                self.name() + b")\x81" + kept + me + self.value(depth) + b"s",
                b"]" + kept + me + b"\x85a",
            )
        )

    def module(self, depth):
        code = opcodes(Global("here", "Net")) + b")\x81" + self.keep() + b"}("
        for name in MODULE:
            code += opcodes(name) + b"}" + self.keep() + b"(" + self.pairs(depth) + b"u"
        return code + b"ub"

    def sizes(self):
        return tuple(
            self.draw.choice(SIZES[:7] if self.draw.random() < 0.7 else SIZES) for _ in range(self.draw.randint(0, 4))
        )

    def array(self, depth):
        draw = self.draw
        dtype = opcodes(Call("numpy", "dtype", draw.choice(DTYPES), False, True))
        if draw.random() < 0.5:
            dtype += (
                b"(K\x03" + opcodes(draw.choice(("<", ">", "|", ""))) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            )
        held = draw.choice(
            (
                b"C\x10" + bytes(16),
                b"C\x04abcd",
                opcodes("abcd"),
                b"\x96\x04" + bytes(7) + b"abcd",
                b"]",
                self.value(depth),
            )
        )
        shape = opcodes(draw.choice(((4,), (1,), (2, 2), (), self.sizes())))
        core = draw.choice(("numpy.core", "numpy._core"))
        begun = opcodes(Call(f"{core}.multiarray", "_reconstruct", Global("numpy", "ndarray"), (0,), "b")) + self.keep()
        return draw.choice(
            (
                begun + b"(K\x01" + shape + dtype + b"\x89" + held + b"tb",
                begun + self.value(depth) + b"b",
                opcodes(Global(f"{core}.multiarray", "scalar")) + dtype + held + b"\x86R",
                opcodes(Global(f"{core}.numeric", "_frombuffer")) + b"(" + held + dtype + shape + opcodes("C") + b"tR",
            )
        )

    def rebuilt(self, depth):
        """A tensor that may lie about its storage, its shape or what it is made from."""
        draw = self.draw
        shape = draw.choice(((4,), (2, 2), (0,), (), self.sizes()))
        strides = draw.choice(((1,), (2, 1), (0,) * len(shape), self.sizes()))
        first = draw.choice((0, 0, 0, 1, -1, 2**40, 2**63, 0.5))
        more = draw.choice(((), (), ({"conj": True},), ({"neg": True},), ({},), (None,), ({"x": 1},)))
        grad = draw.choice((False, True, 1, None))
        if draw.random() < 0.6:
            return opcodes(tensor(first=first, shape=shape, strides=strides, grad=grad, more=more))
        return (
            opcodes(Global("torch._utils", draw.choice(REBUILDS)))
            + draw.choice(
                (
                    b"(" + opcodes(tensor()) + b"\x89" + opcodes(None) + b"t",
                    b"("
                    + self.storage()
                    + opcodes(first)
                    + opcodes(shape)
                    + opcodes(strides)
                    + self.quantizer()
                    + b"\x89Nt",
                    b"("
                    + opcodes(Call("torch.serialization", "_get_layout", "torch.sparse_coo"))
                    + b"("
                    + opcodes(tensor(shape=(1, 2), strides=(2, 1)))
                    + opcodes(tensor())
                    + opcodes(shape)
                    + b"\x89tt",
                    b"(" + opcodes(Global("torch", "float32")) + opcodes(shape) + opcodes(strides) + b"\x89t",
                    b"(" + self.some(depth) + b"t",
                    self.value(depth),
                )
            )
            + b"R"
        )

    def quantizer(self):
        return self.draw.choice(
            (
                opcodes((Global("torch", "per_tensor_affine"), 0.5, 0)),
                opcodes((Global("torch", "per_channel_affine"), [0.5] * 4, [0] * 4, 0)),
                opcodes((Global("torch", "per_channel_affine"), tensor(), tensor(), 7)),
                b"N",
                opcodes((Global("torch", "per_tensor_affine"), "x", 2**70)),
            )
        )

    def dtensor(self, depth):
        kind = opcodes(Global("torch.distributed.tensor", "DTensor"))
        made_from = b"(" + kind + opcodes(Global("torch", "float32")) + opcodes(self.sizes()) + b"NNNNNt"
        spec = (
            opcodes(Global("here", "Spec"))
            + b")\x81}"
            + opcodes("placements")
            + self.draw.choice((b")", self.many(depth)))
            + b"sb"
        )
        state = b"}(" + opcodes("_local_tensor") + self.draw.choice((opcodes(tensor()), self.value(depth)))
        state += opcodes("_spec") + spec + b"u"
        by = opcodes(Global("torch._utils", "_rebuild_wrapper_subclass"))
        return opcodes(Global("torch._tensor", "_rebuild_from_type_v2")) + b"(" + by + kind + made_from + state + b"tR"

    def pickled(self, _depth):
        """What Python's own pickler writes; its numbers may meet those that are given here."""
        return pickle.dumps(self.draw.choice(VALUES), self.draw.randrange(6))[:-1]

    def bomb(self):
        build, n = BOMBS[self.draw.choice(sorted(BOMBS))]
        return build(min(n, 300))
