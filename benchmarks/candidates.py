"""From "Compare on data" to the curves of candidates on the screen."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

from benchmarks.common import Row, report
from benchmarks.lab import PAINTED, cells, jupyterlab, settle

ROUNDS = 9
LIMIT_MS = 300
DATA = "X = torch.randn(64, 20)"
CLICK = f"""async (button) => {{
  const section = button.closest('section');
  section.querySelectorAll('[role=img]').forEach((each) => each.setAttribute('data-old', ''));
  const start = performance.now();
  button.click();
  return await {PAINTED}(() => !section.querySelector('form button').disabled
    && section.querySelectorAll('[role=img] .nnw-signal-line').length > 0) - start;
}}"""


def rows() -> Iterator[Row]:
    """One row: the tutorial's MLP, the weights of the whole model filled by five candidates with three seeds each."""
    with jupyterlab() as lab:
        notebook = lab.open([cells.LOAD, cells.MLP, DATA, "%nn net", "%nn activations net X --loss noise"])
        notebook.run(0, 1, 2, 3, 4)
        explorer = notebook.explorer(3)
        explorer.tab("Re-initialize")
        explorer.inspector.get_by_label("Which tensors of it").select_option("weights")
        button = explorer.inspector.get_by_role("button", name="Compare on data")
        button.click(trial=True)
        taken = []
        for _ in range(ROUNDS):
            settle(lab)
            taken.append(button.evaluate(CLICK))
    note = f"first {taken[0]:.0f}, worst {max(taken):.0f} ms of {ROUNDS} clicks; 64 samples, three seeds"
    yield Row("candidates compared on data, from the click to curves", statistics.median(taken), "ms", LIMIT_MS, note)


if __name__ == "__main__":
    sys.exit(report("Candidates on data", rows()))
