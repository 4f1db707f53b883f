"""From a click on a tensor's row to its inspector on the screen, in each host."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.common import Row, report
from benchmarks.lab import PAINTED, ROOT, chromium

if TYPE_CHECKING:
    from lab_driver.stages import Stage

N_TENSORS = 15
WARM_UP = 2
LIMIT_MS = 120
LOOK_MS = 300
NET = f"""net = nn.Module()
for index in range({N_TENSORS}):
    net.register_parameter(f'weight_{{index}}', nn.Parameter(torch.randn(768, 3072)))"""
"""Each tensor is clicked once, so that none was looked at before."""

CLICK = f"""async (root, path) => {{
  const label = root.querySelector(`[role=row][data-path="${{path}}"] .nnw-label`);
  const isWhole = () => {{
    const panel = root.querySelector('[role=tabpanel]');
    const heading = [...root.querySelectorAll('h2 [title], h2[title]')].some(({{ title }}) => title === path);
    return heading && panel !== null && panel.querySelector('.nnw-histogram .nnw-bars') !== null
      && panel.querySelector('[aria-busy=true]') === null;
  }};
  const start = performance.now();
  label.click();
  return await {PAINTED}(isWhole) - start;
}}"""


def rows() -> Iterator[Row]:
    """One row for each host."""
    from lab_driver import KernelHost, LabServer, stages

    with chromium() as (context, folder):
        (folder / "kernels").mkdir()
        kernels = KernelHost(folder / "kernels")
        server = LabServer(folder / "lab", source=ROOT, kernels=kernels)
        try:
            for open_stage in stages.by_host(server, kernels, context, folder, ROOT, net=NET).values():
                with open_stage() as stage:
                    yield clicked(stage)
        finally:
            server.end()
            kernels.end()


def clicked(stage: Stage) -> Row:
    """The median of many clicks, the first ones left out."""
    explorer = stage.find()
    taken: list[float] = []
    for index in range(N_TENSORS):
        path = f"weight_{index}"
        explorer.row(path).scroll_into_view_if_needed()
        # A person looks before the next click; what the last one set off is over by then.
        stage.page.wait_for_timeout(LOOK_MS)
        taken.append(explorer.root.evaluate(CLICK, path))
    taken = taken[WARM_UP:]
    note = f"768 × 3072, {min(taken):.0f} to {max(taken):.0f} ms in {len(taken)} clicks"
    return Row(f"click to the inspector painted, {stage.name}", statistics.median(taken), "ms", LIMIT_MS, note)


if __name__ == "__main__":
    sys.exit(report("Clicks in each host", rows()))
