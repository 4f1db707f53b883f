"""How much to hand to torch at once: much, for all its threads to share, or little, for this thread alone.

On an idle machine all threads together are fastest. Where a training cell holds the cores, each operation would wait
for a thread that has to be scheduled first, and a hundred times as long; then one thread working by itself wins, and
leaves the others to the training. Which it is shows in the time blocks take.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

ALONE = 32_000
"""Elements per part for one thread; from 32,768 on torch shares an operation out."""

_SLOW = 3e-9
_TRIED_SOON, _TRIED_LATE = 8, 64


class Pace:
    """Splits blocks into parts, by which way was faster of late.

    Args:
        device: Where the blocks are; only the CPU has a choice.
    """

    def __init__(self, device: torch.device) -> None:
        self._can_choose = device.type == "cpu" and torch.get_num_threads() > 1
        self._together = True
        self._tried_against: float | None = None
        self._until_trial = 0

    def parts(self, block: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield parts of a one-dimensional block; the time until the next is asked for is what they took."""
        n = block.numel()
        if not self._can_choose or n <= ALONE:
            yield block
            return
        start = time.perf_counter()
        yield from (block,) if self._together else torch.split(block, ALONE)
        self._learn((time.perf_counter() - start) / n)

    def _learn(self, cost: float) -> None:
        """Take in what one element took, in seconds, and choose for the next block."""
        if self._tried_against is not None:
            if cost > self._tried_against:
                self._together = not self._together
            # Busy cores stay busy for a while, and trying them then is dear; a passing hitch is over soon.
            self._until_trial = _TRIED_LATE if min(cost, self._tried_against) > _SLOW else _TRIED_SOON
            self._tried_against = None
            return
        self._until_trial -= 1
        if self._until_trial <= 0 and (cost > _SLOW or not self._together):
            self._tried_against = cost
            self._together = not self._together
