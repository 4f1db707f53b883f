"""What holds a tensor's elements where that isn't a storage of its own: a shard, packed codes, tensors within.

DTensor and FSDP tell the whole's shape in records of torch beside the local data, DeepSpeed's ZeRO-3 and bitsandbytes
in attributes of the tensor, a wrapping class (torchao's, quanto's) in what it keeps: all of it is read from slots and
dicts. Nothing is sent or waited for, and no code of a tensor's class runs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from nnwidgets.formatting import counted, dtype_short, exact_count, inert, shape_text
from nnwidgets.introspect.records import Held
from nnwidgets.introspect.safe_access import objects

if TYPE_CHECKING:
    from nnwidgets.introspect.safe_access.scan import ModelScan

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance
_BITS = 8
_MOST_NESTED = 4
_MOST_PARTS = 4
_FLAT = "a flat shard (FSDP)"
_TWO_A_BYTE = "float4_e2m1fn_x2"
_PER_BYTE = {"quint4x2": 2, "quint2x4": 4}

PACKED = frozenset((_TWO_A_BYTE, *_PER_BYTE))
"""Names of torch's dtypes below a byte."""


def local_shard(tensor: Any) -> Any:
    """Follow DTensors to the local shard; None where it is missing."""
    for _ in range(_MOST_NESTED):
        if not is_dtensor(type(tensor)):
            return tensor
        tensor = _attribute(tensor, "_local_tensor")
        if not objects.is_tensor(tensor):
            return None
    return tensor


def is_dtensor(kind: type) -> bool:
    """Whether tensors of a class are torch's DTensors."""
    if id(kind) in objects.ORDINARY:
        return False
    home = sys.modules.get("torch.distributed.tensor")
    if home is not None and kind is objects.object_dict(home).get("DTensor"):
        return True
    return any(objects.type_name(base) == "DTensor" and objects.is_torchs_own(base) for base in objects.type_mro(kind))


def is_wrapper(tensor: Any) -> bool:
    """Whether a tensor's class keeps its elements in tensors of its own making."""
    if id(type(tensor)) in objects.ORDINARY:
        return False
    with objects.no_torch_function():
        held = holder_of(tensor)
    return held is not None and held.kind == "wrapper"


def is_flat(tensor: Any) -> bool:
    """Whether it is what FSDP1 has put all parameters of a module into."""
    return objects.tensor_dict(tensor).get("_is_flat_param") is True


def holder_of(tensor: Any) -> Held | None:
    """What holds the elements of a tensor; None where it holds them itself.

    To be called inside `no_torch_function`.

    Example:
        >>> holder_of(torch.ones(2)) is None
        True
    """
    kind = type(tensor)
    try:
        with objects.refusing_dispatch(kind):
            if is_dtensor(kind):
                return _of_dtensor(tensor)
            return (
                _of_ranks_in_one(tensor)
                or _of_stub(tensor)
                or _of_flat(tensor)
                or _of_packed(tensor)
                or _of_wrapper(tensor)
            )
    except (RuntimeError, ValueError, NotImplementedError, TypeError, AttributeError):
        return None


def _of_dtensor(tensor: Any) -> Held | None:
    local, spec = local_shard(tensor), objects.object_dict(_attribute(tensor, "_spec"))
    if local is None or "placements" not in spec:
        return None
    placements = spec["placements"]
    mesh = _mesh(spec.get("mesh"))
    words = tuple(map(_placement, placements))
    copies = [size for (_, size), word in zip(mesh, words, strict=False) if word.startswith("Replicate")]
    return Held(
        kind="shard",
        shape=_shape(tensor),
        local_shape=_shape(local),
        local_bytes=_n_bytes(local),
        placements=words,
        mesh=mesh,
        n_replicas=math.prod(copies),
        how=f"{', '.join(words)} over {' × '.join(f'{name} {size}' if name else str(size) for name, size in mesh)}",
        is_part=any(not word.startswith("Replicate") for word in words) and math.prod(size for _, size in mesh) > 1,
    )


