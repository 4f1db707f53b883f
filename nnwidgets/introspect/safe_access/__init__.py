"""Touching a user's modules and tensors without running any of their code.

Start at `scan.read`: every tree, tie, check and look-up begins with it.

    objects.py  an object's real class, attributes and items, by the interpreter's own slots
    holders.py  what holds a tensor's elements where it doesn't itself: shards, packed codes, wrapping classes
    tensors.py  whether a tensor's data can be read, and a plain tensor over the same memory
    own_values.py  what other threads read while a look at the model has something else in place
    modules.py  one module the careful way: every kind there is, each failure a text
    scan.py     a whole model as flat lists of modules and tensors, by a few list operations
    exclusion.py  a model, or what of it is written, for one thread alone
    lookup.py   the live module or tensor at a path
    tensors_in.py  the tensors inside what a forward takes and gives, told by shape and dtype
    frames.py   functions that run, and what variables are called
"""
