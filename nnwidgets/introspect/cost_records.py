"""What a model costs, as records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nnwidgets.formatting import counted, short_bytes
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.records import Record, Work


@dataclass(frozen=True, slots=True)
class ModuleCosts(Work):
    """What a module and all below it cost; bytes are those of this process, each once.

    Attributes:
        path: The module; ``""`` for the model itself.
        class_name: Its class.
        parameter_bytes: Of its parameters.
        buffer_bytes: Of its buffers and unregistered tensors, but for what is a parameter's.
        gradient_bytes: Of the gradients that are there.
        optimizer_bytes: Of what the given optimizers remember of its parameters.
        activation_bytes: What autograd kept of the traced forward for a backward; None without a forward, and where
            gradients were off.
        flops: Floating-point operations of the traced forward; None without one, and where they aren't known.
        n_calls: How often it was called itself in the traced forward.
    """

    path: str
    class_name: str
    parameter_bytes: int
    buffer_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int | None
    flops: int | None
    n_calls: int

    @property
    def size_bytes(self) -> int:
        """All of its memory together."""
        held = self.parameter_bytes + self.buffer_bytes + self.gradient_bytes + self.optimizer_bytes
        return held + (self.activation_bytes or 0)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them, and ``mult_adds`` and ``size_bytes``."""
        return {**Work.to_dict(self), "size_bytes": self.size_bytes}


@dataclass(frozen=True, slots=True, repr=False)
class Costs(Record):
    """What a model costs, module by module.

    Attributes:
        modules: Every module in walk order, the model itself first; another name of one costs what that does.
        missing_gradient_bytes: What the gradients will take that parameters ask for and don't have yet.
        is_traced: Whether a forward was run, without which activations and arithmetic aren't known.
        n_optimizers: How many optimizers were given.
    """

    modules: tuple[ModuleCosts, ...]
    missing_gradient_bytes: int
    is_traced: bool
    n_optimizers: int
    _tree: ModuleTree = field(compare=False)

    @property
    def total(self) -> ModuleCosts:
        """The whole model's."""
        return self.modules[0]

    def __repr__(self) -> str:
        n_modules = counted(len(self.modules), "module")
        return f"Costs({self.total.class_name}, {n_modules}, {short_bytes(self.total.size_bytes)})"

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them, and ``total``."""
        return {**Record.to_dict(self), "total": self.total.to_dict()}
