"""Which optimizers train a model: those passed, and those among a notebook's variables; one rule for all front ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch.optim import Optimizer

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.optimizers.group_fields import held_tensors
from nnwidgets.introspect.safe_access.frames import is_users_name
from nnwidgets.introspect.safe_access.objects import is_a, is_module, type_name
from nnwidgets.introspect.safe_access.scan import read


def optimizers_in(optimizer: object) -> tuple[Optimizer, ...]:
    """Return the optimizers that ``optimizer`` is: none, one, or a list or tuple of them.

    Raises:
        InvalidTargetError: If it holds anything else.
    """
    if optimizer is None:
        return ()
    given: tuple[Any, ...] = tuple(optimizer) if type(optimizer) in {list, tuple} else (optimizer,)  # type: ignore[arg-type]
    for one in given:
        if not is_a(one, Optimizer):
            raise InvalidTargetError(
                f"optimizer is of type {type_name(type(one))}, expected a torch.optim.Optimizer.",
                hint="Pass the optimizer itself, such as torch.optim.SGD(net.parameters(), lr=0.1), or a list of them.",
            )
    return given


def optimizer_variables(variables: Mapping[str, Any]) -> dict[str, Optimizer]:
    """Return the variables of a user that hold a torch optimizer, in order; no code of theirs runs.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 3)
        >>> adam = torch.optim.Adam(net.parameters())
        >>> list(optimizer_variables({"_": adam, "_adam": adam, "net": net}))
        ['_adam']
    """
    return {name: value for name, value in list(variables.items()) if is_a(value, Optimizer) and is_users_name(name)}


def optimizers_holding(module: object, objects: Iterable[object]) -> list[Optimizer]:
    """Pick out of ``objects`` the torch optimizers that hold a tensor of ``module``, each once.

    Args:
        module: The model, read only where there is an optimizer at all.
        objects: Anything, such as the values of a notebook's variables; no code of theirs runs.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 3)
        >>> adam = torch.optim.Adam(net.parameters())
        >>> optimizers_holding(net, [1, "x", adam]) == [adam]
        True
    """
    found: dict[int, Any] = {id(each): each for each in objects if is_a(each, Optimizer)}
    own = set(map(id, read(module).slot_values)) if found else set()
    return [each for each in found.values() if any(id(tensor) in own for tensor in held_tensors(each))]


def training_of(module: object, variables: Mapping[str, Any]) -> tuple[list[Optimizer], set[int]]:
    """The optimizers among variables that hold a tensor of a model, and the ids of tensors of other models there.

    The latter are looked for where these optimizers hold what isn't the model's.

    Example:
        >>> import torch
        >>> net, head = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
        >>> adam = torch.optim.Adam([*net.parameters(), *head.parameters()])
        >>> found, elsewhere = training_of(net, {"net": net, "head": head, "adam": adam})
        >>> found == [adam], id(head.weight) in elsewhere, id(net.weight) in elsewhere
        (True, True, False)
    """
    found = optimizers_holding(module, optimizer_variables(variables).values())
    return found, tensors_elsewhere(module, found, variables.values())


def tensors_elsewhere(module: object, optimizers: Iterable[object], objects: Iterable[object]) -> set[int]:
    """Ids of the tensors of other modules among ``objects``, where optimizers hold what isn't this module's."""
    held = {id(tensor) for each in optimizers for tensor in held_tensors(each)}
    if not held:
        return set()
    own = set(map(id, read(module).slot_values))
    if held <= own:
        return set()
    others = {id(each): each for each in list(objects) if is_module(each) and each is not module}
    return {id(value) for each in others.values() for value in read(each).slot_values} - own
