"""Feeding a tensor of any dtype and layout to an `Accumulator`, block by block, in memory that doesn't grow with it.

Eight- and sixteen-bit numbers have at most 65,536 values, so their codes are counted and the statistics follow from
the counts, exactly. float32 and float64 are summed and binned as they are; wider integers as float64; complex numbers
by their magnitude. Of a sparse tensor the implicit zeros count too. A quantized tensor counts as what it stands for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnwidgets.introspect.statistics.accumulator import Accumulator
from nnwidgets.introspect.statistics.blocks import Runs, blocks
from nnwidgets.introspect.statistics.kernels import Counter, Scratch

Tick = Callable[[int], None]
"""Called after each block with the number of elements it held; raises to stop."""

_HALVES = {torch.bfloat16, torch.float16, torch.int16, torch.uint16}
_CPU_LIMIT = {torch.float32: 524_288, torch.float64: 262_144, torch.complex128: 131_072}
_DEVICE_LIMIT = 2_097_152
_WORTH_A_TABLE = 131_072
_CODES_8, _CODES_16 = 256, 65_536
_COMPUTING_DEVICES = {"cpu", "cuda"}
_PER_TENSOR = {torch.per_tensor_affine, torch.per_tensor_symmetric}
_INTEGERS = {torch.qint8: torch.int8, torch.quint8: torch.uint8, torch.qint32: torch.int32}
_COMPRESSED = {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


def feed(data: torch.Tensor, accumulator: Accumulator, tick: Tick) -> int:
    """Take all of a plain tensor into an accumulator.

    Args:
        data: As `as_plain_tensor` gives it.
        accumulator: What takes it in.
        tick: Called after each block.

    Returns:
        How many times each element taken in occurs in the tensor: more than 1 for an expanded one.
    """
    if data.is_quantized:
        _feed_quantized(data, accumulator, tick)
        return 1
    if data.layout is torch.strided:
        runs = Runs.of(data)
        _feed_strided(data, runs, accumulator, lambda n: tick(n * runs.repeats))
        return runs.repeats
    values = stored_values(data)
    _feed_strided(values, Runs.of(values, keep_repeats=True), accumulator, tick)
    accumulator.add_constant(0.0, data.numel() - values.numel())
    tick(data.numel() - values.numel())
    return 1


def stored_values(data: torch.Tensor) -> torch.Tensor:
    """Return the elements a sparse tensor stores, each once; all of an MKL-DNN tensor's."""
    if data.layout is torch.sparse_coo:
        return data.coalesce().values()
    return data.values() if data.layout in _COMPRESSED else data.to_dense()


def to_coordinates(data: torch.Tensor) -> torch.Tensor:
    """Return a sparse tensor of any layout in coordinates, each stored element once."""
    return (data if data.layout is torch.sparse_coo else data.to_sparse()).coalesce()


def _feed_strided(data: torch.Tensor, runs: Runs, accumulator: Accumulator, tick: Tick) -> None:
    if data.dtype.is_complex:
        _feed_complex(data, runs, accumulator, tick)
    elif data.element_size() == 1 or (data.dtype in _HALVES and runs.n >= _WORTH_A_TABLE):
        _feed_codes(data, runs, accumulator, tick, _decode_codes(data.dtype))
    else:
        work = torch.float32 if data.dtype in {torch.float32, torch.bfloat16, torch.float16} else torch.float64
        scratch = Scratch(_limit(data, work, runs.n), _computing_device(data), work)
        for block in blocks(data, runs, scratch.limit):
            accumulator.add_block(_stage(block, scratch), scratch)
            tick(block.numel())


def _stage(block: torch.Tensor, scratch: Scratch) -> torch.Tensor:
    """Return the block as one contiguous run of the scratch's dtype on its device."""
    if block.dtype is scratch.dtype and block.device == scratch.device and block.is_contiguous() and not block.is_neg():
        return block.view(-1)
    staged = scratch.staged(block.numel())
    staged.view(block.shape).copy_(block)
    return staged


