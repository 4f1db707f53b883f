"""Modules that a file holds whole, as pickled objects: their state dicts, put together from what would be set on them.

Source: ``Module.state_dict`` in ``torch/nn/modules/module.py``, that of a module which doesn't override it.
"""

from __future__ import annotations

from typing import Any

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.errors import CheckpointMismatchError
from nnwidgets.formatting import inert


def is_pickled_module(value: Any) -> bool:
    """Whether it is a described object that has what every ``torch.nn.Module`` has."""
    own = value.attributes if type(value) is Opaque else None
    return type(own) is dict and all(type(own.get(part)) is dict for part in _PARTS)


def state_dict_of(module: Opaque) -> dict[str, Any]:
    """The state dict of a described module: parameters and persistent buffers by name, in torch's order.

    Args:
        module: As `is_pickled_module` has it.

    Returns:
        Descriptions of tensors; of a class that isn't read, the described object.

    Raises:
        CheckpointMismatchError: A module in it holds itself, or its names are without end.
    """
    return Flattening().state_dict(module)


class Flattening:
    """What is done for all modules of a file together: a few that repeat each other may stand for very many."""

    def __init__(self) -> None:
        """Start with none."""
        self.n_left = _FREE_PARTS
        self.seen: dict[int, Any] = {}

    def state_dict(self, module: Opaque) -> dict[str, Any]:
        """As the function of that name does."""
        made: dict[str, Any] = {}
        above: set[int] = set()
        waiting: list[tuple[str, Any, bool]] = [("", module, False)]
        while waiting:
            prefix, found, is_done = waiting.pop()
            if is_done:
                above.discard(id(found))
                continue
            if id(found) in above or len(above) >= _DEEPEST:
                why = "holds itself" if id(found) in above else f"is nested more than {_DEEPEST} deep"
                raise _without_end(f"{prefix.rstrip('.') or 'the top'}, {found.class_name}, {why}")
            above.add(id(found))
            own = found.attributes
            left_out = own.get("_non_persistent_buffers_set")
            left_out = left_out if type(left_out) is set else ()
            tensors = own["_parameters"] | {
                name: each for name, each in own["_buffers"].items() if name not in left_out
            }
            made.update((f"{prefix}{name}", each) for name, each in tensors.items() if each is not None)
            children = [(name, each) for name, each in own["_modules"].items() if is_pickled_module(each)]
            n_parts = 1 + len(tensors) + len(children)
            self.n_left -= n_parts * (1 + len(prefix) // _LONG_NAME)
            if id(found) not in self.seen:
                self.seen[id(found)] = found
                self.n_left += _REPEATED * n_parts
            if self.n_left < 0:
                raise _without_end(f"{prefix.rstrip('.') or 'the top'} is one of too many that repeat each other")
            waiting.append((prefix, found, True))
            waiting += [(f"{prefix}{name}.", each, False) for name, each in reversed(children)]
        return made


def _without_end(what: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(
        f"The pickled module at {inert(what)}: it has no state dict.",
        hint="nnwidgets.read gives it as it is described.",
    )


_PARTS = ("_parameters", "_buffers", "_modules")
_DEEPEST = 200
_FREE_PARTS = 20_000
_REPEATED = 8
_LONG_NAME = 64
