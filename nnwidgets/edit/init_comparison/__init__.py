"""Initializers side by side, tried on stand-ins of a model's tensors before one is chosen.

Start at `compare_inits.compare_inits`: for each candidate a plan as `init` makes it, written to stand-ins, a forward
and a backward over them, and the model's own memory back where it was.

    compare_inits.py       the comparison: what is asked, and what is told of it
    candidates.py          candidates as they are written
    default_targets.py     what they fill where nothing is said
    candidate_plans.py     the plan of each, and a model filled as one did
    candidate_runs.py      each with its seeds, a forward and a backward
    signal_curves.py       what goes through the layers, over seeds
    sample_spread.py       what of an output differs from sample to sample
    verdicts.py            what curves say, in a sentence with its numbers
    short_training.py      some steps of an optimizer, on stand-ins too
    comparison_records.py  what was seen, as records
"""
