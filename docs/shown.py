"""Writes below each block of Python in a page what it prints: `python docs/shown.py docs/tutorial.md`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", flags=re.DOTALL | re.MULTILINE)
_END = "\0"
"""What is printed between two blocks."""

_VARIES = (
    (re.compile(r"(?<=  )( *)(\d[\d.]* (?:µs|ms))(?=  |$)", re.MULTILINE), lambda cell: "…".rjust(len(cell[0]))),
    (re.compile(r"\b\d[\d.]* (?:µs|ms|s)\b"), "…"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "…       "),
    (re.compile(r"(?<=xxh3_128:)[0-9a-f]+"), "…"),
)
"""What differs each time, and what is written for it."""


def blocks(text: str) -> list[tuple[str, str]]:
    """Return each block of Python in a page, in order, with what is shown below it; the code is in one piece."""
    return _BLOCK.findall(text)


def printed(codes: Sequence[str]) -> list[str]:
    """Run a page's code from top to bottom and return what each block prints.

    Raises:
        RuntimeError: It raises, or warns.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "page.py"
        script.write_text(f"\nprint({_END!r})\n".join(codes), encoding="utf-8")
        command = [sys.executable, "-W", "error::UserWarning", str(script)]
        ran = subprocess.run(  # noqa: S603 - the documents' own code
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    # From torch 2.15 on the name of the operator stands before the sentence.
    return ran.stdout.replace("RuntimeError: addmm: ", "RuntimeError: ").split(f"{_END}\n")


def written(text: str) -> str:
    """Return a page with what its code prints now."""
    outputs = iter(printed([code for code, _ in blocks(text)]))

    def anew(block: re.Match[str]) -> str:
        output = next(outputs).rstrip("\n")
        for varies, instead in _VARIES:
            output = varies.sub(instead, output)
        shown = "\n".join(line.rstrip() for line in output.split("\n"))
        return f"```python\n{block[1]}```\n" + (f"\n```text\n{shown}\n```\n" if shown else "")

    return _BLOCK.sub(anew, text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(written(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
