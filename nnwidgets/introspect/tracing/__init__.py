"""A forward pass call by call, after which the model is as it was.

Start at `trace.trace`: it notes the state, hooks every module, runs the forward, puts the state back.

    trace.py          the pass: what is called, what raised, what was never called
    trace_record.py   what it gives, as a record
    inputs.py         inputs made from their sizes
    hooks.py          each call of a module noted while the forward runs
    flops.py          every operator below the modules: its floating-point operations, its writes
    cut_tensors.py    parts of tensors that ranks hold together, followed through a forward
    saved_tensors.py  what autograd keeps for the backward
    restore.py        what a forward may change in a model, put back
    together.py       ranks that begin a forward together, or not at all
    unsharded.py      what a forward has FSDP make whole, cut again
"""
