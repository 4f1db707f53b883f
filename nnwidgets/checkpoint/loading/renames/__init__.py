"""Names of a file that are others in the model.

Start at `suggest_renames.suggest`.

    suggest_renames.py  which are sure, which are candidates, and what speaks for each
    apply_renames.py    names of the file turned into the model's, as the caller asks
    short_renames.py    renames in as few words as they can be told in
"""
