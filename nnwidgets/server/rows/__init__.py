"""The tree as the rows of a grid: what stands below what, for what is open, picked, unfolded and filtered.

Start at `flatten.flatten`; `Session.flat` calls it, and `handlers.open_and_rows` takes a window of what it gives.

    tree_index.py   a tree turned into arrays: places, runs of like siblings, what lies below each node
    filter_words.py the language of the filter box: paths, Python, conditions, parts of names
    filter.py       what its words and the chips keep together
    flatten.py      the rows there are, in a state of the view; the marks of the overview ruler
    row_body.py     what the page gets of one row
    shown_trees.py  whether two trees would show the same
    moved_marks.py  how far rows have moved since a mark
    signal_marks.py what a run of `activations` says of each row, and its points
    trace_marks.py  what the last trace says of each row
"""
