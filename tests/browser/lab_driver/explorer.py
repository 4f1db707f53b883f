"""An Explorer in a notebook's output, spoken to by roles and names as a screen reader would."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from lab_driver.notebook import Notebook

PLAIN = str.maketrans({"\u2212": "-", "\u202f": None, "\u00a0": None, "≈": None})
NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|Infinity|NaN)")


def number(text: str) -> float:
    """Return the first number in what the page wrote."""
    found = NUMBER.search(text.translate(PLAIN))
    if found is None:
        raise AssertionError(f"no number in {text!r}")
    return float(found.group())


class Explorer:
    """One Explorer.

    Attributes:
        root: Its element.
        grid: Its tree grid.
        inspector: Its right side.
    """

    def __init__(self, notebook: Notebook, root: Locator) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.root = root
        self.grid = root.get_by_role("treegrid")
        self.inspector = root.locator(".nnw-inspector")
        self.filter_box = root.get_by_role("searchbox")

    def row(self, path: str, *, kind: Literal["m", "t", "f"] | None = None) -> Locator:
        """Return the row of a path; ``kind`` tells a module, tensor or fold of the same path apart."""
        rows = self.grid.locator(f"[role=row][data-path={json.dumps(path)}]")
        return rows if kind is None else rows.and_(self.grid.locator(f"[data-row^='{kind}:']"))

    def rows(self) -> Locator:
        """Return the rows that are in the page, without the header."""
        return self.grid.locator("[role=row][data-path]")

    def expand(self, *paths: str) -> None:
        """Open rows by their chevrons, outermost first."""
        for path in paths:
            row = self.row(path).last
            if row.get_attribute("aria-expanded") != "true":
                row.locator(".nnw-chevron").click()
            expect(self.row(path).last).to_have_attribute("aria-expanded", "true")

    def reach(self, path: str, *, by: str | None = None) -> Locator:
        """Filter until the row of a path is there, and return it."""
        self.filter(path if by is None else by)
        row = self.row(path).last
        row.wait_for()
        return row

    def filter(self, text: str) -> None:
        """Write into the filter box."""
        self.filter_box.fill(text)

    def select(self, path: str) -> None:
        """Click the row of a path, and wait until the inspector shows it."""
        row = self.row(path).last
        row.click()
        expect(row).to_have_attribute("aria-selected", "true")
        expect(self.inspector).to_have_attribute("data-path", path)

    def tab(self, name: str) -> Locator:
        """Open a tab of the inspector and return its panel."""
        self.inspector.get_by_role("tab", name=re.compile(name)).click()
        return self.inspector.get_by_role("tabpanel")

    def part(self, name: str) -> Locator:
        """Return a named section of the inspector."""
        return self.inspector.get_by_role("region", name=name, exact=True)

    def statistics(self) -> dict[str, float]:
        """Wait for the exact statistics and read them off the page, at full precision where the page offers it."""
        section = self.part("Statistics")
        expect(section).to_have_attribute("aria-busy", "false")
        expect(section).to_contain_text("exact", timeout=60_000)
        figures = section.locator("dl > div")
        read: list[list[str]] = figures.evaluate_all(
            "(all) => all.map((each) => { const value = each.querySelector('dd');"
            " return [each.querySelector('dt').textContent, value.title || value.textContent]; })"
        )
        return {name: number(text) for name, text in read}

    def screenshot(self, name: str) -> None:
        """Save a picture of the Explorer in the folder that ``NNW_SCREENSHOTS`` names, if it does."""
        folder = os.environ.get("NNW_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.root.screenshot(path=Path(folder) / f"{name}.png")
