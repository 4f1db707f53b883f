"""Forks kernels that have torch and transformers imported already: a kernel for each test, without the wait for them.

A kernel of JupyterLab's is then ``kernel_stub.py``, which asks the host for a fork over a Unix socket, passes signals
on, and ends with it. What looks at the IPython shell as it is imported (ipywidgets, anywidget, nnwidgets itself) is
left to the kernel. Forks are safe, since nothing imported here starts a thread.

    python kernel_host.py SOCKET
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from typing import NoReturn

import ipykernel.kernelapp
import safetensors.torch  # noqa: F401
import torch  # noqa: F401
import torchinfo  # noqa: F401
from transformers import GPT2Config, GPT2LMHeadModel  # noqa: F401

LARGEST_REQUEST = 1 << 20


def serve(path: str) -> None:
    """Fork a kernel for each connection, until this process is ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            asking, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                become_kernel(asking)
            asking.close()


def become_kernel(asking: socket.socket) -> NoReturn:
    """Run a kernel in this process as the request says: its arguments, environment, folder and standard streams."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    text, streams, _, _ = socket.recv_fds(asking, LARGEST_REQUEST, 3)
    request = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = filter(None, request["environment"].get("PYTHONPATH", "").split(os.pathsep))
    asking.sendall(str(os.getpid()).encode())
    threading.Thread(target=end_with, args=[asking], daemon=True).start()
    ipykernel.kernelapp.launch_new_instance(argv=request["arguments"])
    raise SystemExit(0)


def end_with(asking: socket.socket) -> None:
    """End this process when the stub has ended, however that ended."""
    asking.recv(1)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1])
