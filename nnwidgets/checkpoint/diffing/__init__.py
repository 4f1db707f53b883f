"""Two state dicts compared, each a file, a model, a mark of one or a dict of tensors.

Start at `diff.diff`.

    diff.py          names that one side lacks, and tensors that differ, piece by piece
    assert_equal.py  the same, for tests
    snapshot.py      what a model was at one moment, as a side
    digests.py       a side of which digests alone were kept
    align_names.py   names of one side that are others on the other
    operands.py      the two sides, read part by part
    state_diff.py    what a comparison gives
    numeric.py       how two pieces of memory differ as numbers
"""
