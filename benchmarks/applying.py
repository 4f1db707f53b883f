"""From the click on Apply to the redrawn histogram, in a real JupyterLab in Chromium."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from benchmarks.common import Row, report
from benchmarks.lab import PAINTED, cells, jupyterlab

if TYPE_CHECKING:
    from lab_driver import Explorer

PATH = "transformer.h.3.mlp.c_fc.weight"
ROUNDS = 15
LIMIT_MS = 150
APPLY = f"""async (panel) => {{
  const start = performance.now();
  panel.querySelector('.nnw-primary').click();
  return await {PAINTED}(() => panel.querySelector('section[aria-label="Applied"] .nnw-bars') !== null) - start;
}}"""


def rows() -> Iterator[Row]:
    """One row: GPT-2 in the notebook, a 768 × 3072 weight filled again and again with another seed."""
    with jupyterlab() as lab:
        notebook = lab.open([cells.LOAD, cells.GPT2, "%nn gpt2"])
        notebook.run(0, 1, 2)
        taken = list(clicks(notebook.explorer(2)))
    note = f"768 × 3072 of GPT-2, {min(taken):.0f} to {max(taken):.0f} ms in {len(taken)} clicks"
    yield Row("click on Apply to the redrawn histogram", statistics.median(taken), "ms", LIMIT_MS, note)


def clicks(explorer: Explorer) -> Iterator[float]:
    """Milliseconds of each click, the first two left out."""
    explorer.reach(PATH)
    explorer.select(PATH)
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").select_option("kaiming_normal_")
    for seed in range(ROUNDS + 2):
        panel.get_by_label("Seed", exact=True).fill(str(seed))
        expect(panel.locator(".nnw-code")).to_contain_text(f"manual_seed({seed})")
        expect(panel.get_by_role("region", name="Preview", exact=True)).to_have_attribute("aria-busy", "false")
        took: float = panel.evaluate(APPLY)
        if seed > 1:
            yield took


if __name__ == "__main__":
    sys.exit(report("Changes in the page", rows()))
