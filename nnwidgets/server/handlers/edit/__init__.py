"""Answers that change a model, or say what a change would do: `nnwidgets.edit`, asked from the page.

Start at `target.resolve_target`: nearly all begin there.

    target.py        which tensors a request means: one, a fold's, the filter's rows
    initializers.py  `initializers`: which can fill them, and what helps to choose
    init.py          `preview`, `init`: filling them, with figures before and after
    overlay.py       two distributions on common bins
    changes.py       `assign`, `freeze`, `unfreeze`, `undo`, `redo`, `history`, `code`
"""
