"""From running the cell to the first Explorer of a notebook on the screen."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

from benchmarks.common import Row, report
from benchmarks.lab import PAINTED, cells, jupyterlab, settle

ROUNDS = 7
LIMIT_MS = 500
VIEW_CELL = 2
RUN = f"""async ([path, index]) => {{
  const panel = window.panels[path];
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  const start = performance.now();
  void window.jupyterapp.commands.execute('notebook:run-cell');
  const row = `[data-test-cell="${{index}}"] .nnw-explorer [role=row][data-path=""]`;
  return await {PAINTED}(() => document.querySelector(row) !== null) - start;
}}"""


def rows() -> Iterator[Row]:
    """One row: a notebook and a kernel of its own for each round, so that each sends the page's script anew."""
    taken = []
    for _ in range(ROUNDS):
        with jupyterlab() as lab:
            notebook = lab.open([cells.LOAD, cells.GPT2, "%nn gpt2"])
            notebook.run(0, 1)
            settle(lab)
            taken.append(lab.page.evaluate(RUN, [notebook.path, VIEW_CELL]))
            notebook.explorer(VIEW_CELL)
    note = f"GPT-2, {min(taken):.0f} to {max(taken):.0f} ms in {ROUNDS} new notebooks, each with a new kernel"
    yield Row("first Explorer on screen after its cell runs", statistics.median(taken), "ms", LIMIT_MS, note)


if __name__ == "__main__":
    sys.exit(report("The first Explorer", rows()))
