"""What speaks of models that several processes hold together.

rank.py  `rank`: what this process answers for itself
"""
