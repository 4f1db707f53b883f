"""From where on something of a signal is told, in one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """From where on something is told.

    Attributes:
        faded: The last layer's std over the first's; the rounding of a half-precision number begins near there.
        rate: What each layer multiplies by, on the average and without the largest of these steps, in a signal that
            fades; one over it in one that grows. Glorot and Bengio (2010), He et al. (2015) and Saxe et al. (2014)
            keep 1; PyTorch's own `nn.Linear` keeps 0.58 with tanh and 0.41 with ReLU of zero biases.
        n_layers: Fewer layers than these are no depth.
        flat: A tanh beyond it counts as saturated, as is usual in courses (Karpathy, "makemore, part 3"): its slope is
            6 % of the steepest. Of other functions a value does at the same slope.
        saturated: Share of an output where its module is flat. Karpathy calls 5 % good and 20 % too many.
        silent: Share of units that are zero for all of the batch, from which dead units are told. Deep in a net of
            ReLUs, samples become alike, and some are silent by that alone, whatever the weights.
        mostly_silent: The same, from which that is a warning; all of them are an error.
        n_values: Values of a unit below which being zero for all of them may be chance: half of a ReLU's are.
        equal: The largest difference of two units' weights or gradients, over the largest of these, that is rounding,
            in float32 and float64.
        equal_halves: The same in formats of 16 bits and fewer.
    """

    faded: float = 1e-4
    rate: float = 0.6
    n_layers: int = 4
    flat: float = 0.97
    saturated: float = 0.3
    silent: float = 0.25
    mostly_silent: float = 0.75
    n_values: int = 32
    equal: float = 1e-5
    equal_halves: float = 1e-2


LIMITS = Thresholds()
