"""Which function answers which kind of request, and what each request passes through on its way there.

Beside each function that answers stands `handles` or `handles_without_model`; the comm, `handle` and the Explorer take
`handlers`, `is_long` and `is_patient` from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeVar

from nnwidgets.introspect.safe_access.exclusion import wanted_as_long_as
from nnwidgets.introspect.statistics.threads import single_thread
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Handler, Job
from nnwidgets.wire.errors import RequestError

Body = Mapping[str, Any]
Answer = Callable[[Session, Body, Job], Mapping[str, Any]]
AnswerT = TypeVar("AnswerT", bound=Answer)
HandlerT = TypeVar("HandlerT", bound=Handler)
Rule = bool | Callable[[Body], bool]
"""Whether something holds of all requests of a kind, or what tells it from a request's body."""


class _Kind(NamedTuple):
    answer: Answer
    long: Rule
    patient: Rule
    over_ranks: bool


_OF_MODEL: dict[str, _Kind] = {}
_OF_RANKS: dict[str, Answer] = {}
_WITHOUT_MODEL: dict[str, Handler] = {}


def handles(
    kind: str, *, long: Rule = False, patient: Rule = False, over_ranks: bool = False
) -> Callable[[AnswerT], AnswerT]:
    """Have a function answer a kind of request about a model, from its session, the request's body and its job.

    Args:
        kind: As in the wire's schema.
        long: Whether it may read much of a tensor or of the model, or waits for what is being written to it. It then
            has a thread of its own, and can be cancelled.
        patient: Whether it is for what the page shows last, and so, being long, lets all others go first.
        over_ranks: Whether it asks the session alone, and so answers of a model over ranks too.
    """

    def register(answer: AnswerT) -> AnswerT:
        _OF_MODEL[kind] = _Kind(answer, long, patient, over_ranks)
        return answer

    return register


def handles_over_ranks(kind: str) -> Callable[[AnswerT], AnswerT]:
    """Have a function answer a kind of request about a model over ranks, whom it asks in a thread of its own."""

    def register(answer: AnswerT) -> AnswerT:
        _OF_RANKS[kind] = answer
        return answer

    return register


def handles_without_model(kind: str) -> Callable[[HandlerT], HandlerT]:
    """Have a function answer a kind of request that is about no model, from the request's body and its job."""

    def register(answer: HandlerT) -> HandlerT:
        _WITHOUT_MODEL[kind] = answer
        return answer

    return register


def handlers(session_of: Callable[[Body], Session]) -> dict[str, Handler]:
    """Return a handler for each kind of request.

    Args:
        session_of: Finds the session that a request's body speaks of.
    """
    return {**{kind: partial(_answer, session_of, kind) for kind in _OF_MODEL}, **_WITHOUT_MODEL}


def is_long(kind: str, body: Body) -> bool:
    """Return whether a request has a thread of its own."""
    return kind in _OF_MODEL and (_holds(_OF_MODEL[kind].long, body) or is_patient(kind, body))


def is_long_over_ranks(kind: str, body: Body) -> bool:
    """Return whether a request about a model over ranks has a thread of its own."""
    return kind in _OF_RANKS or is_long(kind, body)


def is_patient(kind: str, body: Body) -> bool:
    """Return whether a request lets all others go first."""
    return kind in _OF_MODEL and _holds(_OF_MODEL[kind].patient, body)


def _holds(rule: Rule, body: Body) -> bool:
    return rule if isinstance(rule, bool) else rule(body)


def _answer(session_of: Callable[[Body], Session], kind: str, body: Body, job: Job) -> Mapping[str, Any]:
    with wanted_as_long_as(job.check):
        return _answer_wanted(session_of(body), kind, body, job)


def _answer_wanted(session: Session, kind: str, body: Body, job: Job) -> Mapping[str, Any]:
    of_model = _OF_MODEL[kind]
    if session.over_ranks is None:
        with nullcontext() if is_long(kind, body) else single_thread():
            return of_model.answer(session, body, job)
    if kind not in _OF_RANKS and not of_model.over_ranks:
        raise RequestError(
            "invalid-target",
            "Models over ranks can be looked at, changed, saved and loaded here, not marked or run yet.",
            hint="Do it on every rank: run the same lines there.",
        )
    return _OF_RANKS.get(kind, of_model.answer)(session, body, job)
