"""`tree(model)`, with tensors, ties and counts, against ``list(model.named_modules())``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from torch import nn

from benchmarks import models
from benchmarks.common import Row, against, medians, report
from nnwidgets.introspect import tree

LIMIT = 5.0
MODELS: tuple[tuple[str, Callable[[], nn.Module], int], ...] = (
    ("GPT-2", models.gpt2, 25),
    ("Llama-3-8B on meta", models.llama_3_8b, 25),
    ("79k-module mixture of experts on meta", models.mixture_of_experts, 5),
    ("100k synthetic modules", models.synthetic, 5),
)


def rows() -> Iterator[Row]:
    """One row per model, then the growth with depth."""
    for name, make, rounds in MODELS:
        model = make()
        yield against(
            f"tree of {name}",
            lambda model=model: tree(model),
            lambda model=model: list(model.named_modules()),
            limit=LIMIT,
            rounds=rounds,
            theirs_is="named_modules",
        )
        del model
    shallow, deep = models.nest(1_250), models.nest(5_000)
    fast, slow = medians(lambda: tree(shallow), lambda: tree(deep))
    yield Row("tree of a 5,000-deep nest against one of 1,250", slow / fast, "x", None, f"{slow * 1e3:.1f} ms")


if __name__ == "__main__":
    sys.exit(report("tree(model) against list(model.named_modules())", rows()))
