"""An Explorer in a notebook's output, spoken to by roles and names as a screen reader would."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import Locator, expect

from lab_driver.picture import picture
from lab_driver.waiting import press_until

if TYPE_CHECKING:
    from lab_driver.marimo import MarimoNotebook
    from lab_driver.notebook import Notebook
    from lab_driver.played_notebook import PlayedNotebook

PLAIN = str.maketrans({"\u2212": "-", "\u202f": None, "\u00a0": None, "≈": None})
FOCUSED = """(grid) => {
  const focused = grid.getRootNode().activeElement;
  if (focused === null || !grid.contains(focused)) return null;
  const id = focused.getAttribute('aria-activedescendant');
  const row = id ? grid.getRootNode().getElementById(id) : focused;
  return row?.closest('[role=row]')?.dataset.path ?? null;
}"""
SCROLLER = """(grid) => {
  const scrolls = (element) => ['auto', 'scroll'].includes(getComputedStyle(element).overflowY)
    && element.scrollHeight > element.clientHeight + 1;
  const within = [grid, ...grid.querySelectorAll('*')].find(scrolls);
  if (within) return within;
  let outer = grid.parentElement;
  while (outer && !scrolls(outer)) outer = outer.parentElement;
  return outer;
}"""
SHOWN = """
  const frame = scroller.getBoundingClientRect();
  return [...grid.querySelectorAll('[role=row][data-path]')]
    .map((row) => ({ path: row.dataset.path, top: row.getBoundingClientRect().top - frame.top,
      height: row.getBoundingClientRect().height }))
    .filter(({ top, height }) => top >= 0 && top + height <= frame.height + 1)
    .sort((a, b) => a.top - b.top);
"""
NO_KERNEL = re.compile(r"No kernel.*Seen at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*Run the cell again", re.DOTALL)
"""What a view without a kernel says."""
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

    def __init__(self, notebook: Notebook | MarimoNotebook | PlayedNotebook, root: Locator) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.root = root
        self.grid = root.get_by_role("treegrid")
        self.inspector = root.get_by_role("region", name="Inspector", exact=True)
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
        row.locator(".nnw-label").click()
        expect(row).to_have_attribute("aria-selected", "true")
        self.wait_inspecting(path)

    def wait_inspecting(self, path: str) -> None:
        """Wait until the inspector shows the facts of ``path``, or of what is selected where it is empty."""
        if path:
            expect(self.inspector.get_by_role("heading", level=2).get_by_title(path, exact=True)).to_be_visible()
        expect(self.inspector.get_by_role("tabpanel").locator("[aria-busy]").first).to_have_attribute(
            "aria-busy", "false"
        )

    def focused(self) -> str | None:
        """Return the path of the row that has the focus, or None."""
        path: str | None = self.grid.evaluate(FOCUSED)
        return path

    def wait_focused(self, path: str) -> None:
        """Wait until the row of ``path`` has the focus."""
        self._wait_for(f"([grid, path]) => ({FOCUSED})(grid) === path", path)

    def tab_in(self, *, within: int) -> None:
        """Press Tab until a row of the tree has the focus, at most ``within`` times."""
        # The first in any case: the focus comes from outside.
        self.page.keyboard.press("Tab")
        press_until(self.page.keyboard, "Tab", lambda: self.focused() is not None, within=within - 1)

    def arrow_down_to(self, path: str) -> None:
        """Press ArrowDown until the row of ``path`` has the focus."""
        while (before := self.focused()) != path:
            self.page.keyboard.press("ArrowDown")
            self.wait_focused_other_than(before)

    def wait_focused_other_than(self, path: str | None) -> None:
        """Wait until the focus is on a row, and not on that of ``path``."""
        self._wait_for(f"([grid, path]) => ![null, path].includes(({FOCUSED})(grid))", path)

    def _wait_for(self, expression: str, path: str | None) -> None:
        grid = self.grid.element_handle()
        frame = grid.owner_frame()
        assert frame is not None
        frame.wait_for_function(expression, arg=[grid, path])

    def _scroller(self, act: str, argument: object = None) -> float:
        found: float = self.grid.evaluate(
            f"(grid, argument) => {{ const scroller = ({SCROLLER})(grid); {act} }}", argument
        )
        return found

    def scroll_height(self) -> float:
        """Return how high all rows would be, in pixels."""
        return self._scroller("return scroller.scrollHeight;")

    def scroll_to(self, share: float) -> None:
        """Scroll the tree to a share of its height, 0 the top and 1 the bottom."""
        self._scroller(
            "scroller.scrollTop = Math.round(argument * (scroller.scrollHeight - scroller.clientHeight)); return 0;",
            share,
        )

    def shown(self) -> list[dict[str, float | str]]:
        """Return path, top and height of the rows wholly in the tree's frame, top first."""
        rows: list[dict[str, float | str]] = self.grid.evaluate(
            f"(grid) => {{ const scroller = ({SCROLLER})(grid); {SHOWN} }}"
        )
        return rows

    def wait_filled(self) -> None:
        """Wait until rows fill the tree's frame after a scroll."""
        self.page.wait_for_function(
            f"(grid) => {{ const scroller = ({SCROLLER})(grid); const rows = (() => {{ {SHOWN} }})();"
            " return rows.length > 3 && rows[0].top < 60"
            " && rows.reduce((sum, row) => sum + row.height, 0) > scroller.clientHeight - 100; }",
            arg=self.grid.element_handle(),
        )

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
        picture(self.root, name)
