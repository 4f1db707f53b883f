"""What the panel asks of the kernel after each cell, with a thousand variables there."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import nn

import nnwidgets
from benchmarks import models
from benchmarks.common import Row, medians, report

N_VARIABLES = 1_000
N_MODELS = 20
LIMIT_MS = 10
REQUEST = {"v": 1, "id": "1", "kind": "variables", "body": {}}


def rows() -> Iterator[Row]:
    """One row: among the variables are tensors, numbers, text, containers, and models, one of them GPT-2."""
    main = vars(sys.modules["__main__"])
    made = {f"variable_{index}": _value(index) for index in range(N_VARIABLES - N_MODELS)}
    made |= {f"net_{index}": nn.Linear(2, 3) for index in range(N_MODELS - 1)} | {"gpt2": models.gpt2()}
    main.update(made)
    reply = nnwidgets.handle(REQUEST)
    if len(reply["body"]["modules"]) < N_MODELS:
        raise SystemExit(f"The reply names {len(reply['body']['modules'])} models, expected {N_MODELS}.")
    (took,) = medians(lambda: nnwidgets.handle(REQUEST))
    note = f"{N_MODELS} of them models; no module is looked into"
    yield Row(f"panel refresh, {N_VARIABLES:,} variables", took * 1e3, "ms", LIMIT_MS, note)


def _value(index: int) -> object:
    return (torch.zeros(2), index, f"text {index}", [index], {"a": index})[index % 5]


if __name__ == "__main__":
    sys.exit(report("The panel", rows()))
