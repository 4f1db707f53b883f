"""A real kernel, spoken to as a front end does: cells with ids, comms, subshells."""

from __future__ import annotations

import queue
import threading
import time
import uuid

import ipykernel
import pytest
from ipykernel.kernelbase import Kernel
from jupyter_client.manager import KernelManager

WAIT = 120


class Notebook:
    """The front end of one kernel."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=WAIT)
        self.changed = threading.Condition()
        self.heard = []
        self.running = True
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def close(self):
        self.running = False
        self.listener.join()
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    # ---- cells ----

    def start(self, code, cell=None, metadata=None):
        """Send a cell, with its id as JupyterLab gives it or other metadata, and return the id of the request."""
        session = self.client.session
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        message = session.msg("execute_request", content, metadata={"cellId": cell} if cell else metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def finish(self, run):
        """Wait for a cell to end and return what it printed; a traceback fails the test."""
        self.wait(lambda m: m["msg_type"] == "status" and m["content"]["execution_state"] == "idle", run)
        of_run = [m for m in self.heard if m["parent_header"].get("msg_id") == run]
        errors = ["\n".join(m["content"]["traceback"]) for m in of_run if m["msg_type"] == "error"]
        assert not errors, errors[0]
        return "".join(m["content"]["text"] for m in of_run if m["msg_type"] == "stream")

    def run(self, code, cell=None, metadata=None):
        return self.finish(self.start(code, cell, metadata))

    def displayed(self):
        """The data of everything displayed or returned so far."""
        return [m["content"]["data"] for m in self.heard if m["msg_type"] in {"execute_result", "display_data"}]

    # ---- comms ----

    def opened(self, target="jupyter.widget"):
        return [m for m in self.heard if m["msg_type"] == "comm_open" and m["content"]["target_name"] == target]

    def explorers(self):
        """Ids of the Explorers' comms, in the order they opened."""
        return [m["content"]["comm_id"] for m in self.opened() if "_seen" in m["content"]["data"].get("state", {})]

    def send(self, comm, data, subshell=None, *, message_type="comm_msg", **content):
        session = self.client.session
        message = session.msg(message_type, {"comm_id": comm, "data": data, **content})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def ask(self, comm, kind, body, subshell=None, *, request_id=None, as_widget=True):
        """Send a request without waiting; return its id."""
        request_id = request_id or uuid.uuid4().hex
        request = {"v": 1, "id": request_id, "kind": kind, "body": body}
        self.send(comm, {"method": "custom", "content": request} if as_widget else request, subshell)
        return request_id

    def reply(self, request_id):
        """Wait for the one reply to a request, and return it with its buffers."""
        return self.wait(lambda m: _wire(m).get("id") == request_id and "ok" in _wire(m))

    def answer(self, comm, kind, body, subshell=None, *, as_widget=True):
        reply = _wire(self.reply(self.ask(comm, kind, body, subshell, as_widget=as_widget)))
        assert reply["ok"], reply["error"]
        return reply["body"]

    @staticmethod
    def wire(message):
        """The wire message inside a comm message, or an empty one."""
        return _wire(message)

    def events(self, comm=None):
        found = [m for m in self.heard if "event" in _wire(m)]
        return [_wire(m) for m in found if comm is None or m["content"]["comm_id"] == comm]

    def subshell(self):
        """Make a subshell and return its id; skips the test where the kernel has none."""
        if not hasattr(Kernel, "create_subshell_request"):
            pytest.skip(f"ipykernel {ipykernel.__version__} has no subshells")
        message = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=WAIT)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]["subshell_id"]

    def wait(self, wanted, parent=None):
        """Wait for a message on iopub, seen or to come, and return it."""

        def found():
            for message in self.heard:
                if (parent is None or message["parent_header"].get("msg_id") == parent) and wanted(message):
                    return message
            return None

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, WAIT), "the kernel sent no such message"
            return found()

    def _listen(self):
        while self.running:
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            message["at"] = time.monotonic()
            with self.changed:
                self.heard.append(message)
                self.changed.notify_all()


def _wire(message):
    """The wire message inside a comm message, or an empty one."""
    data = message["content"].get("data") if message["msg_type"] == "comm_msg" else None
    if not isinstance(data, dict):
        return {}
    return data.get("content", {}) if data.get("method") == "custom" else data


@pytest.fixture(scope="module")
def kernel():
    notebook = Notebook()
    notebook.run("import gc, weakref, torch\nfrom torch import nn\nimport nnwidgets as nnw")
    yield notebook
    notebook.close()
