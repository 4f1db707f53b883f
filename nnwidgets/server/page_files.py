"""The files of the built page: script and style for `widgets.bundle`, and the parts that a page asks for as `part`."""

from __future__ import annotations

from pathlib import Path

from nnwidgets.errors import NNWidgetsError

_STATIC = Path(__file__).parent.parent / "static"


def part(name: str) -> tuple[str, str]:
    """Return script and style of a further part of the page; words are JSON, and not all parts have a style.

    Raises:
        NNWidgetsError: The page was never built.
    """
    if name == "zh":
        return read_page_file("zh.json"), ""
    style = f"{name}.css"
    return read_page_file(f"{name}.js"), read_page_file(style) if (_STATIC / style).is_file() else ""


def read_page_file(name: str) -> str:
    """Return the text of one of the built files.

    Raises:
        NNWidgetsError: The page was never built.
    """
    file = _STATIC / name
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NNWidgetsError(
            f"The Explorer's page, {file}, is not there.",
            path=str(file),
            hint="In a source checkout run `make build`; otherwise install nnwidgets again.",
        ) from error
