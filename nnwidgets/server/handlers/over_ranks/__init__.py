"""What speaks of models that several processes hold together.

Start at `rank.py`.

    rank.py               `rank`: what this process answers for itself
    asked.py              whom a request asks that comes to a view of a model over ranks, and of which tensor
    stats_over_ranks.py   `stats` there: the whole tensor's, and a line for each rank
    init_over_ranks.py    `initializers`, `preview` and `init` there: on all ranks, or on none
    values_over_ranks.py  `values` there: each cell from a rank that has it
"""