def ranks_in_one(tensor: Any) -> dict[int, Any]:
    """By rank, the parts of one of torch's `LocalTensor`, with which it plays several ranks in one process."""
    if objects.type_name(type(tensor)) != "LocalTensor" or not objects.is_torchs_own(type(tensor)):
        return {}
    held = _attribute(tensor, "_local_tensors")
    return held if type(held) is dict else {}


def whose(tensor: Any) -> str:
    """Whose numbers the data of a tensor are: ``"all"``, the part of this process, or codes.

    Example:
        >>> whose(torch.ones(2))
        'all'
    """
    with objects.no_torch_function():
        held = holder_of(tensor)
        if held is None:
            is_flat = objects.tensor_dict(tensor).get("_fsdp_flattened") is True
            return f"{_rank()}: what FSDP keeps of it here, {shape_text(_shape(tensor))}" if is_flat else "all"
    if held.kind in {"packed", "codes"}:
        return held.how if held.kind == "codes" else f"codes, {held.how}"
    if not held.is_part:
        return "all"
    if any(word.startswith("Partial") for word in held.placements):
        return f"{_rank()}: its share of a sum that isn't reduced yet, {shape_text(held.local_shape)}"
    return f"{_rank()}: {shape_text(held.local_shape)} of {shape_text(held.shape)}"


def part_here(tensor: Any) -> Any:
    """What of a tensor can be read here: the part that ZeRO-3 keeps beside its stub, else the tensor itself."""
    if id(type(tensor)) not in objects.ORDINARY:
        return tensor
    part = objects.tensor_dict(tensor).get("ds_tensor")
    return part if objects.is_tensor(part) and not _BASE.numel(tensor) else tensor


def _rank() -> str:
    is_group = torch.distributed.is_available() and torch.distributed.is_initialized()
    return f"rank {torch.distributed.get_rank()}" if is_group else "this process"


def _placement(placement: Any) -> str:
    """A placement as it is written in Python: ``Shard(0)``."""
    kind = type(placement)
    name = objects.type_name(kind)
    if not objects.is_torchs_own(kind):
        return f"{name}()"
    dim = getattr(placement, "dim", None)
    return f"{name}({dim})" if type(dim) is int else inert(repr(placement), 40)


def _mesh(mesh: Any) -> tuple[tuple[str, int], ...]:
    """Name and size of each dimension of a mesh of torch's; a dimension without a name has none."""
    if not objects.is_torchs_own(type(mesh)):
        return ()
    sizes = tuple(mesh.shape)
    names = mesh.mesh_dim_names or ("",) * len(sizes)
    return tuple((inert(str(name), 40), int(size)) for name, size in zip(names, sizes, strict=True))


def _of_stub(tensor: Any) -> Held | None:
    """A parameter that ZeRO-3 has taken apart: empty, with the whole's shape in ``ds_shape``."""
    attributes = objects.tensor_dict(tensor)
    shape = _sizes(attributes.get("ds_shape"))
    if shape is None or _BASE.numel(tensor) == math.prod(shape):
        return None
    part = attributes.get("ds_tensor")
    has_part = objects.is_tensor(part)
    return Held(
        kind="shard",
        shape=shape,
        local_shape=_shape(part) if has_part else _shape(tensor),
        local_bytes=_n_bytes(part) if has_part else _n_bytes(tensor),
        how="a stub, its parts on several processes (ZeRO-3)",
        is_part=True,
    )


def _of_flat(tensor: Any) -> Held | None:
    """The one flat parameter of a module wrapped in FSDP1: its shard, or all of it with padding."""
    attributes = objects.tensor_dict(tensor)
    shape = _sizes(attributes.get("_unpadded_unsharded_size"))
    if shape is None or not is_flat(tensor) or _shape(tensor) == shape:
        return None
    return Held(
        kind="shard",
        shape=shape,
        local_shape=_shape(tensor),
        local_bytes=_n_bytes(tensor),
        how=_FLAT,
        is_part=True,
    )


