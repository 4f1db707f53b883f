"""Modules with code of their own for state dicts: found without running it, loaded through torch, put back bit for bit.

Start at `parts.own_code_in`: which modules they are, told from classes and registered hooks. `torch_load` gives one
what a file has for it, as ``load_state_dict`` would; `module_state` keeps what it was, and takes back what that did.

    parts.py         which modules have such code, and what kind
    given.py         what a file has for each of them
    torch_load.py    the file's entries for them, loaded by torch's own ``load_state_dict``, and their comparison
    module_state.py  attributes, containers and tensors of modules as they were, exchanged with what they became
"""
