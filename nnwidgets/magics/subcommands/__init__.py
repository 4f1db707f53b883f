"""The subcommands of ``%nn``: each is one `Subcommand`, which says how it is written, read, completed and run.

Start at `subcommand.Subcommand`. A new one is an entry in the file of its kind, beside the functions it names.

    subcommand.py        the record, its options, what it is run and completed with, its help
    table.py             all of them, and the usage of all
    inspect.py           tree, show, stats, tied, check, trace, activations, costs, optimizer; auto
    summary.py           summary
    torchinfo_table.py   torchinfo's table, where it can be had without harm
    init.py              init, inits
    edit.py              set, freeze, unfreeze, undo, redo, log, code
    cell.py              `%%nn_init`: a cell as the body of a function
    captured_globals.py  what that function takes from the notebook, as code that runs elsewhere
    files.py             save, load, diff, snapshot, ls
"""
