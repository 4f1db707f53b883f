"""Initializers side by side, tried on stand-ins of a model's tensors before one is chosen.

Start at `compare_inits.compare_inits`: for each candidate a plan as `init` makes it, written to stand-ins, a forward
and a backward over them, and the model's own memory back where it was.

    compare_inits.py       the comparison: candidates, seeds, what each run gives
    candidates.py          candidates as they are written, and the plan of each
    swapped_memory.py      other memory under a model's tensors, for a while
    signal_curves.py       what goes through the layers, over seeds
    sample_spread.py       what of an output differs from sample to sample
    verdicts.py            what curves say, in a sentence with its numbers
    short_training.py      some steps of an optimizer, on stand-ins too
    comparison_records.py  what was seen, as records
"""
