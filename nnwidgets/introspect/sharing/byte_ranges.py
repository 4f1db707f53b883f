"""Which bytes belong to whom: exact, for strided tensors of any size, without listing their elements.

A tensor's bytes are a `ByteRanges`: a run of consecutive bytes, repeated by dimensions of a count and a stride. Those
that may meet are laid over a common period, cut at its borders, and compared within one period for each range of
periods in which the same ones take part; what is inside a period has a dimension less. Strides without a common period
that fits are taken apart copy by copy: at most about √(2 · extent) of them, since a long period means long strides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Dims = tuple[tuple[int, int], ...]
"""Count and stride in bytes of each dimension, the largest stride first, counts above 1."""


class ByteRanges(NamedTuple):
    """Bytes of one owner.

    Attributes:
        start: First address.
        dims: How the run repeats.
        run: Consecutive bytes.
        owner: Whose they are.
    """

    start: int
    dims: Dims
    run: int
    owner: int


def piece(address: int, shape: Sequence[int], strides: Sequence[int], itemsize: int, owner: int) -> ByteRanges | None:
    """The bytes of a strided tensor; None where it has none.

    Args:
        address: Of its first element.
        shape: Its sizes.
        strides: In elements, none negative.
        itemsize: Bytes of an element.
        owner: Anything that tells it from others.

    Example:
        >>> piece(1000, (3, 4), (1, 3), 4, owner=0)  # a transposed matrix is one run
        ByteRanges(start=1000, dims=(), run=48, owner=0)
    """
    if 0 in shape:
        return None
    run = itemsize
    dims: list[tuple[int, int]] = []
    for stride, count in sorted((stride * itemsize, count) for stride, count in zip(strides, shape, strict=True)):
        if count == 1 or stride == 0:
            continue
        if not dims and stride <= run:
            run += (count - 1) * stride
        elif dims and stride % dims[-1][1] == 0 and stride <= dims[-1][0] * dims[-1][1]:
            inner_count, inner_stride = dims[-1]
            dims[-1] = ((count - 1) * (stride // inner_stride) + inner_count, inner_stride)
        else:
            dims.append((count, stride))
    return ByteRanges(address, tuple(reversed(dims)), run, owner)


def end(of: ByteRanges) -> int:
    """One past its last address."""
    return of.start + _extent(of.dims, of.run)


def n_bytes(of: ByteRanges) -> int:
    """How many distinct bytes it has."""
    if _is_nested(of.dims, of.run):
        return of.run * math.prod(count for count, _ in of.dims)
    return sum(coverage([of]).values())


class Interleaved(Exception):  # noqa: N818 - no fault: it takes longer than it is worth
    """Pieces lie through each other too finely to be told apart in the steps that were allowed."""


class _Found(Counter[frozenset[int]]):
    """Bytes by their owners; how many more pieces may be looked at for it."""

    n_left: float = math.inf


def coverage(pieces: Iterable[ByteRanges], *, most: float = math.inf) -> Counter[frozenset[int]]:
    """Bytes by the exact set of owners that have them.

    Args:
        pieces: Of the owners.
        most: Pieces with gaps that may be looked at, parts that they are cut into among them.

    Raises:
        Interleaved: That isn't enough.

    Example:
        >>> even, odd = piece(0, (4,), (2,), 4, owner=0), piece(4, (4,), (2,), 4, owner=1)
        >>> whole = piece(0, (8,), (1,), 4, owner=2)
        >>> sorted((sorted(owners), n) for owners, n in coverage([even, odd, whole]).items())
        [([0, 2], 16), ([1, 2], 16)]
    """
    found = _Found()
    found.n_left = most
    _cover(list(pieces), 1, found)
    return found


def connected(ranges: Iterable[ByteRanges], *, most: float = math.inf) -> list[tuple[int, ...]]:
    """Owners that have bytes in common, directly or through others: two or more a group, ordered by their first.

    All of ``ranges`` are taken for one memory: those of different devices are asked about apart. Runs without gaps,
    however many lie over each other, are grouped by one sweep. ``most`` is as in `coverage`, for each cluster.

    Example:
        >>> even, odd = piece(0, (4,), (2,), 4, owner=0), piece(4, (4,), (2,), 4, owner=1)
        >>> connected([even, odd, piece(32, (9,), (1,), 4, owner=2)])
        []
        >>> connected([even, odd, piece(24, (1,), (1,), 4, owner=2), piece(64, (9,), (1,), 4, owner=3)])
        [(0, 2)]
    """
    owners: dict[tuple[int, Dims, int], list[int]] = {}
    for start, dims, run, owner in ranges:
        owners.setdefault((start, dims, run), []).append(owner)
    groups = list(owners.values())
    firsts = [each[0] for each in groups]
    for cluster in clusters([ByteRanges(*site, index) for index, site in enumerate(owners)]):
        compared = [each for each in cluster if each.dims]
        for runs in clusters([each for each in cluster if not each.dims]):
            groups.append([firsts[each.owner] for each in runs])
            compared.append(runs[0]._replace(run=max(map(end, runs)) - runs[0].start))
        if len(compared) > 1:
            groups += ([firsts[index] for index in having] for having in coverage(compared, most=most))
    return [group for group in components(groups) if len(group) > 1]


def components(groups: Iterable[Iterable[int]]) -> list[tuple[int, ...]]:
    """Join groups that have members in common; sorted, and ordered by their first members.

    Example:
        >>> components([(3, 5), (1,), (0, 2), (5, 2)])
        [(0, 2, 3, 5), (1,)]
    """
    leaders: dict[int, int] = {}

    def leader(member: int) -> int:
        while leaders[member] != member:
            leaders[member] = member = leaders[leaders[member]]
        return member

    for group in groups:
        first = None
        for member in group:
            leaders.setdefault(member, member)
            first = leader(member) if first is None else first
            leaders[leader(member)] = first
    joined: dict[int, list[int]] = {}
    for member in sorted(leaders):
        joined.setdefault(leader(member), []).append(member)
    return [tuple(members) for members in joined.values()]


def _extent(dims: Dims, run: int) -> int:
    return run + sum((count - 1) * stride for count, stride in dims)


def _is_nested(dims: Dims, run: int) -> bool:
    extent = run
    for count, stride in reversed(dims):
        if stride < extent:
            return False
        extent += (count - 1) * stride
    return True


def _cover(pieces: list[ByteRanges], times: int, found: _Found) -> None:
    for cluster in clusters(pieces):
        only = cluster[0]
        if len(cluster) == 1 and _is_nested(only.dims, only.run):
            found[frozenset((only.owner,))] += times * only.run * math.prod(count for count, _ in only.dims)
        elif any(each.dims for each in cluster):
            _cover_periods(cluster, times, found)
        else:
            _cover_runs(cluster, times, found)


def clusters(pieces: list[ByteRanges]) -> list[list[ByteRanges]]:
    """Pieces whose hulls hang together."""
    made: list[list[ByteRanges]] = []
    reach = -1
    for each in sorted(pieces):
        if each.start >= reach:
            made.append([])
        made[-1].append(each)
        reach = max(reach, end(each))
    return made


def _cover_runs(runs: list[ByteRanges], times: int, found: Counter[frozenset[int]]) -> None:
    marks = sorted([(each.start, 1, each.owner) for each in runs] + [(end(each), -1, each.owner) for each in runs])
    active: Counter[int] = Counter()
    at = marks[0][0]
    for address, change, owner in marks:
        if address > at:
            owners = frozenset(active)
            if owners:
                found[owners] += times * (address - at)
            at = address
        active[owner] += change
        if not active[owner]:
            del active[owner]


def _cover_periods(cluster: list[ByteRanges], times: int, found: _Found) -> None:
    found.n_left -= len(cluster)
    if found.n_left < 0:
        raise Interleaved
    low = cluster[0].start
    extent = max(end(each) for each in cluster) - low
    period, apart = _period(cluster, extent)
    if apart:
        _cover(
            [part for each in cluster for part in (_copies(each) if _stride(each) == apart else (each,))], times, found
        )
        return
    laid = [part for each in cluster for part in _lay(each, low, period)]
    borders = sorted({first for first, _, _ in laid} | {first + count for first, count, _ in laid})
    starting: dict[int, list[int]] = {}
    for index, (first, _, _) in enumerate(laid):
        starting.setdefault(first, []).append(index)
    active: set[int] = set()
    for border, following in pairwise(borders):
        active = {index for index in active if laid[index][0] + laid[index][1] > border}
        active.update(starting.get(border, ()))
        if active:
            _cover([laid[index][2] for index in active], times * (following - border), found)


def _stride(of: ByteRanges) -> int:
    return of.dims[0][1] if of.dims else 0


def _copies(of: ByteRanges) -> list[ByteRanges]:
    (count, stride), *inner = of.dims
    return [ByteRanges(of.start + index * stride, tuple(inner), of.run, of.owner) for index in range(count)]


def _period(cluster: list[ByteRanges], extent: int) -> tuple[int, int]:
    """A period for all, or the stride whose pieces must be taken apart."""
    copies: Counter[int] = Counter()
    for each in cluster:
        if each.dims:
            copies[_stride(each)] += each.dims[0][0]
    largest, *others = sorted(copies, reverse=True)
    period = largest
    for stride in others:
        common = math.lcm(period, stride)
        if common != period and 2 * common > extent:
            return 0, min(largest, stride, key=copies.__getitem__)
        period = common
    return period, 0


def _lay(of: ByteRanges, low: int, period: int) -> list[tuple[int, int, ByteRanges]]:
    """The piece over periods from ``low``: first period, how many, and what is in each."""
    whole: list[tuple[ByteRanges, int]] = []
    if of.dims:
        (count, stride), *rest = of.dims
        inner = tuple(rest)
        per = period // stride
        full, left = divmod(count, per)
        if full:
            whole.append((ByteRanges(of.start, _with(per, stride, inner), of.run, of.owner), full))
        if left:
            whole.append((ByteRanges(of.start + full * period, _with(left, stride, inner), of.run, of.owner), 1))
    else:
        full, left = divmod(of.run, period)
        if full:
            whole.append((ByteRanges(of.start, (), period, of.owner), full))
        if left:
            whole.append((ByteRanges(of.start + full * period, (), left, of.owner), 1))
    laid: list[tuple[int, int, ByteRanges]] = []
    while whole:
        part, count = whole.pop()
        first, offset = divmod(part.start - low, period)
        here = part._replace(start=offset)
        if end(here) <= period:
            laid.append((first, count, here))
            continue
        before, after = _cut(here, period)
        laid.extend((first, count, each) for each in before)
        shift = low + first * period
        whole.extend((each._replace(start=each.start + shift), count) for each in after)
    return laid


def _with(count: int, stride: int, inner: Dims) -> Dims:
    return ((count, stride), *inner) if count > 1 else inner


def _cut(of: ByteRanges, at: int) -> tuple[list[ByteRanges], list[ByteRanges]]:
    """The piece before and from an address."""
    if end(of) <= at:
        return [of], []
    if of.start >= at:
        return [], [of]
    if not of.dims:
        left = ByteRanges(of.start, (), at - of.start, of.owner)
        return [left], [ByteRanges(at, (), end(of) - at, of.owner)]
    (count, stride), *rest = of.dims
    inner = tuple(rest)
    n_before = max(0, min(count, (at - of.start - _extent(inner, of.run)) // stride + 1))
    first_after = min(count, -((of.start - at) // stride))
    before, after = [], []
    if n_before:
        before.append(ByteRanges(of.start, _with(n_before, stride, inner), of.run, of.owner))
    for index in range(n_before, first_after):
        lefts, rights = _cut(ByteRanges(of.start + index * stride, inner, of.run, of.owner), at)
        before += lefts
        after += rights
    if first_after < count:
        start = of.start + first_after * stride
        after.append(ByteRanges(start, _with(count - first_after, stride, inner), of.run, of.owner))
    return before, after
