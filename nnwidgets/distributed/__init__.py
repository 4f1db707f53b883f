"""Models that several processes hold together, seen as one.

Start at `ranks.ranks`. Looking starts no collective: each rank answers of what it holds itself (`answering`), a source
brings the answers that come in time, and `merging` makes them one.

    ranks.py      `ranks()["net"]`, and what it is to `tree`, `ties`, `stats`, `check` and `trace`
    sources/      what takes a question to each rank: the process group's store, ipyparallel
    answering.py  what one rank answers
    inputs.py     what a forward is given, sent to ranks
    shares.py     which part of a tensor is here
    tiles.py      what is here of a window of a tensor seen as a matrix
    merging/      answers made one
"""

from nnwidgets.distributed.ranks import RankedModel, Ranks, RankStatus, ranks

__all__ = ["RankStatus", "RankedModel", "Ranks", "ranks"]
