"""Pickles, read by a machine that imports, calls and sets nothing.

Start at `unpickle.unpickle`.

    unpickle.py         one pickle read: the loop over its opcodes, and the limits
    machine.py          the state of the machine: stack, memo, what came of it
    opcodes.py          what each opcode does to it
    allowlist.py        the names that are read, and what they stand for
    names.py            the names whose objects are described, and those that refuse the file
    values.py           plain values that are made by a call: dicts, sets, sizes, devices
    numpy_values.py     NumPy's arrays and numbers, from their bytes
    rebuild_tensors.py  tensors described from the arguments of torch's rebuild functions
    arguments.py        arguments of calls, checked
"""
