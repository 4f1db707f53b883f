"""Pickles of described objects, put together at random, and read in a process that may take little.

Run as a script with a seed and a number of them, it tells what came of each: a line of JSON.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.hostile.confined import MEMORY, WATCHED
from tests.support.torch_builder import Call, Global, opcodes, tensor, torch_zip

SECONDS = 100
"""Of the processor, for all of a run."""
PLAIN = ("argparse.Namespace", "pathlib.PosixPath", "datetime.datetime", "collections.deque", "enum_like.Color",
         "torch.nn.modules.linear.Linear", "torch.optim.adam.Adam", "mmcv.Config", "numpy.dtype", "numpy.ndarray",
         "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "copyreg._reconstructor",
         "builtins.getattr", "collections.OrderedDict", "torch.nn.functional.relu", "builtins.frozenset",
         "torch.distributed.tensor.DTensor", "torch._tensor._rebuild_from_type_v2", "<b>\x1b[2J.\u202ex")  # fmt: skip
MODULE = ("training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class Canary:
    """A class whose code must not run."""

    n_touched = 0

    def __new__(cls, *_args):
        Canary.n_touched += 1
        return super().__new__(cls)

    def __setstate__(self, _state):
        Canary.n_touched += 1

    append = extend = __setitem__ = __call__ = __hash__ = __setstate__


class Generator:
    """Makes the opcodes of one value after another; each leaves one value on the stack."""

    def __init__(self, draw):
        self.draw, self.n_memo, self.n_left = draw, 0, 60

    def value(self, depth=0):
        self.n_left -= 1
        makes = [self.leaf] * 3
        if depth < 8 and self.n_left > 0:
            makes += [self.leaf, self.many, self.dict, self.call, self.made, self.made, self.module, self.again]
        return self.draw.choice(makes)(depth + 1)

    def name(self):
        whole = self.draw.choice((*PLAIN, "__main__.Canary", "__main__.Canary"))
        module, _, name = whole.rpartition(".")
        return self.draw.choice((
            opcodes(Global(module, name)), opcodes(module) + opcodes(name) + b"\x93",
        ))  # fmt: skip

    def leaf(self, _depth):
        number = self.draw.choice((0, 1, -1, 2**40, 2**63))
        return self.draw.choice((
            b"N", b"\x88", b")", b"]", b"}", opcodes(number), opcodes("a"), opcodes(0.5), opcodes(tensor()),
            b"C\x02ab", b"I01\n", b"S'x'\n", b"Vy\n", b"\x8f", self.name(),
        ))  # fmt: skip

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

    def pairs(self, depth):
        return b"".join(opcodes(f"k{n}") + self.value(depth) for n in range(self.draw.randint(0, 3)))

    def dict(self, depth):
        return b"}" + self.keep() + b"(" + self.pairs(depth) + b"u"

    def call(self, depth):
        name, arguments, some = self.name(), b"(" + self.some(depth) + b"t", self.some(depth)
        return self.draw.choice((
            name + arguments + b"R", name + arguments + b"\x81", b"(" + name + some + b"o",
            name + arguments + b"}(" + self.pairs(depth) + b"u\x92", b"(" + some + b"iargparse\nNamespace\n",
            opcodes(Call("builtins", "getattr", Global("here", "A"), "B")),
        ))  # fmt: skip

    def made(self, depth):
        code = self.name() + b")\x81" + self.keep()
        for _ in range(self.draw.randint(0, 3)):
            code += self.draw.choice((
                self.value(depth) + b"b", b"}(" + self.pairs(depth) + b"ub", b"(" + self.some(depth) + b"e",
                b"(" + self.pairs(depth) + b"u", self.value(depth) + b"a", self.some(depth, 2) + b"\x86b",
            ))  # fmt: skip
        return code

    def module(self, depth):
        code = opcodes(Global("here", "Net")) + b")\x81" + self.keep() + b"}("
        for name in MODULE:
            code += opcodes(name) + b"}" + self.keep() + b"(" + self.pairs(depth) + b"u"
        return code + b"ub"


def pickle_of(draw):
    made = Generator(draw).value()
    if draw.random() < 0.15:
        made = bytearray(made)
        for _ in range(draw.randint(1, 3)):
            made[draw.randrange(len(made))] = draw.randrange(256)
    return b"\x80\x02}(" + opcodes("w") + opcodes(tensor()) + opcodes("x") + bytes(made) + b"u."


def main(seed, n):
    import nnwidgets as nnw

    def watch(event, _arguments):
        if event in WATCHED:
            told[f"watched: {event}"] += 1

    told, draw = Counter(), random.Random(seed)  # noqa: S311
    file = Path(tempfile.mkdtemp()) / "it.pt"
    file.write_bytes(torch_zip({"w": tensor()}))
    nnw.read(file), nnw.peek(file)
    sys.addaudithook(watch)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for _ in range(n):
        data = pickle_of(draw)
        file.write_bytes(torch_zip(data))
        for act in (nnw.peek, nnw.read):
            try:
                repr(act(file)), json.dumps(act(file).to_dict()) if act is nnw.peek else None
                told["read"] += 1
            except nnw.NNWidgetsError as error:
                told[type(error).__name__] += 1
            except BaseException as error:
                told[f"not ours: {type(error).__name__}: {error} {data!r}"] += 1
    print(json.dumps({**told, "touched": Canary.n_touched}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
