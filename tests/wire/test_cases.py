"""The protocol by its cases: the same file that the page's tests read."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nnwidgets import edit
from nnwidgets.edit import initializers
from nnwidgets.introspect import Activations, CallSignal, Finding, OutputSignal, TensorStats, Trace, TraceCall
from nnwidgets.introspect.records import TraceEdge, TraceOperator
from nnwidgets.server import page_files
from nnwidgets.server.handlers import models_and_parts
from nnwidgets.server.handlers.edit import initializers as offering
from nnwidgets.server.handlers.registry import handlers, is_long
from nnwidgets.server.notebook import folder as notebook_folder
from nnwidgets.server.notebook.variables import Identities
from nnwidgets.server.rows import signal_marks
from nnwidgets.server.session.by_name import NamedSessions
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Dispatcher
from nnwidgets.wire.schema import ERROR_CODES, KINDS
from nnwidgets.wire.schema.envelope import Event, Reply
from nnwidgets.wire.validation import validate

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))["cases"]
EVENTS = json.loads((HERE / "events.json").read_text(encoding="utf-8"))["cases"]
WAIT = 60


def mlp():
    """Sequential(Linear(3, 4), ReLU(), Linear(4, 2)), its parameters 0, 1, 2 … / 4."""
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 4)
    return net


def blocks():
    """A ModuleList `h` of three tied-up blocks, and a head whose weight is the first one's."""
    net = nn.Module()
    net.h = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
    net.head = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        for k, block in enumerate(net.h):
            block.weight.copy_(torch.tensor([[0.0, 1.0], [2.0, 3.0]]) * (k + 1))
    net.head.weight = net.h[0].weight
    net.head.weight.requires_grad_(False)
    return net


def odd():
    """Linear(2, 2) with a NaN, both infinities and a 3."""
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[float("nan"), float("inf")], [-float("inf"), 3.0]]))
    return net


def edited():
    """The MLP with one change: the first bias set to 9."""
    net = mlp()
    edit.assign(net, "0.bias[0]", 9)
    return net


def undone():
    """The MLP with that change taken back."""
    net = edited()
    edit.undo(net)
    return net


def overwritten():
    """The MLP with that change, and another value written by other code since."""
    net = edited()
    with torch.no_grad():
        net[0].bias[0] = 3
    return net


CHANGED = {"edited": edited, "undone": undone, "overwritten": overwritten}
MODELS = {
    **CHANGED,
    "mlp": mlp,
    "two fillers fold": blocks,
    "meta": lambda: nn.Linear(2, 2, device="meta"),
    "blocks": blocks,
    "odd": odd,
}
TWO = ("constant_", "kaiming_normal_")
CALL = TraceCall("0", 0, ((8, 3),), ("float32",), ((8, 4),), ("float32",), 0.125, 192, 0, class_name="Linear")
ENDS = (TraceOperator("x", "input", 0, 0), TraceOperator("", "output", 0, 1))
FLOW = (TraceEdge(~0, 0, (8, 3), "float32", ("view",)), TraceEdge(0, ~1, (8, 4), "float32"))


VALUES = TensorStats(128, 0.5, 0.25, 0.0, 1.0, 2.0, 48, 1, 0, (3, 4), (0.0, 0.5, 1.0), is_exact=True)
GIVEN = OutputSignal((32, 4), "float32", VALUES, VALUES, 32, 4, 1)
RUN = Activations(
    calls=(CallSignal("", 0, "Sequential", 0, (GIVEN,)), CallSignal("1", 0, "ReLU", 1, (GIVEN,))),
    parameters=(),
    loss=0.5,
    failed_at=None,
    error=None,
    failed_in=None,
    findings=(Finding("dead-units", "warning", "1", "1 of its 4 units is zero.", "net[0].reset_parameters()"),),
)


WHEN = 1_700_000_000


def files(folder):
    """A notebook's folder: a sound file, a damaged one, a pipe, a link that leads out, a folder with a text in it."""
    save_file(
        {"0.weight": torch.zeros(4, 3), "0.bias": torch.zeros(4), "head": torch.zeros(2)}, folder / "mlp.safetensors"
    )
    (folder / "damaged.safetensors").write_bytes((folder / "mlp.safetensors").read_bytes()[:-1])
    (folder / "runs").mkdir()
    (folder / "runs" / "notes.txt").write_text("not a checkpoint")
    os.mkfifo(folder / "pipe")
    (folder / "out").symlink_to("/")
    for age, name in enumerate(["mlp.safetensors", "damaged.safetensors", "runs/notes.txt", "runs", "pipe"]):
        os.utime(folder / name, (WHEN - 60 * age, WHEN - 60 * age))


