"""Pickles of described objects, put together at random, and read in a process that may take little.

Among them are real files of torch with some of their pickle's opcodes changed. Run as a script with a seed and how
many, it tells what came of them, a line of JSON; ``python -m tests.hostile.generated_objects 0 15000`` is the long run.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from tests.hostile.confined import MEMORY, WATCHED
from tests.hostile.mutated_files import Mutator
from tests.hostile.pickle_generator import Generator
from tests.support.torch_builder import in_legacy_files, opcodes, tensor, torch_legacy, torch_zip

SECONDS_EACH = 0.2
"""Of the processor, for a file on the average; a start of Python and torch beside."""


class Canary:
    """A class whose code must not run."""

    n_touched = 0

    def __new__(cls, *_args):
        Canary.n_touched += 1
        return super().__new__(cls)

    def __setstate__(self, _state):
        Canary.n_touched += 1

    append = extend = __setitem__ = __call__ = __hash__ = __setstate__


def file_of(draw):
    """The bytes of a file: in one of torch's formats, or a pickle alone."""
    form = draw.choice(("zip",) * 6 + ("legacy", "pickle", "top"))
    if form == "legacy":
        with in_legacy_files():
            return torch_legacy(pickle_of(draw))
    if form == "pickle":
        return draw.choice((b"", b"\x80\x02", b"\x80\x04", b"\x80\x05")) + bytes(Generator(draw).value()) + b"."
    return torch_zip(b"\x80\x02" + Generator(draw).value() + b"." if form == "top" else pickle_of(draw))


def pickle_of(draw):
    made = Generator(draw).value()
    if draw.random() < 0.1:
        made = bytearray(made)
        for _ in range(draw.randint(1, 3)):
            made[draw.randrange(len(made))] = draw.randrange(256)
    return b"\x80\x02}(" + opcodes("w") + opcodes(tensor()) + opcodes("x") + bytes(made) + b"u."


def main(seed, n):
    from torch import nn

    import nnwidgets as nnw
    from nnwidgets.text.printing import as_text

    def watch(event, _arguments):
        if event in WATCHED:
            told[f"watched: {event}"] += 1

    def plan(path):
        return nnw.plan(net, path)

    def whole(record):
        return [*map(len, (repr(record), as_text(record).encode(), json.dumps(record.to_dict()).encode()))]

    told, draw = Counter(), random.Random(seed)  # noqa: S311
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    file = Path(tempfile.mkdtemp()) / "it.pt"
    mutator = Mutator(draw)
    file.write_bytes(torch_zip({"w": tensor()}))
    nnw.read(file), whole(nnw.peek(file)), whole(plan(file))
    warnings.simplefilter("ignore")
    sys.addaudithook(watch)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    seconds = int(time.process_time() + 10 + SECONDS_EACH * n)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    longest, first = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(n):
        data = mutator.file() if number % 3 == 0 else file_of(draw)
        file.write_bytes(data)
        for act in (nnw.peek, plan, nnw.read):
            begin = time.process_time()
            try:
                made = act(file)
                whole(made) if act is not nnw.read else repr(made) if isinstance(made, nnw.Described) else None
                told["read"] += 1
            except nnw.NNWidgetsError as error:
                told[type(error).__name__] += 1
                if len(str(error).encode()) > 25_000:
                    told[f"not ours: a message of {len(str(error)):,} characters, {number}"] += 1
            except BaseException as error:
                told[f"not ours: {type(error).__name__}: {error} {number} {data[:2_000]!r}"] += 1
            longest = max(longest, time.process_time() - begin)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) / 1_024
    print(json.dumps({**told, "touched": Canary.n_touched, "longest": longest, "megabytes": grown}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
