"""Modules whose tensors are whole for the length of a call, of which a rank keeps its parts afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.over_ranks.draw import room_for
from nnwidgets.edit.over_ranks.part import MODULE, Part, data_of, part_code, part_of
from nnwidgets.edit.over_ranks.tries import N_TRIES, Borrowed, check_same, fill_meaningless, has_same_bytes, is_compared
from nnwidgets.errors import InitializerError
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a
from nnwidgets.introspect.safe_access.tensors import plain_torch, unreadable_reason
from nnwidgets.introspect.statistics.exact_stats import version

_REGISTRIES = ("_parameters", "_buffers")

CODE = f"""\
@contextmanager
def whole(module):
    held = [(m, n, p) for m in module.modules() for n, p in m.named_parameters(recurse=False) if isinstance(p, DTensor)]
    made = {{p: nn.Parameter(p.full_tensor()) for _, _, p in held}}
    for m, n, p in held:
        setattr(m, n, made[p])
    yield
    for m, n, p in held:
        p.copy_({part_code("made[p].detach()", "p")})
        setattr(m, n, p)
"""
"""What stands for `call_whole` in code, under ``no_grad``, on all ranks at once."""

IMPORTS = (
    "from contextlib import contextmanager",
    "from torch import nn",
    f"from {MODULE} import DTensor, distribute_tensor",
)
"""What that needs, beside torch."""


@dataclass(slots=True)
class _Whole:
    """A whole tensor in the place of one that is spread over ranks."""

    tensor: Any
    path: str
    part: Part
    local: torch.Tensor
    whole: torch.Tensor
    version: Any = None
    made: torch.Tensor | None = None

    def begin(self, which: int) -> None:
        """Have what is here, and meaningless values for the rest."""
        fill_meaningless(self.whole, which)
        with plain_torch():
            self.part.of(self.whole.detach()).copy_(self.local)
        self.version = version(self.whole)

    def look(self) -> None:
        """Note what is to be here, which is what it was to be at the try before."""
        with plain_torch():
            made = self.part.of(self.whole.detach()).clone()
        check_same(self.made, made, self.path)
        self.made = made

    def keep(self) -> None:
        """Write what is to be here, if anything was written."""
        made = self.made
        # Not the version alone: what is written through `.data` doesn't raise it.
        if made is None or (version(self.whole) == self.version and has_same_bytes(made, self.local)):
            return
        with plain_torch():
            self.local.copy_(made)
        torch.autograd.graph.increment_version(self.tensor)


def call_whole(module: Any, path: str, call: Callable[[], object], rewind: Callable[[], object]) -> None:
    """Call what changes a module and those below it while they have whole tensors for DTensors.

    It is called twice, with other values each time for what isn't here, and gives the same; where other ranks make the
    change too, once more before, to be compared with theirs.

    Args:
        module: A module whose parameters are cut now, as FSDP leaves them.
        path: Where it is, for errors.
        call: Changes it.
        rewind: Sets generators back to where they are now.

    Raises:
        InitializerError: There is no room for them all, or what is to be here was made from what isn't.
    """
    held = _Held(module, path, rewind)
    try:
        held.swap()
        if is_compared():
            held.say_outcome(call)
        for which in range(N_TRIES if held.made else 1):
            held.call(call, which)
    finally:
        held.swap_back()
    for each in held.made.values():
        each.keep()


class _Held:
    """A module that is called, with what there is to begin again."""

    def __init__(self, module: Any, path: str, rewind: Callable[[], object]) -> None:
        live = LiveModel(module)
        self._path, self._rewind = path, rewind
        self._modules = list(live.modules.values())
        plain = {
            id(tensor): (self._named(name), tensor)
            for name, tensor in live.tensors.items()
            if not is_dtensor(type(tensor)) and unreadable_reason(tensor) is None
        }
        self._names = [name for name, _ in plain.values()]
        self._plain = Borrowed(tensor for _, tensor in plain.values())
        self._attributes = [(own, dict(own)) for own in map(instance_dict, self._modules)]
        self._swapped: list[tuple[dict[Any, Any], Any, Any]] = []
        self.made: dict[int, _Whole] = {}

    def swap(self) -> None:
        """Put whole tensors in the places of DTensors."""
        for registry, name, tensor in list(_spread(self._modules)):
            if id(tensor) not in self.made:
                self.made[id(tensor)] = _whole(tensor, self._named(name))
            self._swapped.append((registry, name, tensor))
            registry[name] = self.made[id(tensor)].whole

    def swap_back(self) -> None:
        """Put DTensors back."""
        for registry, name, tensor in self._swapped:
            registry[name] = tensor

    def say_outcome(self, call: Callable[[], object]) -> None:
        """Have ranks compare what is made of values that all of them know."""
        for each in self.made.values():
            fill_meaningless(each.whole, 0)
        self._plain.say_outcome(call, [each.whole for each in self.made.values()])
        self._begin_again()

    def call(self, call: Callable[[], object], which: int) -> None:
        """Call what changes it, and compare what it gives with what it gave before."""
        before = self._plain.values() if which else []
        if which:
            self._begin_again()
        for each in self.made.values():
            each.begin(which)
        call()
        for registry, name, tensor in self._swapped:
            if registry.get(name) is not self.made[id(tensor)].whole:
                raise InitializerError(
                    f"It replaced or removed {self._named(name)}, expected changes in place.", path=self._named(name)
                )
        for each in self.made.values():
            each.look()
        if which:
            for name, old, now in zip(self._names, before, self._plain.values(), strict=True):
                check_same(old, now, name)

    def _begin_again(self) -> None:
        self._rewind()
        self._plain.put_back()
        for own, kept in self._attributes:
            own.clear()
            own.update(kept)

    def _named(self, name: str) -> str:
        return f"{self._path}.{name}".lstrip(".")


def _spread(modules: Iterable[Any]) -> Iterator[tuple[dict[Any, Any], Any, Any]]:
    for each in modules:
        own = instance_dict(each)
        for registry in filter(lambda held: is_a(held, dict), map(own.get, _REGISTRIES)):
            for name, tensor in registry.items():  # type: ignore[union-attr] # a dict
                if is_dtensor(type(tensor)):
                    yield registry, name, tensor  # type: ignore[misc] # the same


def _whole(tensor: Any, path: str) -> _Whole:
    part, local = part_of(tensor, path), data_of(tensor)
    assert part is not None  # noqa: S101 - of a DTensor there is one
    with plain_torch():
        bare = room_for(part, local, path)
    whole = nn.Parameter(bare, requires_grad=tensor.requires_grad) if is_a(tensor, nn.Parameter) else bare
    return _Whole(tensor, path, part, local, whole)
