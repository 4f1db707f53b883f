"""Answers to what is about a forward: it is run, its calls are listed, and its graph is opened box by box.

Start at `forward.answer_forward`.

    forward.py  `trace`, `forward`, `clear_trace`
    graph.py    `graph`: what flows through it, as much as a page can show
"""
