"""Frames while 100,000 modules scroll past, as a trace of Chromium tells them."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.common import Row, report
from benchmarks.lab import cells, jupyterlab, settle

if TYPE_CHECKING:
    from lab_driver import Explorer

LIMIT_MS = 50
ROUNDS = 3
PIXELS = 15_000
PIXELS_A_SECOND = 3_000
CATEGORIES = "devtools.timeline,disabled-by-default-devtools.timeline,toplevel"


def rows() -> Iterator[Row]:
    """The page's longest frame, from its begin to its end."""
    with jupyterlab() as lab:
        notebook = lab.open([cells.LOAD, cells.MANY, "%nn net"])
        notebook.run(0, 1, 2)
        explorer = notebook.explorer(2)
        explorer.expand("")
        explorer.scroll_to(0.5)
        explorer.wait_filled()
        settle(lab)
        taken = [milliseconds for _ in range(ROUNDS) for milliseconds in frames(traced(explorer))]
    note = f"{len(taken)} frames, median {statistics.median(taken):.0f} ms; {PIXELS_A_SECOND / 24:.0f} rows a second"
    yield Row("scrolling 100k modules, longest frame", max(taken), "ms", LIMIT_MS, note)


def frames(events: list[dict[str, Any]]) -> Iterator[float]:
    """Milliseconds of each frame of the page."""
    begun: dict[tuple[int, str], float] = {}
    for each in sorted(events, key=lambda each: float(each["ts"])):
        if each["name"] == "AnimationFrame":
            key = (each["pid"], str(each.get("id", each.get("id2"))))
            if each["ph"] == "b":
                begun[key] = each["ts"]
            elif each["ph"] == "e" and key in begun:
                yield (each["ts"] - begun.pop(key)) / 1e3


def traced(explorer: Explorer) -> list[dict[str, Any]]:
    """Events of the page's process while the tree scrolls as a finger scrolls it, from the first frame that moves."""
    page = explorer.page
    box = explorer.grid.bounding_box()
    if box is None:
        raise RuntimeError("The tree isn't on the page.")
    session = page.context.new_cdp_session(page)
    found: list[dict[str, Any]] = []
    is_over: list[bool] = []
    session.on("Tracing.dataCollected", lambda data: found.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: is_over.append(True))
    session.send("Tracing.start", {"categories": CATEGORIES, "transferMode": "ReportEvents"})
    session.send(
        "Input.synthesizeScrollGesture",
        {
            "x": round(box["x"] + box["width"] / 2),
            "y": round(box["y"] + box["height"] / 2),
            "yDistance": -PIXELS,
            "speed": PIXELS_A_SECOND,
            "gestureSourceType": "mouse",
        },
    )
    session.send("Tracing.end")
    while not is_over:
        # Only while it waits does Playwright hear of events.
        page.wait_for_timeout(50)
    return found


if __name__ == "__main__":
    sys.exit(report("Scrolling", rows()))
