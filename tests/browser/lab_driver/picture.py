"""Pictures of what a test has on screen."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Locator, Page


def picture(of: Page | Locator, name: str) -> None:
    """Save a picture in the folder that ``NNW_SCREENSHOTS`` names, if it does."""
    folder = os.environ.get("NNW_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        of.screenshot(path=Path(folder) / f"{name}.png")
