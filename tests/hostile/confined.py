"""Opens files in processes of their own that may take 256 MiB and 2 seconds of the processor, and watches what they do.

Run as a script it imports once and forks for each file: a line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

MEMORY = 256 * 2**20
SECONDS = 2
WATCHED = {
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pickle.find_class",
    "socket.connect", "socket.bind", "ctypes.dlopen", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
    "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.putenv",
}  # fmt: skip
LIBRARIES = tuple(os.path.realpath(path) + os.sep for path in {sys.prefix, sys.base_prefix, Path(__file__).parents[2]})

UNSAFE, CORRUPT = "UnsafeCheckpointError", "CorruptCheckpointError"


class Confined:
    """Told a path, tells what came of reading all of it."""

    def __init__(self):
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.confined"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def read(self, path):
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def refused(confined, path, error, says, canary):
    answer = confined.read(path)
    assert answer["error"] == error, answer
    assert re.search(says, answer["message"]), answer["message"]
    assert path.name in answer["message"]
    assert answer["seen"] == []
    assert not canary.exists()


def may_open(path, _, flags, *, asked):
    """Whether an open is one for reading, of what is asked for, a file beside it, or one of Python's own modules."""
    if not isinstance(path, str) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return isinstance(path, int)
    real, beside = os.path.realpath(path), os.path.realpath(Path(asked).parent) + os.sep
    is_module = real.startswith(LIBRARIES) and real.endswith((".py", ".pyc"))
    return path == asked or real.startswith(beside) or is_module


def serve():
    from nnwidgets.checkpoint import peek
    from nnwidgets.checkpoint.description import storages_of, tensors_in
    from nnwidgets.checkpoint.formats import open_checkpoint
    from nnwidgets.checkpoint.formats.pickle.allowlist import allowed_names
    from nnwidgets.errors import NNWidgetsError

    def tried(path):
        seen = []

        def watch(event, arguments):
            if event in WATCHED:
                seen.append(event)
            elif event == "open" and not may_open(*arguments, asked=path):
                seen.append(f"open {arguments[0]}")

        sys.addaudithook(watch)
        made = {"error": None, "message": "", "n_tensors": 0}
        try:
            peek(path)
            with open_checkpoint(path) as held:
                found = [each for _, each in tensors_in(held.content)]
                held.verify({one.key: one for each in found for one in storages_of(each)}.values())
                for each in found:
                    held.tensor(each)
                made["n_tensors"] = len(found)
        except NNWidgetsError as error:
            made |= {"error": type(error).__name__, "message": str(error)}
        except BaseException as error:
            made |= {"error": f"not ours: {type(error).__name__}", "message": str(error)}
        return {**made, "seen": seen}

    allowed_names()
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            os.write(writer, json.dumps(tried(json.loads(line))).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            answer = told.read()
        _, status = os.waitpid(child, 0)
        killed = {"error": f"killed by signal {os.WTERMSIG(status)}", "message": "", "n_tensors": 0, "seen": []}
        sys.stdout.write((answer.decode() or json.dumps(killed)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
