"""The side door of a rank: answers to whoever has the token, while the rank trains, waits or is stuck.

Start at `door.py`. A rank has a door where one was asked for: by `Ranks.serve`, or by ipyparallel's signed
messages.

    door.py      listens in a thread of its own and answers
    messages.py  JSON over a socket between two that know one token, which itself is never sent
    at_work.py   what a rank is at that may take long, how far it is, and whether it is wanted still
    position.py  the line of Python that the main thread is at, and whether it moves
"""
