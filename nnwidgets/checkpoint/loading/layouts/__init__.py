"""Layouts: what the same tensors are called, and how they lie, in the files of other libraries.

`plan.make_plan` asks `judge_pairs.judge` about names that go together, `explain_rest.explain` about those that go with
nothing, and `suggest_renames`, for the rest, `join_layouts.join`.

    known_layouts.toml  the table: a row for each tensor, a column for each library
    known_layouts.py    the table read; words that mean the same, wrappers, adapters, scales
    name_words.py       words of names: what means the same, and what is never one another
    join_layouts.py     names of a file set beside names of a model by the table; names of both that mean two tensors
    conversions.py      values that lie otherwise in the file: how they are turned
    lossy_casts.py      values of another dtype: whether a cast can change one
    judge_pairs.py      of what goes together by name: what is turned, what is refused, and why
    explain_rest.py     what the names mean that go with nothing: adapters, halves of a norm or a pruning, fused weights
"""
