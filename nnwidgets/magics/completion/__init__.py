"""Tab on lines of ``%nn``: what could stand next, as each IPython asks for it.

Start at `complete.complete`.

    complete.py  what could stand next, from what is typed and the user's variables
    tab.py       given to the completer of a shell, and taken out of it
"""