FLAT_PARAMETERS = "torch.distributed.fsdp._flat_param"
"""The module of torch without which no parameter was flattened."""


class FlatParameter(NamedTuple):
    """What FSDP1 has put the parameters of a module into, and cut.

    Attributes:
        flat: The flat parameter.
        originals: The parameters in it that are kept as well, each with its whole shape.
        rank: Which part is here.
        n_parts: How many there are: the ranks of one node where it shards in hybrid, else those of the group.
        n_replicas: How many ranks have the same part.
    """

    flat: Any
    originals: tuple[tuple[Any, tuple[int, ...]], ...]
    rank: int
    n_parts: int
    n_replicas: int


def flat_parameters(scan: ModelScan) -> Iterator[FlatParameter]:
    """What FSDP1 has flattened in a model."""
    for module, own in zip(scan.modules, scan.owns, strict=True):
        of_module = objects.own_dict(module) if own is None else own
        handle = of_module.get("_handle")
        if objects.type_name(type(handle)) == "FlatParamHandle" and objects.is_torchs_own(type(handle)):
            about = objects.object_dict(handle)
            flat = about.get("flat_param")
            attributes = objects.tensor_dict(flat) if objects.is_tensor(flat) else {}
            kept = zip(attributes.get("_params") or (), attributes.get("_shapes") or (), strict=False)
            originals = tuple((each, tuple(shape)) for each, shape in kept)
            replicas: Any = of_module.get("_inter_node_pg")
            n_replicas = replicas.size() if objects.is_torchs_own(type(replicas)) else 1
            yield FlatParameter(flat, originals, about.get("rank", 0), about.get("world_size", 1), n_replicas)


def flattened(scan: ModelScan) -> Iterator[tuple[int, Held]]:
    """Slots of parameters that FSDP1 has flattened, and what holds them: the flat ones, and the original ones in it."""
    found = list(flat_parameters(scan))
    shapes = {id(original): (shape, each.n_replicas) for each in found for original, shape in each.originals}
    n_replicas = {id(each.flat): each.n_replicas for each in found}
    for slot, (name, tensor) in enumerate(zip(scan.slot_names, scan.slot_values, strict=True)):
        original = shapes.get(id(tensor))
        if type(name) is str and name == "_flat_param" and objects.is_tensor(tensor):
            held = holder_of(tensor)
            if held is not None:
                yield slot, replace(held, n_replicas=n_replicas.get(id(tensor), 1))
        elif original is not None and _shape(tensor) != original[0]:
            shape, copies = original
            yield slot, Held("shard", shape, _shape(tensor), _n_bytes(tensor), _FLAT, n_replicas=copies, is_part=True)


def _of_ranks_in_one(tensor: Any) -> Held | None:
    parts = ranks_in_one(tensor)
    if not parts:
        return None
    own = _shape(tensor)
    how = f"the parts of {counted(len(parts), 'rank')} in one process (LocalTensor)"
    return Held("wrapper", own, own, sum(map(_n_bytes, parts.values())), how=how)


