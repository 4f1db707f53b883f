"""Random numbers that leave every global generator as it was."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import torch

from nnwidgets.edit.over_ranks.agreement import current
from nnwidgets.errors import InvalidTargetError

_SEED_BITS = 31


def draw_seed() -> int:
    """A seed from the operating system, short enough to read aloud; torch's generators are not asked."""
    return secrets.randbits(_SEED_BITS)


def check_seed(seed: object) -> int:
    """The seed asked for, or a drawn one for None: one for all ranks that change a model together.

    Raises:
        InvalidTargetError: It is not an integer of at most 64 bits.
    """
    if seed is None:
        agreement = current()
        return draw_seed() if agreement is None else agreement.seed(draw_seed())
    if type(seed) is not int or not -(2**63) <= seed < 2**64:
        raise InvalidTargetError(f"The seed is {seed!r}, expected an integer of at most 64 bits.", hint="Such as 7.")
    return seed


class Generators:
    """One generator per device, each seeded once, as ``torch.Generator(device).manual_seed(seed)``."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        """The generator of a device."""
        if device not in self._made:
            self._made[device] = torch.Generator(device=device).manual_seed(self._seed)
        return self._made[device]


@contextlib.contextmanager
def fork_generators(seed: int) -> Iterator[None]:
    """Inside, torch's global generators are seeded; afterwards they are as before."""
    rewind = rewinder()
    try:
        try:
            torch.default_generator.manual_seed(seed)
            for backend in (torch.cuda, torch.xpu):
                if backend.is_initialized():
                    backend.manual_seed_all(seed)
            if torch.backends.mps.is_available():
                torch.mps.manual_seed(seed)
            yield
        finally:
            rewind()
    finally:
        # Once more: an interrupt may have come between.
        rewind()


def rewinder(*more: torch.Generator) -> Callable[[], None]:
    """What sets torch's global generators, and some more, to where they are now."""
    undos = [_undo(torch.default_generator), *map(_undo, more)]
    undos += [_backend_undo(backend) for backend in (torch.cuda, torch.xpu) if backend.is_initialized()]
    if torch.backends.mps.is_available():
        undos.append(_undo(torch.mps))

    def rewind() -> None:
        for undo in undos:
            undo()

    return rewind


def _undo(source: Any) -> Callable[[], Any]:
    is_generator = isinstance(source, torch.Generator)
    state = (source.get_state if is_generator else source.get_rng_state)()
    return lambda: (source.set_state if is_generator else source.set_rng_state)(state)


def _backend_undo(backend: Any) -> Callable[[], Any]:
    states = backend.get_rng_state_all()
    return lambda: backend.set_rng_state_all(states)
