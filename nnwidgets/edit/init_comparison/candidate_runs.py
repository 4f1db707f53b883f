"""Candidates run one after the other, each with its seeds, on stand-ins of a model's tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch

from nnwidgets.edit.init_comparison.candidate_plans import plan_candidate
from nnwidgets.edit.init_comparison.candidates import Candidate, errors_of
from nnwidgets.edit.init_comparison.sample_spread import SampleSpread
from nnwidgets.edit.init_comparison.short_training import Batch, TrainingError, sgd, train
from nnwidgets.edit.init_comparison.signal_curves import Seen, is_layer
from nnwidgets.edit.operations.swapped_memory import SwappedMemory, Unguarded
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.edit.undo_copy.threads import retry_until_complete
from nnwidgets.introspect.signal.activations import watched_activations
from nnwidgets.introspect.signal.losses import NOISE, Loss
from nnwidgets.introspect.tracing.hooks import probing
from nnwidgets.introspect.tracing.restore import attributes_kept, restore_on_exit


class CandidateRuns:
    """Runs candidates, one after the other.

    Attributes:
        training: The batches of a short training, and what makes its optimizer; None without one.
    """

    def __init__(
        self,
        model: ChangeScope,
        inputs: tuple[tuple[Any, ...], dict[str, Any]],
        loss: Loss,
        n_runs: int,
        tell: Callable[..., None],
    ) -> None:
        self._model, self._inputs = model, inputs
        self._is_asked = loss is not None
        self._loss = loss if loss is not None or torch.is_inference_mode_enabled() else NOISE
        self._n_runs, self._n_done = n_runs, 0
        self._tell = tell
        self._layers = {id(each): path for path, each in model.live.modules.items() if is_layer(each)}
        self.training: tuple[Sequence[Batch], Callable[[list[Any]], Any]] | None = None

    def candidate(self, candidate: Candidate, target: Any, seeds: Sequence[int], memory: SwappedMemory) -> Seen:
        """What a candidate gives with each seed, until something raises."""
        seen = Seen()
        for seed in seeds:
            self._watch()
            with probing(), attributes_kept(self._model.live.scan), memory.laid_under():
                if candidate.fills:
                    _fill(self._model.module, candidate, target, seed)
                self._signal(seen)
                if self.training is not None and seen.error is None:
                    self._train(seen)
            self._n_done += 1
            if seen.error is not None:
                break
        self._watch()
        return seen

    def _signal(self, seen: Seen) -> None:
        args, kwargs = self._inputs
        spread = SampleSpread(self._layers)
        with nullcontext() if seen.runs else spread.watched():  # of the first seed alone it is told
            found = watched_activations(
                self._model.module, args, kwargs, loss=self._loss, watch=self._watch, is_brief=True
            )
        if found.failed_in == "loss" and not self._is_asked:
            found = replace(found, error=None, failed_in=None)
        seen.add(found, spread.found)

    def _train(self, seen: Seen) -> None:
        batches, optimizer = self.training or ((), sgd)
        seen.losses.append([])
        seen.updates.append({})
        try:
            with restore_on_exit(self._model.module):
                train(
                    self._model.live.scan,
                    batches,
                    optimizer,
                    watch=self._watch,
                    losses=seen.losses[-1],
                    updates=seen.updates[-1],
                )
        except TrainingError as stopped:
            seen.fail(stopped.error, stopped.failed_in)

    def _watch(self) -> None:
        self._tell(self._n_done, self._n_runs)


def _fill(module: Any, candidate: Candidate, target: Any, seed: int) -> None:
    # Planned anew: what a function of modules may not change is noted with the stand-ins in place.
    plan = plan_candidate(ChangeScope(module), candidate, target, seed)
    try:
        with errors_of(candidate.name):
            if plan.write is not None:
                plan.write(Unguarded())
            if plan.verify is not None:
                plan.verify(Unguarded())
    except BaseException:
        if plan.recover is not None:
            retry_until_complete(plan.recover)
        raise
