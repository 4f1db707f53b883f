"""``python -m nnwidgets peek|tree|check|diff|plan``: files looked at without a notebook, for shells and CI.

Start at `main.main`: it reads the arguments, has a command give its outcomes, and writes them.

    main.py      arguments in, an exit code out: 0 fine, 1 something differs or is wrong, 2 it couldn't be read
    commands.py  what each command does with its files
    output.py    outcomes as plain text, as one JSON document, as a page of HTML
"""

from __future__ import annotations

from nnwidgets.command_line.main import main

__all__ = ["main"]