def _of_packed(tensor: Any) -> Held | None:
    """Codes of several elements in one number: bitsandbytes' 4-bit weights, torch's dtypes below a byte."""
    own = _shape(tensor)
    n, n_bytes = math.prod(own), _n_bytes(tensor)
    dtype = str(_BASE.dtype.__get__(tensor)).removeprefix("torch.")
    if dtype == _TWO_A_BYTE and own:
        return Held("packed", (*own[:-1], 2 * own[-1]), own, n_bytes, how="packed 4-bit, two a byte")
    if dtype in _PER_BYTE:
        n_bytes = int(_BASE.untyped_storage(tensor).nbytes())
        return Held("packed", own, own, n_bytes, how=f"packed {_BITS // _PER_BYTE[dtype]}-bit")
    attributes = objects.tensor_dict(tensor)
    state = attributes.get("quant_state")
    about = state if type(state) is dict else objects.object_dict(state)
    shape = _sizes(about.get("shape"))
    if shape is not None and math.prod(shape) > n:
        quant = about.get("quant_type")
        bits = n_bytes * _BITS / math.prod(shape)
        name = f" {inert(quant, 20)}" if type(quant) is str else ""
        held_in = f"{shape_text(own)} {dtype_short(dtype)}"
        return Held("packed", shape, own, n_bytes, how=f"packed {bits:g}-bit{name} of {shape_text(shape)} in {held_in}")
    scales = attributes.get("SCB")
    if dtype == "int8" and objects.is_tensor(scales):
        return Held("codes", own, own, n_bytes, how="int8 codes, scales beside")
    return None


def _of_wrapper(tensor: Any) -> Held | None:
    """A class that keeps its elements in tensors of its own making."""
    kind = type(tensor)
    if id(kind) in objects.ORDINARY or _BASE.layout.__get__(tensor) is not torch.strided:
        return None
    if _address(tensor) or _BASE.is_meta.__get__(tensor):
        return None
    parts = list(_parts(tensor, _MOST_NESTED))
    if not parts:
        return None
    told = " + ".join(
        f"{name} {shape_text(_shape(part))} {dtype_short(str(_BASE.dtype.__get__(part)).removeprefix('torch.'))}"
        for name, part in parts[:_MOST_PARTS]
    )
    more = f" + {exact_count(len(parts) - _MOST_PARTS)} more" if len(parts) > _MOST_PARTS else ""
    own = _shape(tensor)
    return Held("wrapper", own, own, sum(_n_bytes(part) for _, part in parts), how=f"made of {told}{more}")


def _parts(tensor: Any, nesting: int) -> Iterator[tuple[str, Any]]:
    """The tensors with bytes of their own that one of a wrapping class is made of, each once."""
    seen: set[int] = set()
    waiting = [("", tensor, nesting)]
    while waiting:
        name, held, left = waiting.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if name and (id(type(held)) in objects.ORDINARY or _address(held)):
            yield name, held
        elif left:
            waiting += [(below, each, left - 1) for below, each in wrapped_tensors(held)][::-1]


def wrapped_tensors(tensor: Any) -> list[tuple[str, Any]]:
    """The tensors that one of a wrapping class holds, by name."""
    if id(type(tensor)) in objects.ORDINARY:
        return []
    own = objects.tensor_dict(tensor)
    held = [(inert(name, 40), value) for name, value in objects.plain_items(own) if type(name) is str]
    held += [("", value) for value in objects.own_slots(tensor)]
    return [(name or "a tensor", value) for name, value in held if objects.is_tensor(value)]


def _address(tensor: Any) -> int:
    try:
        return int(_BASE.data_ptr(tensor)) if _BASE.layout.__get__(tensor) is torch.strided else 0
    except RuntimeError:
        return 0


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(map(int, _BASE.shape.__get__(tensor)))


def _n_bytes(tensor: Any) -> int:
    return int(_BASE.numel(tensor)) * int(_BASE.element_size(tensor))


def _sizes(value: Any) -> tuple[int, ...] | None:
    """Sizes as someone else's attribute gives them; None where it is something else."""
    if type(value) not in (tuple, list, torch.Size) or not all(type(size) is int and size >= 0 for size in value):
        return None
    return tuple(value)


def _attribute(value: Any, name: str) -> Any:
    """What a tensor holds in a slot of its class, or in its dict; None without it."""
    slot = objects.class_attribute(type(value), name)
    return slot.__get__(value) if type(slot) is MemberDescriptorType else objects.tensor_dict(value).get(name)
