"""What the page asks of a model twice as large takes twice the steps: lines run are counted, no clock is read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnwidgets.server.handlers.registry import handlers
from nnwidgets.server.session.session import Session
from tests.support.line_counts import lines_run

N = 150
MOST = 2.25
STATE = {"expanded": None, "picked": {}, "unfolded": [], "filter": "", "chips": []}


def linear():
    return nn.Linear(1, 1)


def wide(n):
    """One list of like modules, shown as one row."""
    return nn.Sequential(nn.ModuleList(linear() for _ in range(n)))


def unlike(n):
    """One list in which no two neighbours are alike; each second holds a NaN."""
    made = nn.ModuleList(linear() if k % 2 else nn.ReLU() for k in range(n))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(float("nan"))
    return made


def deep(n):
    """Chains of forty, two of them in turn."""

    def chain(length):
        made = linear()
        for _ in range(length):
            made = nn.Sequential(made, nn.ReLU())
        return made

    return nn.ModuleList(chain(20 + k % 2) for k in range(n // 20))


def blocks(n):
    """Lists of blocks, folds in a fold."""
    return nn.ModuleList(nn.ModuleList(nn.Sequential(linear(), nn.ReLU()) for _ in range(10)) for _ in range(n // 20))


def parameters(n):
    """One wide list of parameters."""
    return nn.Sequential(nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(n)))


def tied(n):
    """A wide fold, and as many pairs of tied weights beside it, the second of each far from the first."""
    made = nn.Module()
    made.plain = wide(n // 2)
    made.pairs = nn.ModuleList(linear() for _ in range(n // 2))
    for k in range(n // 4):
        made.pairs[n // 4 + k].weight = made.pairs[k].weight
    return made


def aliases(n):
    """One module under many names."""
    block = nn.Sequential(linear())
    return nn.ModuleList(block for _ in range(n))


def strays(n):
    """Modules that each hold a tensor which nothing registers."""
    made = wide(n)
    for each in made[0]:
        each.stray = torch.ones(1)
    return made


MODELS = [wide, unlike, deep, blocks, parameters, tied, aliases, strays]


class Job:
    """A request that nobody cancels."""

    cancelled = False

    def check(self):
        pass

    def progress(self, done, total):
        pass


def requests(index):
    """Give what a page asks: at first, with all open, of each fold, filtered, of one row, of the whole model."""
    every = [f"{kind}:{node.path}" for node in index.nodes for kind in "mf"]
    folds = [each for each in every if each.startswith("f:")]
    opened = {**STATE, "expanded": every}
    first, last = index.tensors[0].path, index.tensors[-1].path
    window = {"start": 0, "count": 50}
    yield "rows", {**opened, **window}
    yield "rows", {**opened, "start": len(index.nodes) // 2, "count": 50}
    yield "rows", {**opened, "picked": dict.fromkeys(folds, 2), **window}
    yield "rows", {**opened, "unfolded": folds, **window}
    for text in ("Linear", "weight", "**.bias", "Linear.weight", "1", "none such", last):
        yield "rows", {**STATE, "filter": text, **window}
    yield "rows", {**opened, "filter": "Linear", "start": len(index.nodes) // 2, "count": 50}
    for chip in ("trainable", "tied", "findings"):
        yield "rows", {**STATE, "chips": [chip], **window}
    yield "locate", {**STATE, "path": last}
    yield "locate", {**opened, "path": first}
    for path in ("", index.nodes[-1].path, first, last):
        yield "inspect", {"path": path, "bins": 8, "windows": [{}]}
    yield "values", {"path": last}
    yield "ties", {}


@pytest.mark.parametrize("model", MODELS)
def test_a_request_takes_at_most_twice_the_steps_for_a_model_twice_as_large(model):
    counts = []
    for n in (N, 2 * N):
        net = model(n)
        session = Session(net, name="net")
        answer = handlers(lambda _body, session=session: session)
        asked = {"open": lines_run(lambda answer=answer: answer["open"]({}, Job()))}
        answer["findings"]({}, Job())
        asked |= {
            f"{number} {kind} {body}"[:200]: lines_run(lambda k=kind, b=body, a=answer: a[k](b, Job()))
            for number, (kind, body) in enumerate(requests(session.index()))
        }
        counts.append(list(asked.items()))
    for (what, fewer), (_, more) in zip(*counts, strict=True):
        assert more <= MOST * fewer + 50, what


@pytest.mark.parametrize("is_unfolded", [False, True])
@pytest.mark.parametrize("model", [wide, unlike, tied, aliases, strays])
def test_scrolling_takes_as_many_steps_in_a_model_twice_as_large(model, is_unfolded):
    counts = []
    for n in (N, 2 * N):
        net = model(n)
        session = Session(net, name="net")
        answer = handlers(lambda _body, session=session: session)["rows"]
        every = [f"{kind}:{node.path}" for node in session.index().nodes for kind in "mf"]
        body = {**STATE, "expanded": every, "unfolded": every if is_unfolded else [], "start": 0, "count": 50}
        answer(body, Job())
        counts.append(lines_run(lambda answer=answer, body=body: answer({**body, "start": 1}, Job())))
    assert counts[1] <= 1.05 * counts[0] + 20
