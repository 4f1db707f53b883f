"""What there is to say of each record, one document each.

Start at `model.tree_page`.

    model.py          a tree, a tensor, a module, ties, findings, a trace and its graph
    optimizer.py      a model beside its optimizers
    tensor_table.py   statistics of all tensors, a row each
    signal.py         what each call gave and what gradient came back; initializers beside each other
    costs.py          memory and arithmetic, module by module
    files.py          a file by itself: its names as a tree, its numbers, what looks wrong in it
    changes.py        a change, a history, the code of either
    checkpoints.py    what is in a file or folder, plans, loads, saves, differences
    alike_rows.py     rows that differ in numbers alone, as one: `h.{0…11}.weight`
    summary_table.py  a table in torchinfo's columns
"""
