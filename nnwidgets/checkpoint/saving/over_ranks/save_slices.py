"""A save of ranks into safetensors files: each writes its slices where they belong, and all of them the checksums.

The files are, to the byte, those that one process would write which had all of it. Of tensors that are cut across their
rows no rank has bytes that lie one after the other; so when all are written, each rank reads some whole tensors for the
checksums that the headers state, which the first rank writes last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xxhash

from nnwidgets.checkpoint.formats.crc32 import crc32
from nnwidgets.checkpoint.formats.safetensors import crc_metadata
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.saving.here import check_alone, folder_of, place
from nnwidgets.checkpoint.saving.layout import FORMAT, aliases_of, flat_dict, with_aliases
from nnwidgets.checkpoint.saving.over_ranks.runs import read_part, write_part
from nnwidgets.checkpoint.saving.over_ranks.shares import Share, does, left_to_others, shares_of, told
from nnwidgets.checkpoint.saving.over_ranks.turn import Turn
from nnwidgets.checkpoint.saving.save_code import safetensors_recipes
from nnwidgets.checkpoint.saving.shards import index_of, shard_names, shards_of
from nnwidgets.checkpoint.saving.target import INDEX
from nnwidgets.checkpoint.saving.verify import check_structure, digest_of_all
from nnwidgets.checkpoint.writing import safetensors_file
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, check_space, sync, write_all
from nnwidgets.checkpoint.writing.hashing_stream import BUFFER_BYTES, DIGEST
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave
from nnwidgets.errors import SaveError


@dataclass(frozen=True, slots=True)
class _File:
    """One of the files.

    Attributes:
        layout: Its header, and the order of its tensors.
        named: Its tensors, of the whole's sizes and without data.
        begins: Where each begins.
        aliases: Names left out of it, and the ones they are found under.
    """

    layout: safetensors_file.Layout
    named: Mapping[str, TensorToSave]
    begins: Mapping[str, int]
    aliases: Mapping[str, str]


def save_slices(turn: Turn) -> dict[str, Any]:
    """Save what ranks hold together into one safetensors file, or several and their index.

    Args:
        turn: This rank's part.

    Returns:
        The report, as JSON.

    Raises:
        RankMissingError: A rank is missing, or can't; nothing was saved.
        RanksDisagreeError: They would save different things.
        SaveError: Nothing was saved, and why.
        OSError: A file can't be written.
    """
    steps, target = turn.steps, turn.target
    check_alone(target, turn.asked)
    shares = shares_of(flat_dict(target, turn.contents).items(), is_first=steps.is_first)
    removed = _removed(shares)
    files = _files(shares, removed, target.shard_size)
    ties = ", ".join(f"{name} = {of}" for name, of in removed.items())
    said = steps.compare(does(shares, ties), pieces=told(shares))
    temps: list[TempFile] = []
    if steps.is_first:
        others = left_to_others(said, shares)
        folder = folder_of(target, turn.stack, overwrite=turn.asked.overwrite)
        check_space(folder, sum(each.layout.n_bytes for each in files), target.path)
        temps = [turn.stack.enter_context(folder.create_temp(target.mode)) for _ in files]
        for temp, file in zip(temps, files, strict=True):
            os.ftruncate(temp.fd, file.layout.n_bytes)
        steps.say("begin", {"files": [each.path.name for each in temps], "others": others})
    begun = steps.hear("begin")
    left = set(begun["others"].get(str(steps.me), ()))
    mine = _by_file(files, (share for index, share in enumerate(shares) if share.is_here and index not in left))
    versions = turn.versions()
    tick = turn.tick(sum(share.n_bytes for each in mine for share in each))
    parts = list(zip(begun["files"], files, mine, strict=True))
    with steps.at_work():
        digests = [_pass_over(turn, *each, tick, is_written=True) for each in parts]
    total = f"{DIGEST}:{xxhash.xxh3_128(b''.join(digests)).hexdigest()}"
    steps.say("written", {"digest": total, "warnings": versions.warnings()})
    written = steps.hear_all("written") if steps.is_first else {}
    if steps.is_first:
        steps.say("all written", True)
    steps.hear("all written")
    with steps.at_work():
        # Not before: what others wrote beside a slice, in the same page, may have gone over it.
        if turn.asked.verify and digests != [_pass_over(turn, *each, tick, is_written=False) for each in parts]:
            raise SaveError(
                f"{target.path.name} was read back with other bytes than were written.",
                path=str(target.path),
                hint="The disk or its driver changed it; save elsewhere. Nothing was changed.",
            )
        sums = _sums(turn, begun["files"], files)
    steps.say("sums", sums)
    if steps.is_first:
        _give_names(turn, folder, temps, files, written)
    return steps.hear_end()


def _removed(shares: Sequence[Share]) -> dict[str, str]:
    """Names that aren't written, and the ones that they are found under."""
    groups: dict[str, list[str]] = {}
    for share in shares:
        groups.setdefault(share.of, []).append(share.name)
    made: dict[str, str] = {}
    for members in groups.values():
        made |= aliases_of(members)
    return made


