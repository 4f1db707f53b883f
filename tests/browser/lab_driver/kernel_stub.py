"""What Jupyter starts as a kernel: asks the kernel host for a fork, passes signals on to it, and ends when it ends.

python kernel_stub.py SOCKET -f CONNECTION_FILE
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    path, *arguments = sys.argv[1:]
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as host:
        host.connect(path)
        socket.send_fds(host, [json.dumps(request).encode()], [0, 1, 2])
        kernel = int(host.recv(64))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        host.recv(1)


if __name__ == "__main__":
    main()
