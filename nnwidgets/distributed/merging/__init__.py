"""What several ranks answered, made one answer: pure functions, the same bits wherever they run.

Start at `tensors.py`.

    stats.py      statistics of parts, many tensors at once
    tensors.py    which part of a tensor each rank had, and what is missing
    values.py     windows of tensors seen as matrices
    trees.py      trees, and where ranks say different things
    tree_json.py  a tree as JSON and back
    traces.py     forward passes
    findings.py   what checks found, and what only a look at all ranks can find
    change_json.py  changes and histories as JSON, and made one
    plans_and_diffs.py  what a load of a checkpoint would do and did, and how far a model is from one
"""

from nnwidgets.distributed.merging import findings, stats, tensors, traces, tree_json, trees, values

__all__ = ["findings", "stats", "tensors", "traces", "tree_json", "trees", "values"]
