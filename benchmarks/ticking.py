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
        yield added(f"GPT-2 small, {n_sequences} × {n_tokens} tokens", model, lambda m=model, x=x: m(x, labels=x).loss)
    net = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    x, y = torch.randn(128, 784), torch.randint(10, (128,))
    yield added("an MLP of 1.9M parameters, batch 128", net, lambda: nn.functional.cross_entropy(net(x), y))


def added(name: str, model: nn.Module, loss_of: Callable[[], torch.Tensor]) -> Row:
    """Seconds in `tick` over the seconds of everything else, in one run of many steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    view = nnw.explore(model)
    steps, ticks = 0.0, 0.0
    n_steps = 0
    while n_steps < WARM_UP or steps < SECONDS:
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
        stepped = time.perf_counter()
        view.tick()
        if n_steps >= WARM_UP:
            steps += stepped - start
            ticks += time.perf_counter() - stepped
        n_steps += 1
    view.close()
    n_steps -= WARM_UP
    note = f"{steps / n_steps * 1e3:.0f} ms a step, {n_steps} of them, {ticks * 1e3:.0f} ms in all ticks"
    return Row(f"a training step with tick(): {name}", 100 * ticks / steps, "%", LIMIT_PERCENT, note)


if __name__ == "__main__":
    sys.exit(report("what tick() adds to a training step", rows()))
