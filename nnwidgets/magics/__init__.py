"""``%nn`` and ``%%nn_init`` in IPython: a line is parsed, what it names is looked up, a subcommand makes a page of it.

Start at `ipython.NNMagics.nn`, which passes a line to `dispatch.run`; for a subcommand, at its entry in `subcommands`.
Loading the extension imports neither torch nor anywidget; the first line, or Tab, does.

    ipython.py       the extension: magics, Tab, `%nn init?`, how results are shown, the comm target
    dispatch.py      a line or cell in, a page shown; errors in one line
    parse.py         a line to a `Command`, by the table of subcommands
    resolve.py       `net`, `trainer.model`, `nets[0]` to the live object, running nothing
    explore.py       `%nn net` and a bare `%nn`: the Explorer, or the list of models
    auto_explore.py  `%nn auto`: a model at the end of a cell explores
    module_repr.py   a module whose own repr raises prints as our tree
    display.py       pages and records as HTML in a notebook, as text in a terminal
    preload.py       the Explorer imported before it is asked for
    completion/      Tab: what could stand next, by the same table, as each IPython asks for it
    line/            the words of a line: cut, described, completed
    subcommands/     what each subcommand is, one entry each
"""

from __future__ import annotations

from nnwidgets.magics.ipython import load, unload

__all__ = ["load", "unload"]
