"""What speaks of models that several processes hold together.

Start at `rank.py`.

    rank.py  `rank`: what this process answers for itself
"""
