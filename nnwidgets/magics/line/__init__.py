"""The words of a line of ``%nn``, whichever subcommand they belong to.

Start at `grammar.Command`: what a line comes to when it is read.

    tokenizer.py        a line cut into words, and an assignment at its sign
    grammar.py          what a line asks for and what Tab offers, as data; the errors of a line
    advice.py           advice of errors and warnings, as what to type
    path_completion.py  ways to go on with a path, glob or class, reading one level of the model
"""
