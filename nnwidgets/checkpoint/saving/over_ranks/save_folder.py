"""A save of ranks into a folder of ``torch.distributed.checkpoint``: a data file of each, named by the first."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from nnwidgets.checkpoint.formats.torch.distributed import METADATA
from nnwidgets.checkpoint.saving.here import folder_of
from nnwidgets.checkpoint.saving.over_ranks.distributed_folder import (
    Piece,
    Written,
    flattened,
    longest,
    metadata_of,
    read_back,
    write_data,
)
from nnwidgets.checkpoint.saving.over_ranks.shares import Share, does, left_to_others, shares_of, told
from nnwidgets.checkpoint.saving.over_ranks.turn import Turn
from nnwidgets.checkpoint.saving.save_code import folder_recipes
from nnwidgets.checkpoint.saving.shards import commit
from nnwidgets.checkpoint.saving.verify import digest_of_all, verify
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, check_space, sync
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter


def save_folder(turn: Turn) -> dict[str, Any]:
    """Save what ranks hold together into a folder.

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
    tensors, values, paths = flattened(turn.contents.tree)
    shares = shares_of(tensors.items(), is_first=steps.is_first)
    own_values = values if steps.is_first else {}
    n_bytes = longest([share for share in shares if share.is_here], own_values)
    said = steps.compare(does(shares, sorted(values)), pieces=told(shares), n_bytes=n_bytes)
    temps: dict[int, TempFile] = {}
    if steps.is_first:
        others = left_to_others(said, shares)
        folder = folder_of(target, turn.stack, overwrite=turn.asked.overwrite)
        check_space(folder, sum(each["n_bytes"] for each in said.values()), target.path)
        busy = [rank for rank, each in said.items() if len(each["pieces"]) > len(others.get(rank, ()))]
        busy = sorted({*busy, steps.first}) if values else busy
        temps = {rank: turn.stack.enter_context(folder.create_temp()) for rank in busy}
        steps.say("begin", {rank: [temp.path.name, others.get(rank, [])] for rank, temp in temps.items()})
    begun = steps.hear("begin").get(str(steps.me))
    versions = turn.versions()
    places: dict[str, Piece] = {}
    digests: list[str] = []
    if begun is not None:
        name, left = begun[0], set(begun[1])
        mine = [share for index, share in enumerate(shares) if share.is_here and index not in left]
        tick = turn.tick(n_bytes)
        with turn.open(name) as fd, steps.at_work():
            places, digests = write_data(fd, mine, own_values, tick)
            sync(fd)
            if turn.asked.verify:
                read_back(fd, places.values(), digests, target.path.name, tick)
    of = {share.name: share for share in shares}
    placed = [(of[name], at) for name, at in places.items() if name in of]
    parts = [[share.name, share.offsets, share.part.local_shape, astuple(at)] for share, at in placed]
    rest = [[name, astuple(at)] for name, at in places.items() if name not in of]
    steps.say("written", {"parts": parts, "rest": rest, "digests": digests, "warnings": versions.warnings()})
    if steps.is_first:
        _give_names(turn, folder, temps, shares, paths)
    return steps.hear_end()


def _give_names(
    turn: Turn,
    folder: TargetDirectory,
    temps: Mapping[int, TempFile],
    shares: Sequence[Share],
    paths: Mapping[str, tuple[Any, ...]],
) -> None:
    """As the first rank: write ``.metadata`` when all have written theirs, and have the folder be this checkpoint."""
    steps, path = turn.steps, turn.target.path
    written = steps.hear_all("written")
    save_id = secrets.token_hex(8)
    names = {rank: f"__{rank}_{save_id}_0.distcp" for rank in temps}
    tensors: dict[str, list[Written]] = {}
    values: dict[str, tuple[str, Piece]] = {}
    for rank, each in written.items():
        for name, offsets, sizes, at in each["parts"]:
            part = Written(names[rank], tuple(offsets), tuple(sizes), Piece(*at))
            tensors.setdefault(name, []).append(part)
        values |= {name: (names[rank], Piece(*at)) for name, at in each["rest"]}
    index = turn.stack.enter_context(folder.create_temp())
    out = HashingWriter(index.fd)
    out.write(metadata_of(shares, tensors, values, paths, save_id))
    digest = out.finish()
    verify(index.path, digest, None, path / METADATA)
    steps.settle()
    with steps.telling(), steps.at_work():
        size_bytes = sum(os.fstat(each.fd).st_size for each in [*temps.values(), index])
        left, warnings = commit(
            folder,
            list(temps.values()),
            list(names.values()),
            index,
            overwrite=turn.asked.overwrite,
            index_name=METADATA,
        )
    if left:
        warnings.append(f"Old files couldn't be removed: {', '.join(left)}.")
    by_rank = turn.by_rank({rank: each["warnings"] for rank, each in written.items()})
    report = turn.told(
        folder_recipes(turn.facts),
        paths=[str(path / each) for each in (*names.values(), METADATA)],
        size_bytes=size_bytes,
        digest=digest_of_all([one for each in written.values() for one in each["digests"]] + [digest]),
        warnings=[*turn.given.state.warnings, *turn.contents.warnings, *by_rank, *warnings],
        ties=[(share.name, share.of) for share in shares if share.of != share.name],
    )
    steps.end(report)
