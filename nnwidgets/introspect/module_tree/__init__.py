"""The tree of a model: modules and tensors as records, counted, folded, written out.

Start at `tree.tree`: it scans the model, fills a table of tensors, counts, and makes the nodes.

    tree.py             from a scan to the records of a tree
    nodes.py            the records: `ModuleTree` and `ModuleNode`, found by path, compared, pickled
    tensor_metadata.py  shape, dtype, device and flags of each tensor, its data untouched
    counts.py           parameters and bytes at and below each module, shared ones once; where torch's sum differs
    shape_summary.py    what a module does with shapes, in a few characters: `20 → 256`
    folding.py          runs of like siblings, shown as one row
    text.py             a tree as rows, and those as aligned text
    expressions.py      Python that gives the module or tensor at a path
"""
