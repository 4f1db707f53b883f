"""Who shares bytes with whom, byte for byte, whatever the shapes and strides.

Start at `ties.ties`. To group memory of any other kind, files included, use `byte_ranges.connected`.

    ties.py         names of a model that reach the same bytes, in groups
    byte_ranges.py  the bytes of strided tensors as ranges: which owners have which, who is connected
    addresses.py    where the tensors of a model lie in memory
    alias_names.py  further names of tensors below a module that is registered twice
"""
