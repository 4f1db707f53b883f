"""A file by itself, with no model to hold it against.

Start at `file_module.file_module`, or at `examine.examine`.

    file_module.py  the names of a file as modules and parameters, so that all that shows a model shows it
    examine.py      the numbers of each tensor, and what looks wrong
"""

from __future__ import annotations

from nnwidgets.checkpoint.without_model.examine import FileReport, examine
from nnwidgets.checkpoint.without_model.file_module import file_module

__all__ = ["FileReport", "examine", "file_module"]
