"""A model beside its optimizers, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import Record


@dataclass(frozen=True, slots=True)
class OptimizerGroup(Record):
    """A group of parameters of an optimizer, with its settings.

    Attributes:
        optimizer: Which of the optimizers, from 0.
        class_name: The optimizer's class.
        index: Which of its groups, from 0.
        options: Its settings that are numbers, texts or tuples of these, such as ``{"lr": 0.001, "weight_decay": 0}``.
        n_tensors: Parameters of the model in it.
        n_elements: Their elements.
        n_others: Tensors in it that aren't parameters of the model.
    """

    optimizer: int
    class_name: str
    index: int
    options: dict[str, Any]
    n_tensors: int
    n_elements: int
    n_others: int


@dataclass(frozen=True, slots=True)
class StateTensor(Record):
    """One thing that an optimizer remembers of a parameter.

    Attributes:
        name: ``"exp_avg"``.
        value: The number that it is; None for anything larger.
        shape: Of a single tensor.
        dtype: Its dtype; of several, the first's; empty for a plain number.
        device: Its device, likewise.
        size_bytes: Bytes that this process holds of it.
        norm: L2 norm; None for a number, for codes, and where it can't be read.
        n_tensors: How many tensors it is.
        of: Whose numbers these are, as in `TensorStats`.
    """

    name: str
    value: float | None
    shape: tuple[int, ...] | None
    dtype: str
    device: str
    size_bytes: int
    norm: float | None = None
    n_tensors: int = 0
    of: str = "all"


@dataclass(frozen=True, slots=True)
class ParameterState(Record):
    """A parameter of the model, and what optimizers have of it.

    Attributes:
        path: Its first name.
        shape: Its sizes, None where they can't be known yet.
        requires_grad: Whether it asks for gradients.
        has_grad: Whether it has one.
        groups: Which of the groups hold it: their places in the table.
        step: How many steps it has made, where that is counted.
        state: What else is remembered of it.
    """

    path: str
    shape: tuple[int, ...] | None
    requires_grad: bool
    has_grad: bool
    groups: tuple[int, ...]
    step: float | None
    state: tuple[StateTensor, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of what is remembered."""
        return sum(each.size_bytes for each in self.state)


@dataclass(frozen=True, slots=True, repr=False)
class OptimizerTable(Record):
    """A model beside its optimizers.

    Attributes:
        groups: The groups of all optimizers.
        parameters: Every parameter of the model, in walk order.
    """

    groups: tuple[OptimizerGroup, ...]
    parameters: tuple[ParameterState, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Parameters that ask for gradients and are in no group."""
        return tuple(each.path for each in self.parameters if each.requires_grad and not each.groups)

    @property
    def repeated(self) -> tuple[str, ...]:
        """Parameters that are in several groups."""
        return tuple(each.path for each in self.parameters if len(each.groups) > 1)

    @property
    def n_others(self) -> int:
        """Tensors in groups that aren't parameters of the model."""
        return sum(each.n_others for each in self.groups)

    def __repr__(self) -> str:
        return f"OptimizerTable({counted(len(self.groups), 'group')}, {counted(len(self.parameters), 'parameter')})"

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them, and ``missing`` and ``repeated``."""
        return {**Record.to_dict(self), "missing": list(self.missing), "repeated": list(self.repeated)}
