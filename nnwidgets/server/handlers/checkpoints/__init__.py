"""Answers that speak of files: `nnwidgets.checkpoint`, asked from the page. Only the notebook's folder is reached.

Start at `browse.py`: what a page sees of a file before it plans, loads or compares.

    browse.py     `folder`, `peek`: what lies there, and what is in one file
    plan.py       `plan`: what a load would do, with the renames that the page chose
    load_save.py  `load`, `save`: all or nothing, with progress
    diff.py       `diff`: a file against the model or another file
"""
