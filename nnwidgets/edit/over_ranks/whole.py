"""Modules whose tensors are whole for the length of a call, of which a rank keeps its parts afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.over_ranks.draw import check_nothing_foreign, room_for
from nnwidgets.edit.over_ranks.part import Part, part_of
from nnwidgets.errors import InitializerError
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.statistics.exact_stats import version

_REGISTRIES = ("_parameters", "_buffers")

CODE = """\
@contextmanager
def whole(module):
    held = [(m, n, p) for m in module.modules() for n, p in m.named_parameters(recurse=False) if isinstance(p, DTensor)]
    made = {p: nn.Parameter(p.full_tensor()) for _, _, p in held}
    for m, n, p in held:
        setattr(m, n, made[p])
    yield
    for m, n, p in held:
        p.copy_(distribute_tensor(made[p].detach(), p.device_mesh, p.placements, src_data_rank=None))
        setattr(m, n, p)
"""
"""What stands for `whole_tensors` in code, under ``no_grad``, on all ranks at once."""

IMPORTS = (
    "from contextlib import contextmanager",
    "from torch import nn",
    "from torch.distributed.tensor import DTensor, distribute_tensor",
)
"""What that needs, beside torch."""


@dataclass(frozen=True, slots=True)
class _Whole:
    """A whole tensor in the place of one that is spread over ranks."""

    tensor: Any
    path: str
    part: Part
    local: torch.Tensor
    whole: torch.Tensor
    version: Any

    def keep(self) -> None:
        """Write what is to be here, if anything was written."""
        with plain_torch():
            made = self.part.of(self.whole.detach())
            # Not the version alone: what is written through `.data` doesn't raise it.
            if version(self.whole) == self.version and torch.equal(made, self.local):
                return
            check_nothing_foreign(made, self.local, self.path)
            self.local.copy_(made)
        torch.autograd.graph.increment_version(self.tensor)


@contextmanager
def whole_tensors(module: Any, path: str) -> Iterator[None]:
    """Inside, a module and those below it have whole tensors for DTensors: what isn't here of them is NaN.

    Args:
        module: A module whose parameters are cut now, as FSDP leaves them.
        path: Where it is, for errors.

    Raises:
        InitializerError: There is no room for them all, or what is to be here was made from what isn't.
    """
    made: dict[int, _Whole] = {}
    swapped: list[tuple[dict[Any, Any], Any, Any]] = []
    try:
        for registry, name, tensor in list(_spread(LiveModel(module).modules.values())):
            if id(tensor) not in made:
                made[id(tensor)] = _whole(tensor, f"{path}.{name}".lstrip("."))
            swapped.append((registry, name, tensor))
            registry[name] = made[id(tensor)].whole
        yield
        for registry, name, tensor in swapped:
            if registry.get(name) is not made[id(tensor)].whole:
                raise InitializerError(f"It replaced or removed {path}.{name}, expected changes in place.", path=path)
    finally:
        for registry, name, tensor in swapped:
            registry[name] = tensor
    for each in made.values():
        each.keep()


def _spread(modules: Iterable[Any]) -> Iterator[tuple[dict[Any, Any], Any, Any]]:
    for each in modules:
        own = instance_dict(each)
        for registry in filter(lambda held: is_a(held, dict), map(own.get, _REGISTRIES)):
            for name, tensor in registry.items():  # type: ignore[union-attr] # a dict
                if is_dtensor(type(tensor)):
                    yield registry, name, tensor  # type: ignore[misc] # the same


def _whole(tensor: Any, path: str) -> _Whole:
    part, local = part_of(tensor, path), as_plain_tensor(tensor)
    assert part is not None  # noqa: S101 - of a DTensor there is one
    with plain_torch():
        bare = room_for(part, local, path)
        bare.fill_(math.nan if bare.is_floating_point() or bare.is_complex() else 0)
        part.of(bare).copy_(local)
    whole = nn.Parameter(bare, requires_grad=tensor.requires_grad) if is_a(tensor, nn.Parameter) else bare
    return _Whole(tensor, path, part, local, whole, version(whole))
