"""What was seen of some initializers on one model, as records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nnwidgets.edit.change import Change
from nnwidgets.errors import InvalidTargetError, closest_names
from nnwidgets.formatting import counted, inert
from nnwidgets.introspect.records import Finding, Record


@dataclass(frozen=True, slots=True)
class SignalPoint(Record):
    """One place on the way through the layers: a call of a module that calls no other.

    Attributes:
        path: The module called.
        call_index: 0 for its first call in a forward, 1 for its second.
        class_name: Its class.
        is_layer: Whether it has a weight of its own that its input is multiplied by: embeddings and norms aside.
    """

    path: str
    call_index: int
    class_name: str
    is_layer: bool


@dataclass(frozen=True, slots=True)
class SignalBand(Record):
    """A number over seeds.

    Attributes:
        mean: The geometric mean of standard deviations, zero where one is; the arithmetic mean of losses. Of the seeds
            in which it is finite; NaN where it is in none.
        low: The lowest.
        high: The highest.
        n_nonfinite: In how many seeds there were NaN or infinite values.
        n_zero: In how many seeds all values were zero.
    """

    mean: float
    low: float
    high: float
    n_nonfinite: int = 0
    n_zero: int = 0


@dataclass(frozen=True, slots=True)
class UpdateRatio(Record):
    """How far each step of a short training moves a weight.

    Attributes:
        path: The weight.
        log10: For each step, the decimal logarithm of the update's standard deviation over the weight's, the mean over
            seeds. Near -3 is usual (Karpathy, makemore, part 3). NaN where nothing moved.
    """

    path: str
    log10: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InitCandidate(Record):
    """One candidate: what goes through the layers where it fills the weights.

    Attributes:
        name: What it is called.
        seeds: Those it was run with; one where it draws no random numbers.
        forward: Of each point, the standard deviation of its output; None where the call wasn't reached.
        backward: Of each point, the standard deviation of the gradient that arrives at its output; None where none
            came.
        findings: What is worth knowing of the run with the first seed, the worst first, as `activations` tells it.
        verdict: What it does, in a sentence with its numbers.
        sample_shares: Of each layer's output with the first seed, the share of its standard deviation that differs from
            sample to sample: next to nothing where it is all biases'. None of other points, and of a single sample.
        losses: Of a short training, the loss of each step, before it.
        update_ratios: Of the same, how far it moves each weight.
        error: What a forward, a loss, a backward or a step raised, as ``"RuntimeError: …"``, or None.
        failed_in: ``"forward"``, ``"loss"``, ``"backward"`` or ``"step"`` where it raised, or None.
        failed_at: Path of the innermost module whose forward raised, or None.
    """

    name: str
    seeds: tuple[int, ...]
    forward: tuple[SignalBand | None, ...]
    backward: tuple[SignalBand | None, ...]
    findings: tuple[Finding, ...]
    verdict: str
    sample_shares: tuple[float | None, ...] = ()
    losses: tuple[SignalBand, ...] = ()
    update_ratios: tuple[UpdateRatio, ...] = ()
    error: str | None = None
    failed_in: str | None = None
    failed_at: str | None = None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class InitComparison(Record):
    """Candidates side by side, tried on stand-ins; the model is as it was.

    Attributes:
        points: Calls in the order they began, which is the x axis of all curves.
        candidates: In the order they were given.
        verdict: What they do beside each other, in a few sentences with their numbers.
        targets: The tensors that candidates without targets of their own fill, in walk order.
        seeds: What random numbers came from; `apply` takes the first.
    """

    points: tuple[SignalPoint, ...]
    candidates: tuple[InitCandidate, ...]
    verdict: str
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    _apply: Callable[..., Change] = field(repr=False)

    def __repr__(self) -> str:
        names = ", ".join(inert(each.name, 60) for each in self.candidates)
        return f"InitComparison({names}; {counted(len(self.points), 'point')}, {counted(len(self.seeds), 'seed')})"

    def __getitem__(self, name: str) -> InitCandidate:
        """The candidate of a name.

        Raises:
            InvalidTargetError: There is none; it says which there are.
        """
        for each in self.candidates:
            if each.name == name:
                return each
        names = [each.name for each in self.candidates]
        close = closest_names(str(name), names)
        raise InvalidTargetError(
            f"No candidate is named {inert(str(name), 80)!r}.",
            hint=f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are {', '.join(names)}.",
        )

    def apply(
        self,
        name: str,
        *,
        seed: int | None = None,
        optimizer: Any = None,
        preview: bool = False,
        clear_state: bool = False,
    ) -> Change:
        """Fill the model's own tensors as a candidate did, as one undoable change.

        The numbers are those that were compared, bit for bit, where ``seed`` is one of ``seeds``.

        Args:
            name: The candidate's.
            seed: What random numbers come from; the first of ``seeds`` where none is given.
            optimizer: As for `init`.
            preview: As for `init`.
            clear_state: As for `init`.

        Returns:
            The change.

        Raises:
            InvalidTargetError: There is no such candidate, it is the model as it was, or the model is gone.
            InitializerError: As `init`.

        Example:
            >>> import torch
            >>> from nnwidgets.edit import compare_inits, undo
            >>> net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
            >>> found = compare_inits(net, torch.randn(8, 20), inits=["kaiming_normal_", "normal_ std=0.01"])
            >>> found.apply("kaiming_normal_")
            Change(kaiming_normal_: 0.weight, 2.weight, seed 0)
            >>> undo(net).label
            'kaiming_normal_'
        """
        candidate = self[name]
        return self._apply(
            candidate.name,
            seed=self.seeds[0] if seed is None else seed,
            optimizer=optimizer,
            preview=preview,
            clear_state=clear_state,
        )
