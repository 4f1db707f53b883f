"""Ties: names that reach the same bytes, found by address ranges first and exact byte sets where ranges meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, islice
from operator import attrgetter, gt
from typing import Any

from nnwidgets.formatting import letters
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.records import TieGroup, TieGroups, TieKind
from nnwidgets.introspect.safe_access.holders import holder_of
from nnwidgets.introspect.safe_access.modules import is_packed
from nnwidgets.introspect.safe_access.objects import ORDINARY, is_tensor, no_torch_function
from nnwidgets.introspect.safe_access.scan import ModelScan, gc_paused, read
from nnwidgets.introspect.sharing import byte_ranges
from nnwidgets.introspect.sharing.addresses import EMPTY, AddressIntervals
from nnwidgets.introspect.sharing.alias_names import Name, names_through_aliases, own_name


@dataclass(frozen=True, slots=True)
class Shared:
    """Bytes that several slots have in common.

    Attributes:
        slots: Whose they are, in order; two or more.
        n_bytes: How many.
        whole: Whether these are all the bytes of each of the slots (always so where a tensor has no address).
    """

    slots: tuple[int, ...]
    n_bytes: int
    whole: bool


@dataclass(frozen=True, slots=True)
class SlotGroup:
    """A tie group by slots.

    Attributes:
        kind: As of `TieGroup`.
        slots: Its slots, in order.
        shared: What they have in common, each byte once.
        shared_bytes: As of `TieGroup`.
    """

    kind: TieKind
    slots: tuple[int, ...]
    shared: tuple[Shared, ...]
    shared_bytes: int


@over_handles
def ties(module: object) -> tuple[TieGroup, ...]:
    """Find all names of a module's tensors that reach the same bytes.

    Parameters, buffers and unregistered tensors take part, under every name they have, those through a module that is
    registered twice included. What is returned prints as ``%nn tied`` does.

    Raises:
        InvalidTargetError: If ``module`` is not a module.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False))
        >>> net[1].weight = nn.Parameter(net[0].weight.data.t())
        >>> ties(net)
        tie  what                        shared  names
        A    same bytes, seen otherwise    24 B  0.weight
                                                 1.weight
    """
    with no_torch_function(), gc_paused():
        scan = read(module)
        addresses = address_intervals(scan)
        return TieGroups(tie_groups(scan, addresses, slot_groups(scan, addresses))[0])


def address_intervals(scan: ModelScan, sizes: Sequence[int] | None = None) -> AddressIntervals:
    """Where the tensors of a scan lie; what is no tensor has no bytes."""
    values = scan.slot_values
    if not scan.is_ordinary:
        values = [value if is_tensor(value) else EMPTY for value in values]
    return AddressIntervals(values, sizes, is_ordinary=scan.is_ordinary)


def slot_groups(scan: ModelScan, addresses: AddressIntervals) -> list[SlotGroup]:
    """Group the slots of a scan that have bytes in common, or hold the same object."""
    shared = _same_objects(scan, addresses)
    for cluster in _meeting(addresses):
        shared += _compare(cluster, addresses)
    in_walk_order = sorted(shared, key=attrgetter("slots"))
    return [_group(scan, addresses, members) for members in _connected(in_walk_order)]


def tie_groups(
    scan: ModelScan, addresses: AddressIntervals, groups: list[SlotGroup]
) -> tuple[tuple[TieGroup, ...], dict[int, str]]:
    """Give the groups their names, those through aliases included, and their letters; the second is by slot."""
    aliased = names_through_aliases(scan)
    if not groups and not aliased:
        return (), {}
    grouped = {slot for group in groups for slot in group.slots} if aliased else set()
    aliased_only = [SlotGroup("object", (slot,), (), 0) for slot in aliased if slot not in grouped]
    named: list[tuple[list[Name], TieKind, int, tuple[int, ...]]] = []
    for group in (*groups, *aliased_only):
        names = [own_name(scan, slot) for slot in group.slots]
        names += [name for slot in group.slots for name in aliased.get(slot, ())] if aliased else ()
        if len(names) > 1:
            shared_bytes = group.shared_bytes
            for slot in group.slots if aliased else ():
                if slot in aliased:
                    known = sum(shared_bytes if s.whole else s.n_bytes for s in group.shared if slot in s.slots)
                    shared_bytes += max(0, _whole_bytes(addresses, slot) - known)
            named.append((sorted(names), group.kind, shared_bytes, group.slots))
    named.sort()
    made = tuple(
        TieGroup(letters(index), kind, tuple(name.path for name in names), shared_bytes)
        for index, (names, kind, shared_bytes, _) in enumerate(named)
    )
    return made, {slot: group.id for group, (_, _, _, slots) in zip(made, named, strict=True) for slot in slots}


def _same_objects(scan: ModelScan, addresses: AddressIntervals) -> list[Shared]:
    """Tensors without an address tie only as objects."""
    if 0 not in addresses.starts:
        return []
    holders: dict[int, list[int]] = {}
    values = scan.slot_values
    without = [slot for slot, start in enumerate(islice(addresses.starts, len(values))) if not start]
    if len(set(map(id, map(values.__getitem__, without)))) == len(without):
        return []
    for slot in without:
        value = values[slot]
        if is_tensor(value) or is_packed(value):
            holders.setdefault(id(value), []).append(slot)
    return [Shared(tuple(slots), 0, whole=True) for slots in holders.values() if len(slots) > 1]


def _meeting(addresses: AddressIntervals) -> list[list[int]]:
    """Intervals on one device whose ranges of addresses hang together, two or more at a time."""
    starts, ends = addresses.starts, addresses.ends
    firsts, lasts = starts, ends
    if 0 in starts:
        firsts, lasts = list(compress(starts, starts)), list(compress(ends, starts))
    firsts, lasts = sorted(firsts), sorted(lasts)
    # Intervals are apart where each ends before the next begins, and then no order but that of the numbers matters.
    meets = list(map(gt, lasts, islice(firsts, 1, None)))
    if True not in meets:
        return []
    concerned = {*compress(firsts, meets), *compress(islice(firsts, 1, None), meets)}
    order = list(compress(range(len(starts)), map(concerned.__contains__, starts)))
    order.sort(key=starts.__getitem__)
    reach = accumulate(map(ends.__getitem__, order), max)
    meets = list(map(gt, reach, map(starts.__getitem__, islice(order, 1, None))))
    clusters: list[list[int]] = []
    last = -2
    for index in (index for index, hit in enumerate(meets) if hit):
        if index > last + 1:
            clusters.append([order[index]])
        clusters[-1].append(order[index + 1])
        last = index
    return [part for cluster in clusters for part in _by_device(cluster, addresses)]


def _by_device(cluster: list[int], addresses: AddressIntervals) -> list[list[int]]:
    """Equal addresses on different devices are not the same memory."""
    parts: dict[Any, list[int]] = {}
    for interval in cluster:
        parts.setdefault(addresses.device(addresses.owner(interval)), []).append(interval)
    return [part for part in parts.values() if len(part) > 1]


def _compare(cluster: list[int], addresses: AddressIntervals) -> list[Shared]:
    """What the tensors of a cluster have in common, byte for byte."""
    first = cluster[0]
    start, end = addresses.starts[first], addresses.ends[first]
    if not addresses.pieces and all(
        addresses.starts[each] == start and addresses.ends[each] == end for each in cluster
    ):
        if not addresses.owners:
            return [Shared(tuple(sorted(cluster)), end - start, whole=True)]
        slots = tuple(sorted({addresses.owner(each) for each in cluster}))
        whole = all(addresses.n_bytes(slot) == end - start for slot in slots)
        return [Shared(slots, end - start, whole=whole)] if len(slots) > 1 else []
    sites: dict[tuple[int, byte_ranges.Dims, int], set[int]] = {}
    for interval in cluster:
        start, dims, run, owner = addresses.piece(interval)
        sites.setdefault((start, dims, run), set()).add(owner)
    owners = list(sites.values())
    pieces = [byte_ranges.ByteRanges(*site, index) for index, site in enumerate(sites)]
    together: Counter[tuple[int, ...]] = Counter()
    for indices, n_bytes in byte_ranges.coverage(pieces).items():
        having = {slot for index in indices for slot in owners[index]}
        if len(having) > 1:
            together[tuple(sorted(having))] += n_bytes
    return [
        Shared(slots, n_bytes, whole=all(addresses.n_bytes(slot) == n_bytes for slot in slots))
        for slots, n_bytes in together.items()
    ]


def _connected(shared: list[Shared]) -> list[list[Shared]]:
    """What hangs together through common slots, in the order of the first slots."""
    found = byte_ranges.components(each.slots for each in shared)
    group_of = {slot: index for index, slots in enumerate(found) for slot in slots}
    groups: dict[int, list[Shared]] = {}
    for each in shared:
        groups.setdefault(group_of[each.slots[0]], []).append(each)
    return list(groups.values())


def _group(scan: ModelScan, addresses: AddressIntervals, shared: list[Shared]) -> SlotGroup:
    if addresses.owners and len(shared) > 1:
        shared = _joined(shared, addresses)
    slots = tuple(sorted({slot for each in shared for slot in each.slots}))
    shared_bytes = sum(_whole_bytes(addresses, each.slots[0]) if each.whole else each.n_bytes for each in shared)
    values = [scan.slot_values[slot] for slot in slots]
    kind: TieKind
    if all(value is values[0] for value in values):
        kind = "object"
    elif any(len(each.slots) < len(slots) or not each.whole for each in shared) and not _all_in_all(
        addresses, slots, shared
    ):
        kind = "overlap"
    elif len({addresses.geometry(slot) for slot in slots}) == 1:
        kind = "storage"
    else:
        kind = "view"
    return SlotGroup(kind, slots, tuple(shared), shared_bytes)


def _joined(shared: list[Shared], addresses: AddressIntervals) -> list[Shared]:
    """What the same slots share in several components, as one."""
    sizes: dict[tuple[int, ...], int] = {}
    for each in shared:
        sizes[each.slots] = sizes.get(each.slots, 0) + each.n_bytes
    return [
        Shared(slots, n_bytes, whole=all(addresses.n_bytes(slot) == n_bytes for slot in slots))
        for slots, n_bytes in sizes.items()
    ]


def _whole_bytes(addresses: AddressIntervals, slot: int) -> int:
    """The bytes of a tensor: the whole's where it is a shard, and those it will have where it has none yet."""
    tensor = addresses.tensors[slot]
    n_bytes = addresses.n_bytes_to_be(slot)
    if n_bytes and id(type(tensor)) in ORDINARY:
        return n_bytes
    held = holder_of(tensor)
    return held.n_elements * tensor.element_size() if held is not None and held.kind == "shard" else n_bytes


def _all_in_all(addresses: AddressIntervals, slots: tuple[int, ...], shared: list[Shared]) -> bool:
    """Whether every slot has the same bytes, in however many components."""
    common = sum(each.n_bytes for each in shared if each.slots == slots)
    return all(addresses.n_bytes(slot) == common for slot in slots)
