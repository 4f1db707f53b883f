"""What answers the wire's protocol: the kernel's half of a view, which knows no widget.

Start at `handlers.registry`. A request goes this way: a channel (`comm.Channel`, `handle.handle`, or the Explorer of
`nnwidgets.widgets`) gives the message to its `wire.dispatch.Dispatcher`, which checks it against the schema and calls
the handler of its kind; that one finds the session of the model and calls the function that `handlers` has for the
kind; this asks the session for its `rows.tree_index.TreeIndex`, and replies with a body of the schema. What changes
the model or finds something new has `session.session.Session` send an event to each view.

    handle.py      `nnwidgets.handle`: one request as a function, for extensions that only execute code
    comm.py        the comm target `nnwidgets`: a channel that a front end opens by itself
    page_files.py  the files of the built page, and its parts that most never open
    handlers/      what is answered, a function for each kind of request
    session/       one view of one live model, and finding it by a variable's name
    rows/          the tree as the rows of a grid: folded, filtered, a window of them
    notebook/      what the running notebook tells: its cells, variables and folder
"""
