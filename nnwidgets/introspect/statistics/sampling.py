"""A fixed-size sample of a tensor of any size, the same each time, touching few pages of memory.

The tensor is cut into equal strata and a short run of neighbours is read at a jittered place in each. Runs keep the
number of pages low, so that a memory-mapped checkpoint answers as fast as memory; the jitter keeps a period in the
data (rows, heads) from meeting a period in the sample. It comes from a generator of its own.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import part_here, whose
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, torch_attribute
from nnwidgets.introspect.statistics.accumulator import Accumulator
from nnwidgets.introspect.statistics.blocks import Runs
from nnwidgets.introspect.statistics.dtype_readers import feed, quantized_codes, stored_values
from nnwidgets.introspect.statistics.histogram import check_bins

SAMPLE_SIZE = 65_536
_RUN_LENGTH = 64
_SEED = 0x6E6E77


def sampled_stats(tensor: torch.Tensor, *, bins: int = 64) -> TensorStats:
    """Describe a sample of at most 65,536 elements, the same ones each time; exact where the tensor has no more.

    Args:
        tensor: As for `stats`.
        bins: As for `stats`.

    Raises:
        InvalidTargetError: As for `stats`.

    Example:
        >>> import torch
        >>> sampled_stats(torch.zeros(1_000_000)).n
        65536
        >>> sampled_stats(torch.zeros(10)).is_exact
        True
    """
    bins = check_bins(bins)
    data = as_plain_tensor(part_here(tensor))
    accumulator = Accumulator(bins)
    with plain_torch():
        repeats = feed(sample(data), accumulator, lambda _: None)
        return as_of(accumulator.result(repeats=repeats, is_exact=data.numel() <= SAMPLE_SIZE), tensor)


def as_of(found: TensorStats, tensor: torch.Tensor) -> TensorStats:
    """Statistics with whose they are: those of a shard or of codes aren't the tensor's, nor are magnitudes."""
    of = whose(tensor)
    with no_torch_function():
        is_complex = torch_attribute(tensor, "dtype").is_complex
    told = of if not is_complex else "magnitudes" if of == "all" else f"magnitudes; {of}"
    return found if told == "all" else replace(found, of=told, is_exact=found.is_exact and of == "all")


def sample(data: torch.Tensor, size: int = SAMPLE_SIZE) -> torch.Tensor:
    """Return at most ``size`` elements of a plain tensor as a one-dimensional tensor on the CPU.

    Args:
        data: As `as_plain_tensor` gives it.
        size: Most elements to read; a tensor of no more is returned whole, in some order.

    Returns:
        Elements of the tensor's own dtype; of a quantized tensor, what they stand for.
    """
    if data.is_quantized:
        return _sample_quantized(data, size)
    if data.layout is torch.strided:
        return _sample_strided(data, size)
    values = stored_values(data)
    n, n_stored = data.numel(), values.numel()
    wanted = min(size, n)
    n_from_stored = min(n_stored, round(wanted * (n_stored / n)) if n else 0)
    n_from_stored = max(n_from_stored, wanted - (n - n_stored), min(n_stored, 1))
    picked = _sample_strided(values, n_from_stored)
    return torch.cat([picked, torch.zeros(wanted - picked.numel(), dtype=picked.dtype, device="cpu")])


def _sample_strided(data: torch.Tensor, size: int) -> torch.Tensor:
    n = data.numel()
    if n <= size:
        return data.resolve_conj().resolve_neg().reshape(-1).cpu()
    places = _places(n, size)
    runs = Runs.of(data, keep_repeats=True)
    offsets = torch.zeros_like(places)
    for extent, stride in zip(reversed(runs.sizes), reversed(runs.strides), strict=True):
        offsets.add_(places.remainder(extent), alpha=stride)
        places = places.div(extent, rounding_mode="floor")
    reach = 1 + sum((extent - 1) * stride for extent, stride in zip(runs.sizes, runs.strides, strict=True))
    flat = data.as_strided((reach,), (1,), data.storage_offset())
    return gather(flat, offsets.to(data.device)).resolve_conj().resolve_neg().cpu()


def gather(flat: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Return the elements of a one-dimensional tensor at ``offsets``, whatever its dtype."""
    if flat.is_neg() or flat.is_conj():
        return flat[offsets]
    if flat.dtype.itemsize in _AS_INTEGERS:
        # As integers: torch indexes every dtype of these sizes so, float8 and unsigned ones too.
        return flat.view(_AS_INTEGERS[flat.dtype.itemsize])[offsets].view(flat.dtype)
    return flat[offsets]


def _places(n: int, size: int) -> torch.Tensor:
    """Return about ``size`` increasing positions below ``n``, in runs."""
    n_runs = max(1, size // _RUN_LENGTH)
    length = size // n_runs
    generator = torch.Generator(device="cpu").manual_seed(_SEED)
    jitter = torch.rand(n_runs, generator=generator, dtype=torch.float64, device="cpu")
    strata = torch.arange(n_runs + 1, dtype=torch.int64, device="cpu") * (n // n_runs)
    room = n // n_runs - length
    starts = strata[:-1] + (jitter * (room + 1)).floor_().long().clamp_(0, room)
    return (starts[:, None] + torch.arange(length, dtype=torch.int64, device="cpu")).reshape(-1)


def _sample_quantized(data: torch.Tensor, size: int) -> torch.Tensor:
    codes = quantized_codes(data)
    if data.qscheme() in {torch.per_tensor_affine, torch.per_tensor_symmetric}:
        return _sample_strided(codes, size).float().sub_(data.q_zero_point()).mul_(data.q_scale())
    axis = data.q_per_channel_axis()
    shape = [-1 if dimension == axis else 1 for dimension in range(codes.dim())]
    scales = data.q_per_channel_scales().float().view(shape).expand(codes.shape)
    zeros = data.q_per_channel_zero_points().float().view(shape).expand(codes.shape)
    n = codes.numel()
    places = _places(n, size) if n > size else torch.arange(n, dtype=torch.int64, device="cpu")
    at = torch.unravel_index(places.to(codes.device), codes.shape)
    return ((codes[at].float() - zeros[at]) * scales[at]).cpu()


_AS_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