class Far:
    """The page's end: sends the case's requests, keeps what comes back."""

    def __init__(self, name, monkeypatch, folder):
        self.messages, self.changed, self.begun = [], threading.Condition(), threading.Event()
        self.is_timeless = name == "files"
        self.held = MODELS.get(name, mlp)()
        session = Session(self.held, name="net")
        if name == "traced":
            session.show_trace(Trace((CALL,), None, None, ("1",), 0.25, 2**60, operators=ENDS, edges=FLOW))
        # Which run of this process it is depends on the tests before.
        monkeypatch.setattr(signal_marks, "_runs", itertools.count(1))
        if name == "activated":
            session.show_activations(RUN)
        answers = handlers(lambda body: session)
        if name == "variables":
            main = sys.modules["__main__"]
            kinds = nn.Module | torch.optim.Optimizer | torch.Tensor
            for variable in [key for key, value in vars(main).items() if isinstance(value, kinds)]:
                monkeypatch.delattr(main, variable)
            monkeypatch.setattr(main, "net", self.held, raising=False)
            trainer = torch.optim.SGD(self.held.parameters(), lr=0.1)
            monkeypatch.setattr(main, "trainer", trainer, raising=False)
            monkeypatch.setattr(models_and_parts, "_identities", Identities())
            answers = handlers(NamedSessions().find)
        if name == "parts":
            monkeypatch.setattr(page_files, "_STATIC", folder)
            (folder / "checkpoints.js").write_text("export default () => null;")
            (folder / "checkpoints.css").write_text(".nnw-checkpoints {}")
            (folder / "zh.json").write_text('{"Statistics":"统计"}', encoding="utf-8")
        if name == "files":
            monkeypatch.setattr(notebook_folder, "root", lambda: folder)
            files(folder)
        if name == "slow":
            answers["stats"] = self.wait_for_cancel
        if name == "faulty":
            answers["ties"] = lambda body, job: {}["ties"]
        if name == "gone":
            self.held = None
        self.dispatcher = Dispatcher(answers, self.send, background=is_long)
        if name.startswith("two fillers"):
            every = initializers()
            monkeypatch.setattr(offering, "initializers", lambda: {each: every[each] for each in TWO})
        if name == "closed":
            self.dispatcher.close()

    def wait_for_cancel(self, body, job):
        self.begun.set()
        while not job.cancelled:
            self.begun.wait(0.001)
        return {}

    def send(self, message, buffers):
        if self.is_timeless and "seconds" in message.get("body", {}):
            message["body"]["seconds"] = 0.0
            for call in message["body"].get("calls", []):
                call["seconds"] = 0.0
        if "pid" in message.get("body", {}):
            message["body"].update(host="here", pid=1)
        with self.changed:
            self.messages.append((message, [bytes(buffer).hex() for buffer in buffers]))
            self.changed.notify_all()

    def replies(self, requests):
        for request in requests:
            self.dispatcher.receive(request)
            if len(requests) > 1 and request is requests[0]:
                assert self.begun.wait(WAIT)
        with self.changed:
            assert self.changed.wait_for(lambda: self.n_replies() >= len(requests), WAIT)
        return [message for message in self.messages if "ok" in message[0]]

    def n_replies(self):
        return sum("ok" in message for message, _ in self.messages)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_kernel_replies_as_the_case_says(case, monkeypatch, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    replies = Far(case["model"], monkeypatch, folder).replies(case["requests"])
    assert [message for message, _ in replies] == case["replies"]
    assert [buffers for _, buffers in replies] == case.get("buffers", [[] for _ in replies])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_reply_of_a_case_is_what_the_schema_says(case):
    kind_of = {
        request["id"]: request.get("kind")
        for request in case["requests"]
        if isinstance(request, dict) and isinstance(request.get("id"), str)
    }
    for reply in case["replies"]:
        validate(reply, Reply)
        if reply["ok"]:
            validate(reply["body"], KINDS[kind_of[reply["id"]]][1], "reply")


def test_every_error_code_and_every_kind_has_a_case():
    codes = {reply["error"]["code"] for case in CASES for reply in case["replies"] if not reply["ok"]}
    kinds = {
        request["kind"]
        for case in CASES
        for request, reply in zip(case["requests"], case["replies"], strict=True)
        if reply["ok"]
    }
    assert set(ERROR_CODES) - codes == set()
    assert set(KINDS) - kinds == set()


@pytest.mark.parametrize("case", EVENTS, ids=lambda case: case["name"])
def test_every_event_is_what_the_schema_says(case):
    validate(case["event"], Event)
