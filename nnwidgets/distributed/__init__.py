"""Models that several processes hold together, seen as one.

Start at `ranks.ranks`. Looking starts no collective: each rank answers of what it holds itself (`answering`), a source
brings the answers that come in time, and `merging` makes them one.

    ranks.py      `ranks()["net"]`, and what it is to `tree`, `stats`, `init`, …
    sources/      what takes a question to each rank: the process group's store, ipyparallel, side doors
    serving/      the side door of a rank: answers while it trains, waits or is stuck
    job.py        a job that serves: side doors for all ranks of a process group, and one token
    status.py     how a rank is: idle, busy, stuck, missing, dead
    answering.py  what one rank answers
    changes.py    a change of a model over ranks, by all of them or by none
    held_changes.py  what a rank has prepared and set aside
    checkpoints.py  plans and comparisons with a file, asked from outside
    inputs.py     what a forward is given, sent to ranks
    shares.py     which part of a tensor is here
    tiles.py      what is here of a window of a tensor seen as a matrix
    merging/      answers made one
"""

from nnwidgets.distributed.ranks import RankedModel, Ranks, ranks
from nnwidgets.distributed.status import RankStatus

__all__ = ["RankStatus", "RankedModel", "Ranks", "ranks"]
