"""Numbers of one tensor: range, mean, spread, norm, zeros, NaN, infinities, a histogram.

Start at `exact_stats.exact_stats`: it feeds a tensor block by block to an accumulator.

    stats.py           exact statistics, those of a sample, or a table of a module's
    exact_stats.py     exact ones with progress and cancelling; of many small tensors together
    sampling.py        the sample: of a fixed size, the same each time
    dtype_readers.py   how a tensor of each dtype and layout is fed to an accumulator
    blocks.py          any strided tensor cut into blocks, each element once
    accumulator.py     what has been learnt from the blocks so far
    histogram.py       bins a power of two wide, that widen as the range grows
    kernels.py         the tensor operations of all this, in memory made once
    threads.py         work that the calling thread does by itself, as beside a training cell
    training_norms.py  norms of parameters, gradients and steps while a model trains
"""
