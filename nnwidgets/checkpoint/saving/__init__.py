"""Saving: laid out and checked, written beside its target, read back, and only then given its name.

Start at `save.save`; what one process has all of is saved by `here.save_here`:

- `target` tells from the path where to write, and in what format. `sweep` of `shards` removes what dead savers left.
- With edits of the model locked out, `state_dict.state_of` says what of it is saved, `writing.tensors_to_save` makes
  that plain or refuses it, and `layout` says which files these are and how long. Each is written under another name.
- `verify` reads each file back. `writing.atomic_file` renames a single one; `shards.commit` exchanges several and their
  index as one. `formats.sha256_sidecar.stale_sums` warns of a SHA-256 beside the file, which is of the old one by now.

    save.py       the public function; whether this process saves, or ranks do together
    here.py       the save, step by step
    target.py     where to, and in what format, told from the path
    layout.py     what files it consists of, before the first byte is written
    shards.py     several files and their index, exchanged as one
    over_ranks/   a model that ranks hold together, saved by all of them
    verify.py     reading back what was written
    save_code.py  the save, and the load of it, as Python
"""
