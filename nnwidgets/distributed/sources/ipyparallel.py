"""ipyparallel's engines, asked from the notebook's kernel by a Client or a view of it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from nnwidgets.distributed.sources.source import Answers, Missing

_PAUSE = 0.001


def is_ipyparallel(source: object) -> bool:
    """Whether it is a Client or a view of ipyparallel's; nothing is imported to find out."""
    return any(kind.__module__.startswith("ipyparallel.client") for kind in type(source).__mro__)


class EngineSource:
    """Engines, one rank each.

    Args:
        source: A Client, for all its engines, or a DirectView of some.
    """

    def __init__(self, source: Any) -> None:
        self._view = source if hasattr(source, "targets") else source[:]

    def call(self, request: Mapping[str, Any], ranks: None, deadline: float) -> Answers:  # noqa: ARG002 - all
        """Ask every engine at once; one that runs a cell answers when it ends, or is missing at the deadline."""
        client, engines = self._view.client, self._engines()
        gone = {engine for engine in engines if engine not in client.ids}
        asked = {engine: client[engine].apply_async(_handle, dict(request)) for engine in engines if engine not in gone}
        began = time.monotonic()
        answers: dict[int, Mapping[str, Any] | Missing] = {}
        while len(answers) < len(asked) and time.monotonic() < deadline:
            for engine, result in asked.items():
                if engine not in answers and result.ready():
                    answers[engine] = _taken(result)
            time.sleep(_PAUSE)
        late = Missing(f"no answer for {time.monotonic() - began:.1f} s")
        dead = Missing("no answer: the engine is gone", is_dead=True)
        found = {engine: dead if engine in gone else answers.get(engine, late) for engine in engines}
        return _by_rank(found)

    def _engines(self) -> list[int]:
        targets = self._view.targets
        if targets is None or targets == "all":
            return list(self._view.client.ids)
        return [targets] if isinstance(targets, int) else list(targets)


def _taken(result: Any) -> Mapping[str, Any] | Missing:
    try:
        return dict(result.get(0))
    except Exception as error:  # noqa: BLE001 - whatever the engine or the way to it raises is told
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        is_dead = "died" in why
        return Missing("no answer: the engine died" if is_dead else f"no answer: {why}", is_dead)


def _by_rank(found: Mapping[int, Mapping[str, Any] | Missing]) -> Answers:
    """By the ranks that engines say they are; by the place among the engines where there is no process group."""
    places = {engine: place for place, engine in enumerate(found)}
    said = {
        engine: reply["body"]["rank"]
        for engine, reply in found.items()
        if not isinstance(reply, Missing) and reply.get("ok") and reply["body"]["world_size"] > 1
    }
    free = [place for place in places.values() if place not in said.values()]
    ranks = {engine: said[engine] if engine in said else free.pop(0) for engine in found}
    return {ranks[engine]: reply for engine, reply in sorted(found.items(), key=lambda each: ranks[each[0]])}


def _handle(request: dict[str, Any]) -> dict[str, Any]:
    """Runs on the engine, in an `nnwidgets` that is all there: what answers is above this package."""
    answered: dict[str, Any] = importlib.import_module("nnwidgets").handle(request)
    return answered
