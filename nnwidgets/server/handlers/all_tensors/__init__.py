"""Answers about all tensors of a model at once.

Start at `table.answer_table`.

    table.py  `table`: their statistics, a row each
    mark.py   `mark`: what they were, to tell how far they move
"""
