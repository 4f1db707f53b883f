"""What stands for a model, or a tensor of one, that isn't in this process alone: a module to each public function.

A function marked with `over_handles` gives a handle's own answer where one comes in a module's or a tensor's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from nnwidgets.introspect.safe_access.objects import is_a, is_module

if TYPE_CHECKING:
    from torch import nn

    from nnwidgets.introspect.module_tree.nodes import ModuleTree

P = ParamSpec("P")
T = TypeVar("T")


class Handle:
    """Stands for a module or a tensor; says itself what each public function gives of it."""

    __slots__ = ()

    def answer(self, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """What a public function gives of this.

        Args:
            function: Its name.
            arguments: What it was called with after this.
            options: The same, by name.
        """
        raise NotImplementedError


class ModelHandle(Handle):
    """Stands for a model: what can be looked at where a module can.

    Attributes:
        name: What the model is called where it is.
        module: What this process has of it, where it is one of those that have it.
    """

    __slots__ = ("module", "name")
    name: str
    module: nn.Module | None

    def tree_within(self, seconds: float) -> ModuleTree:
        """Its tree, for what is being typed.

        Args:
            seconds: How long that may take.

        Raises:
            NNWidgetsError: It isn't told in that time.
        """
        raise NotImplementedError


class Handles:
    """Gives handles by name: ``names["net"]``."""

    def __getitem__(self, name: str) -> ModelHandle:
        """The model of that name."""
        raise NotImplementedError


def is_model(value: object) -> bool:
    """Whether it is a module, or stands for one; no code of its own runs.

    Example:
        >>> is_model(ModelHandle()), is_model("net")
        (True, False)
    """
    return is_module(value) or is_a(value, ModelHandle)


def over_handles(function: Callable[P, T]) -> Callable[P, T]:
    """Have a public function ask a handle that comes as its first argument."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        # By its class alone: `isinstance` would ask the value, which may be a user's.
        handle: Any = args[0] if args and issubclass(type(args[0]), Handle) else None
        return function(*args, **kwargs) if handle is None else handle.answer(function.__name__, args[1:], kwargs)

    return call
