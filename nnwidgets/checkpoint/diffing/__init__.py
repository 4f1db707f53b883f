"""Two state dicts compared, each a file, a model or a dict of tensors.

Start at `diff.diff`.

    diff.py          names that one side lacks, and tensors that differ, piece by piece
    assert_equal.py  the same, for tests
    align_names.py   names of one side that are others on the other
    operands.py      the two sides, read part by part
    numeric.py       how two pieces of memory differ as numbers
"""
