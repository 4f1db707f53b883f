"""Exactly one reply to each request, whatever it was and whatever happened to it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnwidgets.errors import InvalidTargetError, NNWidgetsError, PathNotFoundError
from nnwidgets.wire.dispatch import Dispatcher
from nnwidgets.wire.schema import ERROR_CODES, KINDS
from nnwidgets.wire.schema.envelope import Reply
from nnwidgets.wire.validation import validate

WAIT = 30


class Line:
    """The far end of a dispatcher: what was sent, and waiting for it."""

    def __init__(self, handlers=None, background=lambda kind, body: kind == "stats", patient=lambda kind, body: False):
        self.messages = []
        self.changed = threading.Condition()
        self.dispatcher = Dispatcher(handlers or {}, self.send, background=background, patient=patient)

    def send(self, message, buffers):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def ask(self, kind, body, request_id="1"):
        self.dispatcher.receive({"v": 1, "id": request_id, "kind": kind, "body": body})

    def replies(self, request_id="1"):
        return [m for m in self.messages if m.get("id") == request_id and "ok" in m]

    def reply(self, request_id="1"):
        with self.changed:
            assert self.changed.wait_for(lambda: self.replies(request_id), WAIT)
        (reply,) = self.replies(request_id)
        return reply


def code_of(reply):
    validate(reply, Reply)
    assert reply["ok"] is False
    assert reply["error"]["code"] in ERROR_CODES
    return reply["error"]["code"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "v": JSON | st.just(1),
        "id": JSON | st.text(max_size=3),
        "kind": JSON | st.sampled_from([*KINDS]),
        "body": JSON | st.fixed_dictionaries({"path": st.text(max_size=3)}),
        "extra": JSON,
    },
)


@given(JSON | REQUEST)
def test_any_json_value_gets_exactly_one_sound_reply(message):
    line = Line(dict.fromkeys(KINDS, lambda body, job: {}), background=lambda kind, body: False)
    line.dispatcher.receive(message)
    (reply,) = line.messages
    validate(reply, Reply)
    assert reply["ok"] is True or reply["error"]["code"] in {"malformed", "unknown-kind", "unsupported-version"}
    sent_id = message.get("id") if isinstance(message, dict) else None
    assert reply["id"] == (sent_id if isinstance(sent_id, str) and sent_id.isprintable() else reply["id"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PathNotFoundError("No.", path="a"), "path-not-found"),
        (InvalidTargetError("No."), "invalid-target"),
        (NNWidgetsError("No."), "invalid-target"),
        (ValueError("odd"), "internal"),
        (RecursionError(), "internal"),
    ],
)
def test_whatever_a_handler_raises_is_one_error_reply(error, code):
    def fail(body, job):
        raise error

    line = Line({"ties": fail})
    line.ask("ties", {})
    assert code_of(line.reply()) == code


def test_an_error_whose_own_text_raises_is_still_answered():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    def fail(body, job):
        raise Rude

    line = Line({"ties": fail})
    line.ask("ties", {})
    assert line.reply()["error"]["message"] == "Rude"


def test_an_answer_without_json_form_is_an_internal_error():
    line = Line({"ties": lambda body, job: {"ties": object()}})
    line.ask("ties", {})
    assert code_of(line.reply()) == "internal"


def test_an_interrupt_is_answered_and_goes_on_up():
    def interrupted(body, job):
        raise KeyboardInterrupt

    line = Line({"ties": interrupted})
    with pytest.raises(KeyboardInterrupt):
        line.ask("ties", {})
    assert code_of(line.reply()) == "cancelled"


class Slow:
    """A handler that works until it is told to stop, or until it is cancelled."""

    def __init__(self):
        self.begun = threading.Event()
        self.noticed = threading.Event()
        self.finish = threading.Event()

    def __call__(self, body, job):
        self.begun.set()
        while not self.finish.wait(0.001):
            if job.cancelled:
                self.noticed.set()
                break
        return {"done": True}


def test_long_work_leaves_the_line_free_and_answers_in_its_own_time():
    slow = Slow()
    line = Line({"stats": slow, "models": lambda body, job: {"models": []}})
    line.ask("stats", {"path": "x"}, "slow")
    assert slow.begun.wait(WAIT)
    line.ask("models", {}, "quick")
    assert line.reply("quick")["ok"]
    assert not line.replies("slow")
    slow.finish.set()
    assert line.reply("slow")["body"] == {"done": True}


def test_a_cancelled_request_replies_at_once_and_its_work_is_told():
    slow = Slow()
    line = Line({"stats": slow})
    line.ask("stats", {"path": "x"}, "17")
    assert slow.begun.wait(WAIT)
    line.ask("cancel", {"id": "17"}, "18")
    assert code_of(line.reply("17")) == "cancelled"
    assert line.reply("18")["body"] == {"found": True}
    assert slow.noticed.wait(WAIT)
    line.ask("cancel", {"id": "17"}, "19")
    assert line.reply("19")["body"] == {"found": False}
    assert len(line.replies("17")) == 1


def test_a_request_waiting_for_a_thread_can_be_cancelled_and_never_begins():
    running = [Slow() for _ in range(4)]
    begun = []
    handlers = iter([*running, lambda body, job: begun.append(body)])

    def hand_on(body, job):
        return next(handlers)(body, job)

    line = Line({"stats": hand_on})
    for k, slow in enumerate(running):
        line.ask("stats", {"path": "x"}, f"running {k}")
        assert slow.begun.wait(WAIT)
    line.ask("stats", {"path": "x"}, "waiting")
    line.ask("cancel", {"id": "waiting"}, "c")
    assert code_of(line.reply("waiting")) == "cancelled"
    for slow in running:
        slow.finish.set()
    assert all(line.reply(f"running {k}")["ok"] for k in range(len(running)))
    assert begun == []


def test_closing_answers_what_is_pending_and_what_comes_after():
    slow = Slow()
    line = Line({"stats": slow})
    line.ask("stats", {"path": "x"}, "pending")
    assert slow.begun.wait(WAIT)
    line.dispatcher.close()
    assert code_of(line.reply("pending")) == "view-closed"
    assert slow.noticed.wait(WAIT)
    line.ask("stats", {"path": "x"}, "after")
    assert code_of(line.reply("after")) == "view-closed"
    line.dispatcher.close()
    assert len(line.messages) == 2


def test_an_id_in_use_is_refused_and_the_first_request_goes_on():
    slow = Slow()
    line = Line({"stats": slow})
    line.ask("stats", {"path": "x"}, "17")
    assert slow.begun.wait(WAIT)
    line.ask("stats", {"path": "x"}, "17")
    assert code_of(line.reply("17")) == "malformed"
    slow.finish.set()
    with line.changed:
        assert line.changed.wait_for(lambda: len(line.replies("17")) == 2, WAIT)
    assert line.replies("17")[1]["ok"]


def test_progress_comes_before_the_reply_and_never_after():
    late = {}

    def work(body, job):
        late["job"] = job
        for done in range(1_000):
            job.progress(done, 1_000)
        return {}

    line = Line({"stats": work})
    line.ask("stats", {"path": "x"})
    line.reply()
    late["job"].progress(1_000, 1_000)
    kinds = ["progress" if "progress" in message else "reply" for message in line.messages]
    assert kinds[0] == "progress"
    assert kinds[-1] == "reply"
    assert 1 <= kinds.count("progress") < 100


def test_no_thread_is_left_when_the_work_is_done():
    line = Line({"stats": lambda body, job: {}})
    line.ask("stats", {"path": "x"})
    line.reply()
    mine = [thread for thread in threading.enumerate() if thread.name == "nnwidgets"]
    for thread in mine:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in mine)


def patient_line(seen, gate):
    """Statistics let others go first; values wait for a gate."""

    def values(_body, _job):
        gate.wait(WAIT)
        seen.append("values")
        return {}

    def stats(_body, _job):
        seen.append("stats")
        return {}

    return Line(
        {"values": values, "stats": stats},
        background=lambda _kind, _body: True,
        patient=lambda kind, _body: kind == "stats",
    )


def test_patient_work_begins_when_what_came_after_it_is_answered():
    seen, gate = [], threading.Event()
    line = patient_line(seen, gate)
    line.ask("stats", {"path": "w"}, "1")
    line.ask("values", {"path": "w"}, "2")
    gate.set()
    line.reply("1")
    assert seen == ["values", "stats"]


def test_patient_work_does_not_wait_for_ever():
    seen, gate = [], threading.Event()
    line = patient_line(seen, gate)
    line.ask("stats", {"path": "w"}, "1")
    line.ask("values", {"path": "w"}, "2")
    line.reply("1")
    assert seen == ["stats"]
    gate.set()
    line.reply("2")


def test_patient_work_that_is_cancelled_never_begins():
    seen, gate = [], threading.Event()
    line = patient_line(seen, gate)
    line.ask("stats", {"path": "w"}, "1")
    line.ask("values", {"path": "w"}, "2")
    line.ask("cancel", {"id": "1"}, "3")
    assert code_of(line.reply("1")) == "cancelled"
    gate.set()
    line.reply("2")
    assert seen == ["values"]
