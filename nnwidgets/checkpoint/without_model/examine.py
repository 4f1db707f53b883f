"""Every tensor of a file, one after the other: its numbers, and what of it looks wrong."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import xxhash

from nnwidgets.checkpoint.description import Described, Strided, distinct_storages
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.formats.file import memory_of
from nnwidgets.checkpoint.peek import index_of, named_tensors
from nnwidgets.checkpoint.records import CheckpointIndex
from nnwidgets.checkpoint.state_dict import find
from nnwidgets.checkpoint.without_model.file_module import form_of
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted, exact_count, short_bytes, some
from nnwidgets.introspect.checks import worst_first
from nnwidgets.introspect.records import Finding, Findings, Record, Severity, TensorStats
from nnwidgets.introspect.statistics.stats import stats

_N_BINS = 16
_FEWEST = 16
"""Elements of a tensor from which on another of the same bits is no chance."""

_MOST_NAMED = 6
_MOST_GROUPS = 50


@dataclass(frozen=True, slots=True)
class FileReport(Record):
    """What is in a file, numbers and all.

    Attributes:
        index: What its header says.
        numbers: Statistics of each tensor by name: of the state dict, and of what lies beside it.
        findings: What looks wrong, the worst first.
    """

    index: CheckpointIndex
    numbers: Mapping[str, TensorStats]
    findings: Findings


def examine(
    path: str | os.PathLike[str], *, entry: str | None = None, keep: Callable[[str], bool] | None = None
) -> FileReport:
    """Read a file tensor by tensor, with the memory of one: its numbers, and what can be found wrong without a model.

    Checksums are compared first, where the format keeps them or ``NAME.sha256`` lies beside it. Nothing in it runs.

    Args:
        path: A checkpoint of any format that `peek` knows.
        entry: Which state dict of it; the largest that isn't called an average where None.
        keep: Asked of each name; what it refuses isn't read.

    Returns:
        The report. Found are ``nan-or-inf`` (an error where there is a NaN: masks are made of infinities),
        ``not-as-its-format``, and, as notes, ``all-zero``, ``same-bits`` under several names without being one tensor,
        ``shared-bytes`` and ``not-read``.

    Raises:
        PathNotFoundError: There is no such file, or no state dict called ``entry``.
        UnsafeCheckpointError: It would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> file = tempfile.mkdtemp() + "/x.safetensors"
        >>> save_file({"w": torch.tensor([1.0, float("nan")])}, file)
        >>> [(each.code, each.path) for each in examine(file).findings]
        [('nan-or-inf', 'w')]
    """
    with open_checkpoint(path) as held:
        chosen = find(held, entry=entry)
        index = index_of(held, chosen)
        tensors, rest = named_tensors(held, chosen)
        named = {name: each for name, each in {**rest, **tensors}.items() if keep is None or keep(name)}
        held.verify_files()
        held.verify(distinct_storages(named.values()).values())
        seen = _Seen()
        for name, described in named.items():
            seen.look(name, described, held)
    found = worst_first((*seen.findings(), *_shared(index, named), *map(_departure, index.departures)))
    numbers = {name: seen.numbers[name] for name in named if name in seen.numbers}
    return FileReport(index, MappingProxyType(numbers), Findings(found))


class _Seen:
    """What was seen of the tensors so far."""

    def __init__(self) -> None:
        self.numbers: dict[str, TensorStats] = {}
        self._found: list[Finding] = []
        self._zeros: list[str] = []
        self._unread: defaultdict[str, list[str]] = defaultdict(list)
        self._names: defaultdict[Any, list[str]] = defaultdict(list)
        self._first_names: dict[Any, str] = {}

    def look(self, name: str, described: Described, held: CheckpointReader) -> None:
        """Look at one; at what lies under another name too, once."""
        first = self._first_names.setdefault(form_of(described), name)
        if first != name:
            if first in self.numbers:
                self.numbers[name] = self.numbers[first]
            return
        n_bytes = described.n_elements * described.dtype.itemsize
        if isinstance(described, Strided) and n_bytes > described.storage.n_bytes:
            self._unread["it repeats the bytes that it has in the file"].append(name)
            return
        tensor = held.tensor(described)
        try:
            found = stats(tensor, bins=_N_BINS)
        except InvalidTargetError as error:
            self._unread[error.message.rstrip(".")].append(name)
            return
        self.numbers[name] = found
        if found.n_nan or found.n_inf:
            self._found.append(_odd_numbers(name, found))
        if len(described.shape) > 1 and 0 < found.n == found.n_zero:
            # A bias of zeros is how most begin.
            self._zeros.append(name)
        is_told_apart = found.n >= _FEWEST and found.min < found.max
        if is_told_apart and isinstance(described, Strided) and described.is_run and described.quantizer is None:
            bits = xxhash.xxh3_128_digest(memory_of(tensor))
            self._names[bits, described.shape, described.dtype].append(name)

    def findings(self) -> Iterator[Finding]:
        """What was found."""
        yield from self._found
        if self._zeros:
            yield Finding("all-zero", "note", self._zeros[0], f"Nothing but zeros: {some(self._zeros, _MOST_NAMED)}.")
        groups = [names for names in self._names.values() if len(names) > 1]
        for names in groups[:_MOST_GROUPS]:
            told = some(names, _MOST_NAMED)
            yield Finding(
                "same-bits", "note", names[0], f"The same bits are stored {counted(len(names), 'time')}: {told}."
            )
        if len(groups) > _MOST_GROUPS:
            more = f"{counted(len(groups) - _MOST_GROUPS, 'more group')} of tensors: the same bits within each."
            yield Finding("same-bits", "note", groups[_MOST_GROUPS][0], more)
        for why, names in self._unread.items():
            yield Finding("not-read", "note", names[0], f"Not looked at, since {why}: {some(names, _MOST_NAMED)}.")


def _odd_numbers(name: str, found: TensorStats) -> Finding:
    counts = ((found.n_nan, "NaN"), (found.n_inf, "infinite"))
    told = " and ".join(f"{exact_count(n)} {what}" for n, what in counts if n)
    severity: Severity = "error" if found.n_nan else "warning"
    return Finding("nan-or-inf", severity, name, f"{told} of {counted(found.n, 'element', exact_count)}.")


def _shared(index: CheckpointIndex, named: Mapping[str, Any]) -> Iterator[Finding]:
    groups = [each for each in index.ties if any(name in named for name in each.members)]
    for group in groups[:_MOST_GROUPS]:
        told = some(group.members, _MOST_NAMED)
        yield Finding("shared-bytes", "note", group.members[0], f"{told} share {short_bytes(group.shared_bytes)}.")
    if len(groups) > _MOST_GROUPS:
        more = f"{counted(len(groups) - _MOST_GROUPS, 'more group')} of names: shared bytes within each."
        yield Finding("shared-bytes", "note", groups[_MOST_GROUPS].members[0], more)


def _departure(said: str) -> Finding:
    return Finding("not-as-its-format", "warning", "", said)
