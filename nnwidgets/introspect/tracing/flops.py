"""What runs below the modules of a traced forward: every operator, its floating-point operations, its writes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from importlib import import_module
from time import perf_counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nnwidgets.introspect.data_flow.recorder import FlowRecorder
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import is_tensor, no_torch_function
from nnwidgets.introspect.safe_access.tensors_in import tensors_among
from nnwidgets.introspect.tracing.cut_tensors import CutTensors


def _torch_flop_counter() -> Any:
    """Torch's formulas, without its warning, in a user's first cell, of a CUDA build that has no triton."""
    log = logging.getLogger("torch.utils.flop_counter")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return import_module("torch.utils.flop_counter")
    finally:
        log.setLevel(level)


_flop_counter = _torch_flop_counter()
_BeforeWrite = Callable[[Any, tuple[Any, ...], dict[str, Any]], None]
_aten = torch.ops.aten
_attention_flops: Any = _flop_counter.sdpa_flop_count
_METADATA = frozenset(
    overload
    for name in ("size", "sym_size", "stride", "sym_stride", "storage_offset", "sym_storage_offset", "numel",
                 "sym_numel", "dim", "is_contiguous", "sym_is_contiguous", "is_strides_like_format",
                 "is_non_overlapping_and_dense")
    for packet in [getattr(_aten, name, None)]
    if packet is not None
    for overload in [getattr(packet, overload_name) for overload_name in packet.overloads()]
)  # fmt: skip
"""Questions about shape that a tensor subclass answers itself."""


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook is untyped
    """Counts the floating-point operations of what runs under it, by torch's own formulas.

    As torch's ``FlopCounterMode`` does, only products count (matrix products, convolutions, attention), a
    multiplication and an addition as two; element-wise operations are left out.

    Where tensors are cut over ranks, an operator on DTensors counts as one on the whole tensors, and one on plain
    tensors that are parts of cut ones as often as there are parts.

    Args:
        before_write: Called before each operator that may write.
        counts: Whether to count at all, and not only to tell of writes: what was done isn't known then.
        flow: Told of each operator that has run, where it is counted.

    Attributes:
        flops: Operations so far, of the whole tensors.
        local_flops: Those that were done here.
        n_unknown: How many operators so far did work that there is no formula for, or of which it isn't known what
            part of the whole's it was.
        n_unknown_here: How many of these are of the first kind.
        overhead_seconds: Time spent here and not in the operators themselves.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler (seconds) for a mode under which nothing is compiled."""
        return False

    def __init__(self, before_write: _BeforeWrite, flow: FlowRecorder | None = None, *, counts: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self._counts = counts
        self._flow = flow
        self.flops = self.local_flops = 0
        self.n_unknown = self.n_unknown_here = 0
        self.overhead_seconds = 0.0
        self._before_write = before_write
        self._cut = CutTensors()
        self._is_counted = False
        self._fake_mode = _fake_mode()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator, in parts where it has parts, and count it."""
        if func in _METADATA:
            return NotImplemented
        kwargs = kwargs or {}
        if self._cut and _fake_mode() is not self._fake_mode:
            return func(*args, **kwargs)  # DTensor asks what shapes there will be
        began = perf_counter()
        packet = getattr(func, "_overloadpacket", func)
        formula = _formula(packet)
        if formula is None and isinstance(func, torch._ops.OpOverload) and _has_parts(func):  # noqa: SLF001 - torch's type
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if any(map(is_dtensor, types)):
            return self._of_dtensors(func, formula, args, kwargs) if self._counts else NotImplemented
        self._before_write(func, args, kwargs)
        if not self._counts:
            self.n_unknown += 1
            self.n_unknown_here += 1
            return func(*args, **kwargs)
        ran = perf_counter()
        result = func(*args, **kwargs)
        done = perf_counter()
        cuts = self._cut.of(tensors_among((args, *kwargs.values())))
        work = _work(packet, formula, args, kwargs, result)
        self._cut.follow(packet, args, cuts, result)
        if self._flow is not None:
            with no_torch_function():
                self._flow.ran(func, args, kwargs, result)
        if work is None:
            self.n_unknown_here += 1
        else:
            self.local_flops += work
        if not self._is_counted:
            parts = list(cuts.values()) if work else []
            self._add(None if work is None or None in parts else work * math.prod(filter(None, parts)))
        self.overhead_seconds += (ran - began) + (perf_counter() - done)
        return result

    def _add(self, work: int | None) -> None:
        if work is None:
            self.n_unknown += 1
        else:
            self.flops += work

    def _of_dtensors(
        self, func: Any, formula: Callable[..., int] | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Have DTensor run an operator, in operators on what is here, and count it by the shapes of the whole."""
        self._cut.note(tensors_among((args, *kwargs.values())))
        if formula is None or self._is_counted:
            return NotImplemented  # DTensor's own code runs next, and what it calls comes here
        self._is_counted = True
        try:
            with self:
                result = func(*args, **kwargs)
        finally:
            self._is_counted = False
        self._add(_work(func._overloadpacket, formula, args, kwargs, result))  # noqa: SLF001 - as torch's counter does
        self._cut.note(tensors_among(result))
        return result


def _work(
    packet: Any, formula: Callable[..., int] | None, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> int | None:
    """The operations of one operator; None where it may have done some that there is no formula for."""
    if formula is None:
        return None if _may_hide_products(packet) else 0
    try:
        raw = getattr(formula, "__wrapped__", None)
        if raw is None or isinstance(out, (list, tuple)) or any(map(_may_hold_tensors, (*args, *kwargs.values()))):
            return int(formula(*args, **kwargs, out_val=out))
        # What torch wraps its formulas in looks for tensors in all that an operator is given, for longer than most run.
        of_names = {name: _shape_of(value) for name, value in kwargs.items()}
        return int(raw(*map(_shape_of, args), **of_names, out_shape=_shape_of(out)))
    except (TypeError, ValueError, RuntimeError, AssertionError, IndexError, AttributeError):
        # A shape the formula doesn't foresee (ragged, symbolic): the work was done, how much isn't known.
        return None


def _shape_of(value: Any) -> Any:
    return value.shape if is_tensor(value) else value


def _may_hold_tensors(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(type(each) is not int for each in value)


def _fake_mode() -> Any:
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE)  # noqa: SLF001 - torch's names


def _formula(packet: Any) -> Callable[..., int] | None:
    return _flop_counter.flop_registry.get(packet) or _OWN_FORMULAS.get(packet)


def _has_parts(func: torch._ops.OpOverload) -> bool:
    """Whether an operator is made of others; not where it has a kernel of its own too, which rounds otherwise."""
    known = _PARTS.get(func)
    if known is None:
        keys = torch._C.DispatchKey  # noqa: SLF001 - torch's name
        known = (
            func.namespace != "prim"
            and func.has_kernel_for_dispatch_key(keys.CompositeImplicitAutograd)
            and not func.has_kernel_for_dispatch_key(keys.CPU)
        )
        _PARTS[func] = known
    return known


_PARTS: dict[Any, bool] = {}
"""Which operators are written in terms of others; one entry per operator, whatever the model."""


def _may_hide_products(packet: Any) -> bool:
    """Say whether an operator without a formula may do products: not torch's own, or known to."""
    name = str(getattr(packet, "_qualified_op_name", packet))
    namespace, _, short = name.partition("::")
    return namespace not in _PLAIN_NAMESPACES or short in _PRODUCTS or short.startswith(_PRODUCT_FAMILIES)


_PLAIN_NAMESPACES = frozenset({
    "aten", "prim", "prims", "profiler", "c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "fsdp",
})  # fmt: skip
_PRODUCT_FAMILIES = (
    "_fft_", "_sparse_semi_structured", "_weight_int", "_wrapped_", "conv_", "fbgemm_linear", "linalg_inv",
    "linalg_lu", "linalg_solve", "miopen_", "mkldnn_convolution", "mkldnn_linear", "mkldnn_rnn", "quantized_",
    "slow_conv",
)  # fmt: skip
_PRODUCTS = frozenset({
    "_addmm_activation", "_cdist_forward", "_conv_depthwise2d", "_cslt_sparse_mm", "_cudnn_rnn", "_foreach_mm",
    "_linalg_eigh", "_linalg_solve_ex", "_linalg_svd", "_lstm_mps", "_mixed_dtypes_linear",
    "_native_multi_head_attention", "_scaled_grouped_mm", "_scaled_grouped_mm_v2", "_scaled_mm_v2", "_sparse_addmm",
    "_sparse_mm", "_transformer_encoder_layer_fwd", "_trilinear", "_triton_multi_head_attention",
    "_triton_scaled_dot_attention", "addbmm", "addr", "cholesky_solve", "cudnn_convolution_add_relu",
    "cudnn_convolution_relu", "cudnn_convolution_transpose", "linalg_cholesky_ex", "linalg_eig",
    "linalg_householder_product", "linalg_ldl_solve", "linalg_lstsq", "linalg_matrix_exp", "linalg_qr",
    "sparse_sampled_addmm", "sspaddmm", "triangular_solve",
})  # fmt: skip


def _flash_attention_on_cpu(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(_attention_flops(query.shape, key.shape, value.shape))


def _recurrent_layer(inputs: Any, weight_in: Any, weight_hidden: Any, *_: Any, **__: Any) -> int:
    """Two products per time step and batch row: with the input weights and with the hidden ones."""
    steps = inputs.shape[0] * inputs.shape[1]
    return int(2 * steps * (weight_in.numel() + weight_hidden.numel()))


def _matrix_product(left: Any, right: Any, *_: Any, **__: Any) -> int:
    return int(2 * left.numel() * right.shape[1])


def _grouped_product(left: Any, right: Any, *_: Any, **__: Any) -> int:
    """Each row of ``left`` [..., k] meets the one matrix of ``right`` [groups, k, n] that is its group's."""
    if right.dim() != 3:  # noqa: PLR2004 - the case that a forward has
        raise ValueError(f"no formula for {left.dim()}-D by {right.dim()}-D")
    return int(2 * left.numel() * right.shape[2])


def _matrix_by_vector(matrix: Any, *_: Any, **__: Any) -> int:
    return int(2 * matrix.numel())


def _added_matrix_by_vector(_: Any, matrix: Any, *__: Any, **___: Any) -> int:
    return int(2 * matrix.numel())


_OWN_FORMULAS: dict[Any, Callable[..., int]] = {
    getattr(_aten, name): formula
    for name, formula in {
        "_scaled_dot_product_flash_attention_for_cpu": _flash_attention_on_cpu,
        "mkldnn_rnn_layer": _recurrent_layer,
        "_int_mm": _matrix_product,
        "_grouped_mm": _grouped_product,
        "mv": _matrix_by_vector,
        "dot": _matrix_by_vector,
        "vdot": _matrix_by_vector,
        "addmv": _added_matrix_by_vector,
    }.items()
    if hasattr(_aten, name)  # each torch has its own
}
"""Operators that torch's registry has no formula for."""
