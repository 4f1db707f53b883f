"""Answers about the signal through the layers: a run of `activations`, its points.

Start at `run_activations.py`: what it finds is kept by every session of the model, and `signal_points.py` tells it.

    run_activations.py  `activations`, `last_inputs`: a run on tensors among the variables
    signal_points.py    `signal`, `signal_point`: the last run within a module, and one call of it
"""
