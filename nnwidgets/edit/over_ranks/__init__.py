"""A model that ranks hold together, changed as one: each its part of the whole's values, all of them or none.

Start at `part.part_of`: which elements of a tensor are here, told by its metadata.

    part.py       the box of a tensor that a rank holds, what of the whole goes there, and code that does the same
    draw.py       a whole tensor's values drawn, of which the part here is kept
    tries.py      functions of one's own, which may not depend on what isn't here
    whole.py      modules with whole tensors, for a call that needs them
    agreement.py  a change stays where all ranks made the same one; one seed for all
"""