def _feed_complex(data: torch.Tensor, runs: Runs, accumulator: Accumulator, tick: Tick) -> None:
    scratch = Scratch(_limit(data, torch.complex128, runs.n), _computing_device(data), torch.float64)
    for block in blocks(data, runs, scratch.limit):
        wide = block.to(device=scratch.device, dtype=torch.complex128)
        accumulator.add_block(wide.abs().reshape(-1), scratch)
        tick(block.numel())


def _feed_codes(data: torch.Tensor, runs: Runs, accumulator: Accumulator, tick: Tick, decoded: torch.Tensor) -> None:
    """Count how often each bit pattern occurs, then take in the patterns' values that often."""
    accumulator.add_table(decoded, count_codes(data, runs, tick).tolist())


def count_codes(data: torch.Tensor, runs: Runs, tick: Tick) -> torch.Tensor:
    """Count the bit patterns of an eight- or sixteen-bit tensor, taken as unsigned numbers."""
    narrow = data.element_size() == 1
    size = _CODES_8 if narrow else _CODES_16
    unsigned = torch.uint8 if narrow else torch.uint16
    scratch = Scratch(_limit(data, torch.float64, runs.n), _computing_device(data), torch.float64)
    counter = Counter(size, scratch)
    for block in blocks(data, runs, scratch.limit):
        # Straight from the tensor where it is one run, else by way of a copy of the block.
        flat = block if block.is_contiguous() and not block.is_neg() else block.resolve_neg().contiguous()
        counter.add(flat.view(-1).view(unsigned))
        tick(block.numel())
    return counter.counts()


def _decode_codes(dtype: torch.dtype) -> torch.Tensor:
    """Return what each code of an eight- or sixteen-bit dtype stands for, in the order `count_codes` counts them."""
    if dtype.itemsize == 1:
        codes = torch.arange(_CODES_8, dtype=torch.int16, device="cpu").to(torch.uint8)
    else:
        codes = torch.arange(_CODES_16, dtype=torch.int32, device="cpu").to(torch.uint16)
    return codes.view(dtype).to(torch.float64)


def _feed_quantized(data: torch.Tensor, accumulator: Accumulator, tick: Tick) -> None:
    codes = quantized_codes(data)
    if data.qscheme() in _PER_TENSOR:
        _feed_affine(codes, data.q_scale(), data.q_zero_point(), accumulator, tick)
        return
    scales, zeros = data.q_per_channel_scales().tolist(), data.q_per_channel_zero_points().tolist()
    for channel, scale, zero in zip(codes.movedim(data.q_per_channel_axis(), 0), scales, zeros, strict=True):
        _feed_affine(channel, scale, zero, accumulator, tick)


def _feed_affine(codes: torch.Tensor, scale: float, zero: float, accumulator: Accumulator, tick: Tick) -> None:
    runs = Runs.of(codes, keep_repeats=True)
    if codes.element_size() == 1:
        accumulator.add_table(
            _dequantize(_decode_codes(codes.dtype), scale, zero), count_codes(codes, runs, tick).tolist()
        )
        return
    scratch = Scratch(_limit(codes, torch.float64, runs.n), _computing_device(codes), torch.float64)
    for block in blocks(codes, runs, scratch.limit):
        accumulator.add_block(_dequantize(_stage(block, scratch), scale, zero), scratch)
        tick(block.numel())


def _dequantize(codes: torch.Tensor, scale: float, zero: float) -> torch.Tensor:
    """Return what codes stand for, rounded as ``Tensor.dequantize`` does: in float32."""
    return codes.float().sub_(zero).mul_(scale).double()


def quantized_codes(data: torch.Tensor) -> torch.Tensor:
    """Return a quantized tensor's integers, sharing its memory."""
    codes = torch.empty(0, dtype=_INTEGERS[data.dtype], device=data.device)
    return codes.set_(data.untyped_storage(), data.storage_offset(), data.size(), data.stride())


def _limit(data: torch.Tensor, work: torch.dtype, n: int) -> int:
    limit = _CPU_LIMIT[work] if _computing_device(data).type == "cpu" else _DEVICE_LIMIT
    return max(1, min(limit, n))


def _computing_device(data: torch.Tensor) -> torch.device:
    """Return where to compute: where the data is, if float64 and counting are sure to work there, else the CPU."""
    return data.device if data.device.type in _COMPUTING_DEVICES else torch.device("cpu")
