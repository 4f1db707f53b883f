"""A window of a tensor of any shape as a matrix of a bounded number of cells.

Start at `window.window`.

    window.py       which part of the matrix, and what each cell of the answer stands for
    matrix_view.py  any tensor as a matrix that is read piece by piece
    downsample.py   blocks of a matrix reduced to their element of largest magnitude
    exact_text.py   the shortest decimal text that reads back as the same element
"""