def _files(shares: Sequence[Share], removed: Mapping[str, str], shard_size: int | None) -> list[_File]:
    kept = {share.name: _whole(share) for share in shares if share.name not in removed}
    made = []
    for named, aliases in with_aliases([kept] if shard_size is None else shards_of(kept, shard_size), removed):
        layout = safetensors_file.layout(named, FORMAT | aliases)
        begins, at = {}, len(layout.header)
        for name in layout.order:
            begins[name] = at
            at += _n_bytes(named[name])
        made.append(_File(layout, named, begins, aliases))
    return made


def _whole(share: Share) -> TensorToSave:
    whole = torch.empty(share.part.shape, dtype=share.data.dtype, device="meta")
    return TensorToSave(share.name, whole, whole)


def _n_bytes(tensor: TensorToSave) -> int:
    return tensor.data.numel() * tensor.data.element_size()


def _by_file(files: Sequence[_File], shares: Iterable[Share]) -> list[list[Share]]:
    """Of each file those of some shares that are in it; names that aren't written are in none."""
    of = {name: number for number, file in enumerate(files) for name in file.named}
    made: list[list[Share]] = [[] for _ in files]
    for share in shares:
        if share.name in of:
            made[of[share.name]].append(share)
    return made


def _pass_over(turn: Turn, name: str, file: _File, here: Sequence[Share], tick: Tick, *, is_written: bool) -> bytes:
    """Write this rank's slices of a file, or read them back; gives their digest, nothing where there are none."""
    if not here:
        return b""
    digest = xxhash.xxh3_128()
    with turn.open(name) as fd:
        for share in here:
            (write_part if is_written else read_part)(fd, file.begins[share.name], share, digest, tick)
        if is_written:
            sync(fd)
    return digest.digest()


def _sums(turn: Turn, names: Sequence[str], files: Sequence[_File]) -> list[tuple[int, int, int]]:
    """The checksums of this rank's share of the whole tensors: file, place in its order, CRC-32."""
    ranks, me = turn.steps.ranks, turn.steps.ranks.index(turn.steps.me)
    total = sum(file.layout.n_bytes - len(file.layout.header) for file in files)
    done, made = 0, []
    for number, (name, file) in enumerate(zip(names, files, strict=True)):
        own = []
        for at, each in enumerate(file.layout.order):
            n_bytes = _n_bytes(file.named[each])
            whose = min((2 * done + n_bytes) * len(ranks) // (2 * max(total, 1)), len(ranks) - 1)
            done += n_bytes
            if whose == me:
                own.append((at, file.begins[each], n_bytes))
        if own:
            with turn.open(name) as fd:
                made += [(number, at, _crc32(fd, begin, n, turn.steps.beat)) for at, begin, n in own]
    return made


def _crc32(fd: int, begin: int, n_bytes: int, beat: Any) -> int:
    held = memoryview(bytearray(min(4 * BUFFER_BYTES, max(n_bytes, 1))))
    made = 0
    for start in range(0, n_bytes, len(held)):
        n = os.preadv(fd, [held[: min(len(held), n_bytes - start)]], begin + start)
        made = crc32(held[:n], made)
        beat()
    return made


def _give_names(
    turn: Turn, folder: TargetDirectory, temps: list[TempFile], files: Sequence[_File], written: Mapping[int, Any]
) -> None:
    """As the first rank: write the headers when all else is there, and give the files their names."""
    steps, target = turn.steps, turn.target
    sums: list[dict[int, int]] = [{} for _ in files]
    for each in steps.hear_all("sums").values():
        for number, at, found in each:
            sums[number][at] = found
    removed = {alias: of for file in files for alias, of in file.aliases.items()}
    digests = [each["digest"] for each in written.values()]
    with steps.at_work():
        for temp, file, found in zip(temps, files, sums, strict=True):
            header = crc_metadata.fill_in(file.layout.header, [found[at] for at in range(len(found))])
            _write_at_the_beginning(temp, header)
            digests.append(f"{DIGEST}:{xxhash.xxh3_128(header).hexdigest()}")
            sync(temp.fd)
            expected = [(name, each.data.dtype, tuple(each.data.shape)) for name, each in file.named.items()]
            check_structure(temp.path, expected, target.path)
    paths: tuple[Path, ...] = (target.path,)
    warnings = [*turn.given.state.warnings, *turn.contents.warnings]
    if target.format == "sharded":
        names = shard_names(len(files))
        temps.append(turn.stack.enter_context(folder.create_temp()))
        write_all(temps[-1].fd, index_of([file.named for file in files], names))
        paths = tuple(target.path / name for name in (*names, INDEX))
    size_bytes = sum(os.fstat(temp.fd).st_size for temp in temps)
    steps.settle()
    with steps.telling(), steps.at_work():
        warnings += place(folder, target, temps, paths, overwrite=turn.asked.overwrite)
    warnings += turn.by_rank({rank: each["warnings"] for rank, each in written.items()})
    report = turn.told(
        safetensors_recipes(replace(turn.facts, removed=removed)),
        paths=list(map(str, paths)),
        size_bytes=size_bytes,
        digest=digest_of_all(digests),
        warnings=warnings,
        ties=list(removed.items()),
    )
    steps.end(report)


def _write_at_the_beginning(temp: TempFile, header: bytes) -> None:
    done = 0
    while done < len(header):
        done += os.pwrite(temp.fd, header[done:], done)
