"""The values of a whole tensor, drawn as the unsharded filler draws them, of which a rank keeps its part.

Every rank draws all of them, so nothing is sent. What fills one element after the other does so in blocks; anything
else needs one whole tensor beside the part.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nnwidgets.edit.over_ranks.part import Part
from nnwidgets.edit.over_ranks.tries import N_TRIES, check_same, fill_meaningless, is_compared, say_outcome
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import shape_text, short_bytes

BLOCK = 1 << 20
"""Elements of a block: a multiple of 16, as ``normal_`` makes them by sixteens."""

_SIXTEEN = 16


def fill_part(
    part: Part,
    local: torch.Tensor,
    fill: Callable[[Any], object],
    *,
    path: str,
    is_torchs: bool,
    rewind: Callable[[], object] = int,
) -> None:
    """Fill the part of a tensor that is here with what ``fill`` gives the whole.

    Args:
        part: Which part.
        local: It, as a plain tensor.
        fill: Fills a tensor in place; draws from a generator that is kept in it.
        path: Where it is, for errors.
        is_torchs: Whether it is one of ``torch.nn.init``: these write every element and may be run to see how.
        rewind: Sets generators back, as one that isn't torch's is called several times.

    Raises:
        InitializerError: There is no room for the whole, or the function reads elements that other ranks have.
    """
    step = _one_step(part, local, fill) if is_torchs and part.is_contiguous else None
    if step is not None:
        _in_blocks(part, local, step)
        return
    whole = room_for(part, local, path)
    if is_torchs:
        fill(whole)
        local.copy_(part.of(whole))
        return
    if is_compared():
        fill_meaningless(whole, 0)
        say_outcome(lambda: fill(whole), [whole])
        rewind()
    made = None
    for which in range(1 if part.is_whole else N_TRIES):
        if which:
            rewind()
        fill_meaningless(whole, which)
        part.of(whole).copy_(local)
        fill(whole)
        before, made = made, part.of(whole).clone()
        check_same(before, made, path)
    local.copy_(made)  # type: ignore[arg-type] # there is one


class UnknownStepError(Exception):
    """Ends a filler that does more than to draw element after element."""


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own
    """Notes what is done to one tensor and does nothing; whatever is asked of another one ends it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the same
        self._tensor = tensor
        self.steps: list[Callable[[Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = _ELEMENT_WISE if self._tensor.is_cpu else _CONSTANT
        if str(func) not in known or args[0] is not self._tensor:
            raise UnknownStepError
        rest, options = args[1:], kwargs or {}
        self.steps.append(lambda block: func(block, *rest, **options))
        return self._tensor


_CONSTANT = {"aten.fill_.Scalar", "aten.zero_.default"}
_ELEMENT_WISE = {"aten.normal_.default", "aten.uniform_.default", *_CONSTANT}
"""What draws one element after the other, or none; on a GPU only what draws none comes out alike in blocks."""


def _one_step(part: Part, local: torch.Tensor, fill: Callable[[Any], object]) -> Callable[[Any], Any] | None:
    """The one thing that a filler does to a tensor of the whole's sizes, where that can be done in blocks."""
    stand_in = torch.empty(1, dtype=local.dtype, device=local.device).expand(part.shape)
    try:
        with _Recorder(stand_in) as recorder:
            fill(stand_in)
    except UnknownStepError:
        return None
    return recorder.steps[0] if len(recorder.steps) == 1 else None


def _in_blocks(part: Part, local: torch.Tensor, step: Callable[[Any], Any]) -> None:
    n = part.n_elements
    room = torch.empty(min(n, BLOCK + _SIXTEEN), dtype=local.dtype, device=local.device)
    start = 0
    while start < n:
        stop = min(start + BLOCK, n)
        if n - stop < _SIXTEEN:  # normal_ makes the last elements by sixteen too
            stop = n
        block = room[: stop - start]
        step(block)
        part.keep(block, start, local)
        start = stop


def room_for(part: Part, local: torch.Tensor, path: str) -> torch.Tensor:
    """Memory for the whole tensor.

    Raises:
        InitializerError: There is none.
    """
    n_bytes = part.n_elements * local.element_size()
    free = free_bytes(local.device)
    if free is None or n_bytes <= free:
        try:
            return torch.empty_strided(part.shape, part.stride, dtype=local.dtype, device=local.device)
        except (RuntimeError, MemoryError):
            free = free_bytes(local.device)
    left = "" if free is None else f", and {short_bytes(free)} are free here"
    raise InitializerError(
        f"{path} is filled as a whole, {short_bytes(n_bytes)} for {shape_text(part.shape)}{left}.",
        path=path,
        hint="normal_, uniform_ and what is made of them need one block at a time.",
    )


def free_bytes(device: torch.device) -> int | None:
    """How much memory can be had; None where the system doesn't tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    lines = (line.split() for line in told.splitlines())
    return next((int(line[1]) << 10 for line in lines if line[0] == "MemAvailable:"), None)
