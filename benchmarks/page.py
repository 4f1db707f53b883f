"""The page in a real JupyterLab: seconds to the first numbers, bytes to the page, rows in it, size of the bundle."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nnwidgets
from benchmarks.common import Row, report
from benchmarks.lab import cells, jupyterlab, settle

if TYPE_CHECKING:
    from lab_driver import Explorer, Lab, Notebook

CLICKS = 9
SCROLLS = 40
FURTHER = 5
FURTHER_KB = 6.0
SIDE = 16_384

HUGE = f"""net = nn.Sequential(nn.Linear(4, 4))
net.huge = nn.Parameter(torch.empty({SIDE}, {SIDE}).normal_())"""
"""The one parameter has 1 GiB of float32."""
SHIFT = "with torch.no_grad():\n    net.huge.add_(1)"
"""Every value changes between two clicks, and with it the mean: numbers kept from an earlier click would show."""
MLP = "net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))"
OPEN = "import nnwidgets as nnw\nview = nnw.explore(net)\nview"
GPT2 = "from transformers import GPT2Config, GPT2LMHeadModel\nnet = GPT2LMHeadModel(GPT2Config())"
MODELS = {"an empty model": ("net = nn.Module()", FURTHER_KB), "an MLP": (MLP, None), "GPT-2": (GPT2, None)}
"""What a view brings of its own shows on a model with nothing in it; the rest is the model's first rows."""
_OPENING = ("comm_open", "display_data")

CLICK = """async (root, path) => {
  const label = root.querySelector(`[role=row][data-path="${path}"] .nnw-label`);
  const read = () => {
    const section = root.querySelector('section[aria-label=Statistics]');
    const heading = [...root.querySelectorAll('h2 [title], h2[title]')].some(({ title }) => title === path);
    if (!heading || section?.getAttribute('aria-busy') !== 'false') return null;
    return { caption: section.querySelector('h3').parentElement.textContent,
      mean: section.querySelector('dl dd').title, bar: section.querySelector('[role=progressbar]') !== null };
  };
  return await new Promise((resolve) => {
    let milliseconds = null;
    let sampled = null;
    let hasProgress = false;
    let isExact = false;
    const end = () => {
      if (milliseconds === null || !isExact) return;
      observer.disconnect();
      resolve({ milliseconds, hasProgress, caption: sampled.caption, mean: sampled.mean });
    };
    const observer = new MutationObserver(() => {
      const now = read();
      if (now === null) return;
      if (sampled === null && now.caption.includes('≈ from')) {
        sampled = now;
        requestAnimationFrame(() => setTimeout(() => {
          milliseconds = performance.now() - start;
          end();
        }));
      }
      hasProgress ||= sampled !== null && now.bar;
      isExact ||= sampled !== null && now.caption.includes('exact');
      end();
    });
    observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
    const start = performance.now();
    label.click();
  });
}"""
"""The clock stops in the task after the frame that paints the sampled numbers, and the exact ones are waited for."""

SAVE = """async (path) => {
  const { context } = window.panels[path];
  await context.save();
}"""


def rows() -> Iterator[Row]:
    """The table."""
    with jupyterlab() as lab:
        yield first_statistics(lab)
    with jupyterlab() as lab:
        yield from many_modules(lab)
    static = Path(nnwidgets.__file__).parent / "static"
    style = (static / "nnwidgets.css").stat().st_size
    yield Row("bundle", (static / "nnwidgets.js").stat().st_size / 1e3, "kB", 130.0, f"script; style {style / 1e3:.1f}")
    for name, (model, limit_kb) in MODELS.items():
        with jupyterlab() as lab:
            yield from further(lab, name, model, limit_kb)


def first_statistics(lab: Lab) -> Row:
    """From the click on the row of 1 GiB to its sampled statistics on the screen."""
    notebook = lab.open([cells.LOAD, HUGE, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    taken = []
    for turn in range(CLICKS):
        explorer.select("0.weight")
        explorer.statistics()
        if turn:
            notebook.execute(SHIFT)
        settle(lab)
        seen = explorer.root.evaluate(CLICK, "huge")
        mean = float(seen["mean"].split()[-1].replace("\u2212", "-"))
        if abs(mean - turn) > 0.1 or not seen["hasProgress"]:
            raise AssertionError(f"turn {turn} showed {seen}")
        taken.append(seen["milliseconds"])
    note = (
        f"first {taken[0]:.0f}, worst {max(taken):.0f} of {CLICKS} clicks, all values changed in between; exact follow"
    )
    return Row("first statistics on screen for a 1 GiB tensor", statistics.median(taken), "ms", 100.0, note)


def many_modules(lab: Lab) -> Iterator[Row]:
    """What 100,000 modules cost the page at first sight, and wherever it scrolls."""
    notebook = lab.open([cells.LOAD, MLP, OPEN, "view.close()", cells.MANY, "%nn net"])
    notebook.run(0, 1, 2)
    notebook.explorer(2)
    notebook.run(3, 4)
    settle(lab)
    before, shown = _comms(lab), lab.bytes_of("display_data")
    notebook.run(5)
    explorer = notebook.explorer(5)
    static = (lab.bytes_of("display_data") - shown) / 1e3
    note = f"and {static:.1f} kB for where no widget can be shown" if static else ""
    yield Row(
        "first messages to the page for 100k modules, bundle there", (_comms(lab) - before) / 1e3, "kB", 64.0, note
    )
    explorer.expand("")
    yield Row(
        "rows in the page, 100k modules", _most_rows(explorer), "rows", 200.0, f"worst of {SCROLLS} scroll positions"
    )


def _most_rows(explorer: Explorer) -> int:
    random_ = random.Random(0)  # noqa: S311 - positions, not secrets
    most = 0
    for share in [0.0, 1.0, *(random_.random() for _ in range(SCROLLS - 2))]:
        explorer.scroll_to(share)
        most = max(most, explorer.rows().count())
        explorer.wait_filled()
        most = max(most, explorer.rows().count())
    return most


def further(lab: Lab, name: str, model: str, limit_kb: float | None) -> Iterator[Row]:
    """What each Explorer after the first adds to what the page is sent to open it, and to the notebook's file."""
    notebook = lab.open([cells.LOAD, model, *["%nn net"] * (1 + FURTHER)])
    notebook.run(0, 1, 2)
    notebook.explorer(2)
    settle(lab)
    sent, saved = lab.bytes_of(*_OPENING), _saved(lab, notebook)
    for index in range(3, 3 + FURTHER):
        notebook.run(index)
        notebook.explorer(index)
        settle(lab)
    opened = (lab.bytes_of(*_OPENING) - sent) / FURTHER / 1e3
    yield Row(f"a further Explorer of {name}, sent to the page", opened, "kB", limit_kb, "first rows included")
    outputs = len(str(notebook.outputs(3)[0]["data"]["text/html"])) / 1e3
    yield Row(
        f"a further Explorer of {name}, in the notebook file",
        (_saved(lab, notebook) - saved) / FURTHER / 1e3,
        "kB",
        limit_kb,
        f"{outputs:.1f} kB of it the HTML for where no widget can be shown",
    )


def _saved(lab: Lab, notebook: Notebook) -> int:
    lab.page.evaluate(SAVE, notebook.path)
    return (lab.server.work / notebook.path).stat().st_size


def _comms(lab: Lab) -> int:
    return lab.bytes_of("comm_open", "comm_msg")


if __name__ == "__main__":
    sys.exit(report("The page", rows()))
