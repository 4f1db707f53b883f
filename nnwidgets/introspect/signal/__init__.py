"""The signal through a model: what each call gives on the way forward, and the gradient that arrives there.

Start at `activations.activations`: a forward, a backward where there is a loss, and the model as it was afterwards.

    activations.py     the pass: forward, loss, backward
    losses.py          the scalar that a backward starts from
    summaries.py       each output and each gradient as statistics, none of them kept
    saturation.py      where modules are flat, and which values of an output lie there
    silent_units.py    which units are zero for all of a batch
    backward_state.py  the gradients of the caller, put back after a backward
    signal_findings.py  what of it is worth knowing, and from where on
    step_signal.py     the same of a training's own step, by a sample of each output
    thresholds.py      from where on it is
    signal_records.py  what was seen, as records
"""
