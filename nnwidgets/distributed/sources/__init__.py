"""Where ranks are: what takes a question to each and brings the answers that come in time.

Start at `source.py`.

    source.py         what a source is, and what stands for an answer that didn't come
    ask_long.py       questions that may take long, and ranks that fall silent at them
    process_group.py  in a process group, where every rank runs the same line: answers over the group's store
    side_door.py      ranks that have a side door, asked from anywhere
    ipyparallel.py    ipyparallel's engines, asked from the notebook
"""
