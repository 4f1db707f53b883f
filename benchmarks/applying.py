"""From the click on Apply to the redrawn histogram, in a real JupyterLab in Chromium."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests" / "browser")]

from common import Row, report  # noqa: E402 - the paths come first
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from lab_driver import Lab, LabServer, models  # noqa: E402

if TYPE_CHECKING:
    from lab_driver import Explorer

PATH = "transformer.h.3.mlp.c_fc.weight"
ROUNDS = 15
LIMIT_MS = 150
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLY = """(panel) => new Promise((resolve) => {
  const start = performance.now();
  panel.querySelector('.nnw-primary').click();
  const look = () => {
    if (panel.querySelector('section[aria-label="Applied"] .nnw-bars') === null) {
      requestAnimationFrame(look);
    } else {
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
    }
  };
  look();
})"""


def rows() -> Iterator[Row]:
    """One row: GPT-2 in the notebook, a 768 × 3072 weight filled again and again with another seed."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise SystemExit(f"None of {', '.join(CHROMIUM)} is on the PATH.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = LabServer(Path(folder), source=ROOT)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            lab = Lab(server, browser.new_context(viewport={"width": 1360, "height": 1000}))
            notebook = lab.open([models.LOAD, models.GPT2, "%nn gpt2"])
            notebook.run(0, 1, 2)
            taken = list(clicks(notebook.explorer(2)))
        finally:
            browser.close()
            server.end()
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
