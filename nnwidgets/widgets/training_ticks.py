"""What `Explorer.tick` tells the page: at most four times a second, and taking at most a fiftieth of the time."""

from __future__ import annotations

import math
import time

from nnwidgets.introspect.statistics.training_norms import Beat, Pulse
from nnwidgets.server.page_files import part
from nnwidgets.server.session.session import Session

SECONDS_BETWEEN = 0.25
SHARE_OF_TIME = 0.02
"""Most of the training's time that is taken."""

_MOST_SENT = 600


class TrainingTicks:
    """Decides at each tick whether it is one that the page hears of.

    The tick before such a one keeps a sample of the model, so that the page hears how far a single step moved it.
    """

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._n_ticks = 0
        self._last = self._last_sent = self._due = -math.inf
        self._has_sample = False
        self._cost_of_sample = 0.0
        self._has_part = False

    def tick(self, session: Session) -> None:
        """Tell the page of the session's model, if it is time to."""
        module = session.model_or_none
        if module is None:
            return
        now = time.monotonic()
        between, self._last = now - self._last, now
        self._n_ticks += 1
        if now >= self._last_sent + SECONDS_BETWEEN:
            self._last_sent = now
            session.emit("changed", {"structure": False})
        if self._has_sample:
            self._send(session, self._pulse.beats(module))
            cost = self._cost_of_sample + time.monotonic() - now
            self._cost_of_sample = 0.0
            self._due = now + max(SECONDS_BETWEEN, cost / SHARE_OF_TIME)
            self._has_sample = now + between >= self._due
            if not self._has_sample:
                self._pulse.forget()
        elif now + between >= self._due:
            self._pulse.before_step(module)
            self._cost_of_sample = time.monotonic() - now
            self._has_sample = True

    def _send(self, session: Session, beats: dict[str, Beat]) -> None:
        """Send what is in sight, and first the part of the page that draws it: a busy kernel answers no request."""
        seen = [path for path in session.shown_paths if path in beats][:_MOST_SENT]
        body: dict[str, object] = {
            "step": self._n_ticks,
            "beats": {path: list(map(_round, beats[path])) for path in seen},
        }
        if not self._has_part:
            code, style = part("pulse")
            body["part"] = {"code": code, "style": style}
            self._has_part = True
        session.emit("ticked", body)


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
