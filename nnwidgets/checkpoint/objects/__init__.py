"""Objects that a file holds whole, which are only described: the state dicts in them.

`entries.read_contents` asks `inside_objects.Insides` for what stands in each one's place.

    inside_objects.py   what that is: a module's state dict, what is put into a container, a record's attributes
    pickled_module.py   the state dict of a module
"""
