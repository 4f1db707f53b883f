"""Candidates tried one after the other on stand-ins of a model's tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from nnwidgets.edit.init_comparison.candidate_plans import Applier, plan_candidate
from nnwidgets.edit.init_comparison.candidate_runs import CandidateRuns
from nnwidgets.edit.init_comparison.candidates import Candidate, as_text, read_candidates, with_text_targets
from nnwidgets.edit.init_comparison.comparison_records import InitCandidate, InitComparison, SignalPoint, UpdateRatio
from nnwidgets.edit.init_comparison.default_targets import default_targets
from nnwidgets.edit.init_comparison.short_training import sgd, training_batches
from nnwidgets.edit.init_comparison.signal_curves import (
    Flaws,
    Seen,
    arithmetic_band,
    curves,
    flaws_of,
    points_of,
    sample_shares,
)
from nnwidgets.edit.init_comparison.verdicts import Judged, compare, judge, places_of
from nnwidgets.edit.operations.swapped_memory import SwappedMemory
from nnwidgets.edit.rng import check_seed
from nnwidgets.edit.targets import ChangeScope, Target, TensorTarget
from nnwidgets.edit.writable import check_writable
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import short_repr
from nnwidgets.introspect.last_inputs import remember_inputs
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.signal.losses import Loss, loss_function
from nnwidgets.introspect.tracing.hooks import passing_on
from nnwidgets.introspect.tracing.inputs import input_sizes, make_inputs
from nnwidgets.introspect.tracing.trace import InputSizes, refuse_lazy

_MOST_STEPS = 10_000
_MOST_SEEDS = 1_000


def compare_inits(
    module: nn.Module,
    /,
    *args: Any,
    inits: Any,
    target: Target | None = None,
    loss: Loss = None,
    seeds: int | Sequence[int] = 3,
    steps: int = 0,
    optimizer: Callable[[list[Any]], Any] | None = None,
    batches: Iterable[Any] | None = None,
    input_size: InputSizes | None = None,
    progress: Callable[[int, int], None] | None = None,
    **kwargs: Any,
) -> InitComparison:
    """Try initializers on a model without changing it, and tell what goes through the layers with each.

    For each candidate and each seed the targets' memory is exchanged for stand-ins, these are filled as `init` fills
    the model with that seed, and one forward and one backward are run as `activations` runs them. The model is
    afterwards bit for bit as it was, whatever is raised on the way; it takes one copy of the targets. While it runs,
    who runs the model in another thread meets the stand-ins; who reads it there with nnwidgets, as an Explorer does, is
    given the model's own values, and who writes, saves or traces it waits.

    A candidate is

    - ``None`` or ``"as it is"``: the values now;
    - an initializer with its parameters: ``"normal_ std=0.01"``, ``"normal_(std=0.01)"`` or
      ``("normal_", {"std": 0.01})``;
    - a function, as `init` takes one: ``fn(tensor, generator)``, or of a tensor alone, or of a module where the target
      names modules;
    - several of these by target: ``{"Linear.weight": "kaiming_normal_", "Linear.bias": "zeros_"}``.

    Args:
        module: The model.
        *args: What its forward takes.
        inits: Candidates by name, or a list of candidates, each named by its text.
        target: What candidates fill that have no target of their own, as for `init`. Without one: parameters of two
            dimensions or more that an input is multiplied by. Embeddings, norms and biases stay as they are, and frozen
            weights where others aren't.
        loss: Where the backward starts, as for `activations`. Where none is given, a standard-normal gradient is sent
            back from the output if it has a graph, and else the forward alone is compared.
        seeds: How many, beginning with 0, or which. What draws no random numbers is run once.
        steps: Steps of a short training after that, on stand-ins of all parameters and buffers: it takes a copy of
            those, one more of the weights, and what the optimizer remembers.
        optimizer: Makes a new optimizer of a list of parameters; plain SGD with a learning rate of 0.1 without one.
        batches: Pairs ``(input, target)`` to train on, begun again where there are fewer than steps; the target is
            whatever ``loss`` may be, or None for ``loss`` itself. As many as there are steps are held at once, the same
            for all candidates. Without them each step takes the one batch.
        input_size: Sizes of inputs to be made, as for `trace`.
        progress: Told runs done and in all, at each call of a module; what it raises ends the comparison and is passed
            on.
        **kwargs: What the forward takes by name; those that are named as one of these, by position.

    Returns:
        The curves over seeds, a verdict for each candidate and one for all.

    Raises:
        InitializerError: A candidate is unknown, or can't fill a target; nothing was run.
        PathNotFoundError: A target names nothing; nothing was run.
        InvalidTargetError: A target can't be written, or ranks hold it together, or a parameter is lazy, or an argument
            is none of what it may be; nothing was run.
        NNWidgetsError: There is no room for stand-ins; it says how much is needed and free, and nothing was run.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layers = [each for _ in range(10) for each in (nn.Linear(100, 100), nn.ReLU())]
        >>> net, x = nn.Sequential(*layers), torch.randn(64, 100)
        >>> found = compare_inits(net, x, inits=["normal_ std=0.01", "kaiming_normal_ nonlinearity=relu"])
        >>> [each.backward[0].mean > 1e-6 for each in found.candidates]  # the gradient at the first layer
        [False, True]
        >>> found.apply("kaiming_normal_ nonlinearity=relu").paths[:2]
        ('0.weight', '2.weight')
    """
    candidates = read_candidates(inits)
    numbers = _seeds(seeds)
    n_steps = _checked_steps(steps)
    if not n_steps and (optimizer is not None or batches is not None):
        raise InvalidTargetError(
            f"{'batches' if optimizer is None else 'optimizer'} is given and steps is 0: nothing would be trained.",
            hint="Say how many steps, such as steps=20.",
        )
    if loss is not None:
        loss_function(loss)
    with passing_on(progress or (lambda *_: None)) as tell, alone_with(module):
        model = ChangeScope(module)
        refuse_lazy(model.live.scan)
        given = args
        if input_size is not None:
            args = (*make_inputs(input_sizes(input_size), model.live.scan), *args)
        candidates = tuple(with_text_targets(model, each) for each in candidates)
        is_needed = any(fill.target is None for each in candidates for fill in each.fills)
        named = as_text(model, target) if target is not None else default_targets(model) if is_needed else []
        seeds_of: dict[str, tuple[int, ...]] = {}
        places: dict[str, TensorTarget] = {}
        tied: dict[str, Any] = {}
        for each in candidates:
            seeds_of[each.name] = numbers[:1]
            if each.fills:
                plan = plan_candidate(model, each, named, numbers[0])
                seeds_of[each.name] = numbers if plan.seed is not None else numbers[:1]
                places.update((place.path, place) for place in plan.places)
                tied.update((tie.path, model.tensor(tie.path)) for tie in plan.ties)
        targets = model.in_walk_order(places)
        run = CandidateRuns(model, (args, kwargs), loss, sum(map(len, seeds_of.values())), tell)
        if n_steps:
            run.training = training_batches(n_steps, batches, (args, kwargs), loss), optimizer or sgd
            everything = _everything(model)
            places.update((place.path, place) for place in everything)
            tied.update((tie.path, model.tensor(tie.path)) for tie in model.ties_of(everything))
        _refuse_parts(places.values())
        memory = SwappedMemory([*(place.tensor for place in places.values()), *tied.values()])
        try:
            seen = [run.candidate(each, named, seeds_of[each.name], memory) for each in candidates]
        finally:
            remember_inputs(module, given, kwargs, input_size)
    points = points_of(seen, model.live.modules)
    matrices = {each.path for each in model.tree.tensors if each.role == "parameter" and len(each.shape or ()) > 1}
    layers = places_of(points, [path for path in targets if path in matrices])
    made = [
        _tell(each, found, (points, layers), seeds_of[each.name], flaws_of(found, model.live.modules, matrices))
        for each, found in zip(candidates, seen, strict=True)
    ]
    return InitComparison(
        points=points,
        candidates=tuple(each for each, _ in made),
        verdict=compare([judged for _, judged in made]),
        targets=targets,
        seeds=numbers,
        _apply=Applier(module, candidates, named),
    )


def _everything(model: ChangeScope) -> list[TensorTarget]:
    """All that a training may write: parameters, and buffers that can be read."""
    entries = [
        entry
        for entry in model.tree.tensors
        if entry.role == "parameter" or (entry.role == "buffer" and unreadable_reason(model.tensor(entry.path)) is None)
    ]
    places = [TensorTarget(entry, model.tensor(entry.path)) for entry in entries]
    check_writable(places)
    return places


def _refuse_parts(places: Iterable[TensorTarget]) -> None:
    """What ranks hold together can be filled, but its memory not exchanged: torch keeps views of it elsewhere."""
    for place in places:
        held = place.entry.held
        if held is not None:
            raise InvalidTargetError(
                f"{place.path} is {held.how}: candidates are tried on whole tensors only.",
                path=place.path,
                hint="Compare on the model before it is sharded; init fills the sharded one with the same numbers.",
            )


def _tell(
    candidate: Candidate,
    seen: Seen,
    axis: tuple[Sequence[SignalPoint], Sequence[int]],
    seeds: tuple[int, ...],
    flaws: Flaws,
) -> tuple[InitCandidate, Judged]:
    points, layers = axis
    forward, backward = curves(seen, points)
    where = f" in the {seen.failed_in}" + f" at {seen.failed_at}" * bool(seen.failed_at)
    error = None if seen.error is None else f"{seen.error}{where}"
    shares = sample_shares(seen, points)
    judged = judge(candidate.name, points, (forward, backward), shares, layers=layers, flaws=flaws, error=error)
    made = InitCandidate(
        name=candidate.name,
        seeds=seeds,
        forward=forward,
        backward=backward,
        findings=() if seen.first is None else seen.first.findings,
        verdict=judged.verdict,
        sample_shares=shares,
        losses=tuple(map(arithmetic_band, zip(*seen.losses, strict=False))),
        update_ratios=_update_ratios(seen.updates),
        error=seen.error,
        failed_in=seen.failed_in,
        failed_at=seen.failed_at,
    )
    return made, judged


def _update_ratios(updates: Sequence[Mapping[str, Sequence[float]]]) -> tuple[UpdateRatio, ...]:
    by_path: dict[str, list[Sequence[float]]] = {}
    for run in updates:
        for path, ratios in run.items():
            by_path.setdefault(path, []).append(ratios)
    return tuple(
        UpdateRatio(path, tuple(math.fsum(each) / len(each) for each in zip(*runs, strict=False)))
        for path, runs in by_path.items()
    )


def _seeds(seeds: Any) -> tuple[int, ...]:
    if type(seeds) is int and 0 < seeds <= _MOST_SEEDS:
        return tuple(range(seeds))
    if type(seeds) in (list, tuple, range) and 0 < len(seeds) <= _MOST_SEEDS:
        return tuple(dict.fromkeys(map(check_seed, seeds)))
    raise InvalidTargetError(
        f"seeds is {short_repr(seeds)}, expected how many, 1 to {_MOST_SEEDS}, or a list of integers.",
        hint="Such as 3.",
    )


def _checked_steps(steps: Any) -> int:
    if type(steps) is not int or not 0 <= steps <= _MOST_STEPS:
        raise InvalidTargetError(
            f"steps is {short_repr(steps)}, expected a whole number from 0 to {_MOST_STEPS:,}.", hint="Such as 20."
        )
    return steps
