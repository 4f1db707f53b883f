"""The undo copy of a change: old bytes kept beside live ones, swapped to undo, swapped back to redo.

Start at `undo.UndoRecord`: `transaction.commit` makes one, has it keep what is about to be written, and puts it into
the history.

    undo.py           what one change needs to be taken back: bytes, flags, optimizer state
    swap.py           the bytes; swapping them all or none, whatever interrupts
    memory_blocks.py  tensors' memory cut into blocks of at most 1 MiB that overlap nowhere, found by address
    threads.py        worker threads that can be called off for certain
    digest.py         fingerprints that tell whether somebody else wrote meanwhile
"""
