"""``python -m nnwidgets``; see `nnwidgets.command_line`."""

from __future__ import annotations

from nnwidgets.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
