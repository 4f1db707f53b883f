"""What `Explorer.tick` tells the page: at most four times a second, and taking at most a fiftieth of the time."""

from __future__ import annotations

import math
import time
from typing import Any

from nnwidgets.formatting import counted
from nnwidgets.introspect.signal.step_signal import StepSignal, StepWatch
from nnwidgets.introspect.statistics.training_norms import Beat, FiniteWatch, NotFinite, Pulse, together
from nnwidgets.server.session.session import Session

SECONDS_BETWEEN = 0.25
SHARE_OF_TIME = 0.02
"""Most of the training's time that is taken: so much of it by the watch for NaN, the rest by the norms.

Where the signal is followed too, it and the norms have half of that rest each.
"""
_OF_WATCH = 0.3

_MOST_SENT = 600
_READ_ANEW = 20
"""After so many measured steps the watch reads what the model is made of: tensors may have been added."""


class TrainingTicks:
    """Decides at each tick whether it is one that the page hears of, and whether NaN is looked for.

    The tick before such a one keeps a sample of the model, so that the page hears how far a single step moved it.
    """

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._watch = FiniteWatch()
        self._n_ticks = 0
        self._last = self._last_sent = self._due = self._watch_due = -math.inf
        self._has_sample = False
        self._cost_of_sample = 0.0
        self._looked_at = self._n_sent = 0
        self._last_clean: int | None = None
        self._broken: dict[str, Any] | None = None
        self._step: StepWatch | None = None
        self._signal_due = -math.inf

    def tick(self, session: Session, *, stop_on_nan: bool = False, activations: bool = False) -> None:
        """Tell the page of the session's model, if it is time to.

        Args:
            session: Of the model.
            stop_on_nan: Look for NaN after each step.
            activations: Tell of the signal through the layers too; the step after a tick is watched for that.

        Raises:
            FloatingPointError: Something isn't finite, with ``stop_on_nan``.
        """
        module = session.model_or_none
        if module is None:
            return
        now = time.monotonic()
        between, self._last = now - self._last, now
        self._n_ticks += 1
        if stop_on_nan or now >= self._watch_due:
            self._look(session, module, wait=stop_on_nan)
            now, began = time.monotonic(), now
            self._watch_due = now + (now - began) / (SHARE_OF_TIME * _OF_WATCH)
            if stop_on_nan and self._broken is not None:
                raise FloatingPointError(self._words(self._broken))
        share = SHARE_OF_TIME * (1 - _OF_WATCH) / (2 if activations else 1)
        if activations or self._step is not None:
            self._follow_signal(session, share, is_due=activations and now + between >= self._signal_due)
            now = time.monotonic()
        if now >= self._last_sent + SECONDS_BETWEEN:
            self._last_sent = now
            session.emit("changed", {"structure": False})
        self._follow_norms(session, module, share, now, between)

    def _follow_norms(self, session: Session, module: object, share: float, now: float, between: float) -> None:
        """Tell of norms and how far the step went that a sample was taken before; else take one, if it is time to."""
        if self._has_sample:
            self._n_sent += 1
            if self._n_sent % _READ_ANEW == 0 and not self._watch.is_waiting:
                self._watch.forget()
            beats = self._pulse.beats(module)
            if self._broken is None and "" in beats and not all(map(math.isfinite, filter(None, beats[""][:2]))):
                self._look(session, module, wait=True)
            self._send(session, beats)
            cost = self._cost_of_sample + time.monotonic() - now
            self._cost_of_sample = 0.0
            self._due = now + max(SECONDS_BETWEEN, cost / share)
            self._has_sample = now + between >= self._due
            if not self._has_sample:
                self._pulse.forget()
        elif now + between >= self._due:
            self._pulse.before_step(module)
            self._cost_of_sample = time.monotonic() - now
            self._has_sample = True

    def forget_step(self) -> None:
        """Watch the step that is no more to come no longer."""
        if self._step is not None:
            self._step.take()
            self._step = None

    def _follow_signal(self, session: Session, share: float, *, is_due: bool) -> None:
        """Tell of the signal in the step that was watched, if one was; else watch the next, if it is time to."""
        if self._step is not None:
            watch, self._step = self._step, None
            seen = watch.take()
            began = time.monotonic()
            self._send_signals(session, seen)
            now = time.monotonic()
            self._signal_due = now + max(SECONDS_BETWEEN, (watch.seconds + now - began) / share)
        elif is_due:
            folded = (path for members in session.shown_folds().values() for path in members)
            self._step = StepWatch(session.model_or_none, [*session.shown_paths, *folded][:_MOST_SENT])

    def _send_signals(self, session: Session, seen: dict[str, StepSignal]) -> None:
        """Send what is in sight; of a fold the mean of its members."""
        signals = {path: list(map(_round, seen[path])) for path in session.shown_paths if path in seen}
        for fold, members in session.shown_folds().items():
            held = [seen[path] for path in members if path in seen]
            if held:
                signals[fold] = [_round(_mean_of(each)) for each in zip(*held, strict=True)]
        if signals:
            session.send_tick({"step": self._n_ticks, "beats": {}, "broken": self._broken, "signals": signals})

    def _look(self, session: Session, module: object, *, wait: bool) -> None:
        """Look for what isn't finite; the page hears at once when some comes in."""
        if self._watch.is_waiting:
            self._take(session, self._watch.ready(), self._looked_at)
        self._looked_at = self._n_ticks
        met = self._watch.look(module, wait=wait)
        if not self._watch.is_waiting:
            self._take(session, met, self._n_ticks)

    def _take(self, session: Session, met: NotFinite | None, step: int) -> None:
        if met is None:
            self._last_clean, self._broken = step, None
        elif self._broken is None:
            self._broken = {"step": step, "last_clean": self._last_clean, **met._asdict()}
            self._send(session, {})

    @staticmethod
    def _words(broken: dict[str, Any]) -> str:
        """What is raised where the training is to stop."""
        more = broken["n_tensors"] - 1
        also = f" So {'has' if more == 1 else 'have'} {counted(more, 'other tensor')}." if more else ""
        since = "it was never seen without" if broken["last_clean"] is None else f"step {broken['last_clean']} had none"
        return (
            f"The {broken['of']} of {broken['path']} has NaN or infinities after step {broken['step']}; {since}.{also} "
            "nnw.check(net) tells what has some."
        )

    def _send(self, session: Session, beats: dict[str, Beat]) -> None:
        """Send what is in sight."""
        seen = [path for path in session.shown_paths if path in beats][:_MOST_SENT]
        made = {path: list(map(_round, beats[path])) for path in seen}
        folds = session.shown_folds() if beats else {}
        for fold, members in folds.items():
            held = [beats[path] for path in members if path in beats]
            if held:
                made[fold] = list(map(_round, together(held)))
        session.send_tick({"step": self._n_ticks, "beats": made, "broken": self._broken})


def _mean_of(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
