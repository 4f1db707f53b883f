"""On a system without POSIX locks and positioned reads, all but saving works, and saving says so."""

from __future__ import annotations

import subprocess
import sys

LINES = """
import os, sys
import IPython  # before: what IPython 7 takes for this system needs it
sys.modules["fcntl"] = None
for name in ("preadv", "pread", "readv", "pwritev", "fstatvfs", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
os.supports_dir_fd.clear()

import torch
from IPython.testing.globalipapp import get_ipython, start_ipython
from safetensors.torch import save_file
import nnwidgets as nnw

file, zipped = sys.argv[1] + "/net.safetensors", sys.argv[1] + "/net.pt"
source, net = torch.nn.Linear(300, 400), torch.nn.Linear(300, 400)
save_file(source.state_dict(), file)
torch.save(source.state_dict(), zipped)
shell = start_ipython()
shell.run_line_magic("load_ext", "nnwidgets")
shell.user_ns["net"] = net
shell.run_line_magic("nn", "tree net")
assert len(nnw.peek(file).tensors) == len(nnw.peek(zipped).tensors) == 2
for each in (file, zipped):
    assert nnw.load(net, each).verified
    assert torch.equal(net.weight, source.weight)
    nnw.undo(net)
    assert len(nnw.diff(net, each).changed) == 2
try:
    nnw.save(net, sys.argv[1] + "/new.safetensors")
except nnw.NNWidgetsError as error:
    print("saving:", error)
print(sorted(os.listdir(sys.argv[1])))
"""


def test_reading_works_and_saving_says_why_it_does_not(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", LINES, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert "saving: Saving isn't safe on" in ran.stdout
    assert "torch.save(net.state_dict(), file)" in ran.stdout
    assert "['net.pt', 'net.safetensors']" in ran.stdout
