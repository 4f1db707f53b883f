"""What `Explorer.tick()` adds to a training step, of the time that the steps themselves take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

import nnwidgets as nnw
from benchmarks import models
from benchmarks.common import Row, report

LIMIT_PERCENT = 2.0
SECONDS = 45.0
WARM_UP = 2


def rows() -> Iterator[Row]:
    """GPT-2 at two batch sizes, and a small net whose steps are quick."""
    for n_sequences, n_tokens in ((1, 64), (4, 128)):
        model = models.gpt2()
        x = torch.randint(50_257, (n_sequences, n_tokens))
        for activations in (False, True):
            name = f"GPT-2 small, {n_sequences} × {n_tokens} tokens"
            yield added(name, model, lambda m=model, x=x: m(x, labels=x).loss, activations=activations)
    net = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    x, y = torch.randn(128, 784), torch.randint(10, (128,))
    for activations in (False, True):
        name = "an MLP of 1.9M parameters, batch 128"
        yield added(name, net, lambda: nn.functional.cross_entropy(net(x), y), activations=activations)


def added(name: str, model: nn.Module, loss_of: Callable[[], torch.Tensor], *, activations: bool = False) -> Row:
    """Seconds in `tick`, and in the hooks that it sets, over the seconds of everything else, in one run of many steps.

    All rows are in sight.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    view = nnw.explore(model)
    view._session.note_shown([name for name, _ in model.named_modules()])  # noqa: SLF001 - as a page does that is scrolled
    steps, ticks, hooks, at_begin = 0.0, 0.0, 0.0, 0.0
    ticking = view._ticks  # noqa: SLF001 - what its hooks took is in no other place
    n_steps = 0
    while n_steps < WARM_UP or steps < SECONDS:
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
        stepped = time.perf_counter()
        watch = ticking._step  # noqa: SLF001 - the same
        hooked = watch.seconds - at_begin if watch is not None else 0.0
        view.tick(activations=activations)
        at_begin = ticking._step.seconds if ticking._step is not None else 0.0  # noqa: SLF001 - the same
        if n_steps >= WARM_UP:
            steps += stepped - start - hooked
            hooks += hooked
            ticks += time.perf_counter() - stepped
        n_steps += 1
    view.close()
    n_steps -= WARM_UP
    note = f"{steps / n_steps * 1e3:.0f} ms a step, {n_steps} of them, {ticks * 1e3:.0f} ms in all ticks"
    if activations:
        note += f", {hooks * 1e3:.0f} ms in hooks"
    call = "tick(activations=True)" if activations else "tick()"
    return Row(f"a training step with {call}: {name}", 100 * (ticks + hooks) / steps, "%", LIMIT_PERCENT, note)


if __name__ == "__main__":
    sys.exit(report("what tick() adds to a training step", rows()))
