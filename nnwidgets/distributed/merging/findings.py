"""What the checks of several ranks found, made one, and what only a look at all of them can find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from nnwidgets.distributed.merging.trees import NOWHERE, disagreements
from nnwidgets.distributed.sources.source import Replies
from nnwidgets.formatting import counted, inert, rank_names, short_bytes
from nnwidgets.introspect.checks.findings import SingleFinding, findings, worst_first
from nnwidgets.introspect.records import Finding, Severity

_UNEVEN = 1.5

_Over = tuple[tuple[int, ...], SingleFinding]
"""What a look at several ranks finds, with the ranks that it is of."""


def merged(replies: Replies, name: str) -> tuple[Finding, ...]:
    """Make one list of findings of all ranks, the worst first.

    Args:
        replies: Of the ranks that answered, what `answering.answer` says of ``"check"``.
        name: The variable that the model is in, for the fixes.
    """
    alike: dict[Finding, list[int]] = {}
    for rank, reply in replies.items():
        for each in reply["findings"]:
            alike.setdefault(Finding(**{**each, "ranks": ()}), []).append(rank)
    local = [replace(found, ranks=tuple(ranks)) for found, ranks in alike.items()]
    over = [*_differing(replies, name), *_disagreeing(replies), *_other_code(replies), *_unsharded(replies, name)]
    over += [*_uneven(replies), *_unreduced(replies)]
    return worst_first((*_found(over), *local))


def _found(singles: Iterable[_Over]) -> Iterator[Finding]:
    """Findings with their ranks, like ones of the same ranks folded."""
    by_ranks: dict[tuple[int, ...], list[SingleFinding]] = {}
    for ranks, single in singles:
        by_ranks.setdefault(ranks, []).append(single)
    for ranks, each in by_ranks.items():
        for found in findings(each):
            yield replace(found, ranks=ranks)


def _differing(replies: Replies, name: str) -> Iterator[_Over]:
    """Replicas that differ, and parts that should differ and don't."""
    held: dict[str, dict[int, tuple[tuple[int, ...], str, bool]]] = {}
    for rank, reply in replies.items():
        for path, (part, digest, varied) in reply["parts"].items():
            held.setdefault(path, {})[rank] = tuple(part), digest, varied
    first = next(iter(replies.values()))
    facts, in_group = first["facts"], first["is_group"]
    for row, (path, by_rank) in enumerate(held.items()):
        replicas: dict[tuple[int, ...], dict[str, list[int]]] = {}
        for rank, (part, digest, _) in by_rank.items():
            replicas.setdefault(part, {}).setdefault(digest, []).append(rank)
        is_buffer = facts.get(path, "").startswith("buffer")
        for part, digests in replicas.items():
            if len(digests) > 1:
                odd = _odd(digests)
                every, has = rank_names(chain(*digests.values())), "has" if len(odd) == 1 else "have"
                message = f"It should be the same on {every}, and {rank_names(odd)} {has} other values."
                which = f"{name}.get_{'buffer' if is_buffer else 'parameter'}({path!r})"
                source = max(digests.values(), key=len)[0]
                fix = f"torch.distributed.broadcast({which}.data, src={source})" if in_group and not part else None
                severity: Severity = "note" if is_buffer else "warning"
                yield odd, SingleFinding("replicas-differ", severity, row, path, message, fix)
        parts = {part: digest for part, digest, _ in by_rank.values()}
        if len(parts) > 1 and len({*parts.values()}) == 1 and all(varied for _, _, varied in by_rank.values()):
            where = f"{counted(len(parts), 'part')} on {rank_names(by_rank)}"
            message = f"Its {where} are bit for bit the same, as if drawn from one seed."
            yield tuple(by_rank), SingleFinding("equal-shards", "warning", row, path, message)


def _odd(said: Mapping[str, list[int]]) -> tuple[int, ...]:
    """The ranks that aren't with the most; where as many say otherwise, those that aren't with the first."""
    most = max(said.values(), key=len)
    return tuple(sorted(rank for ranks in said.values() if ranks is not most for rank in ranks))


def _disagreeing(replies: Replies) -> Iterator[_Over]:
    """Names that mean different things on different ranks."""
    if len({reply["digest"] for reply in replies.values()}) == 1:
        return
    for row, (path, said) in enumerate(disagreements({rank: reply["facts"] for rank, reply in replies.items()})):
        there = {what: ranks for what, ranks in said.items() if what != NOWHERE}
        if len(there) == 1:
            (ranks,) = there.values()
            message = f"It is on {rank_names(ranks)} only, as a stage of a pipeline is."
            yield tuple(ranks), SingleFinding("ranks-disagree", "note", row, path, message)
        else:
            words = "; ".join(f"{inert(what, 80)} on {rank_names(ranks)}" for what, ranks in said.items())
            message = f"The ranks have different things here: {words}."
            yield _odd(said), SingleFinding("ranks-disagree", "error", row, path, message)


def _other_code(replies: Replies) -> Iterator[_Over]:
    """Classes whose forward is other code on some ranks; of ranks of one Python, since each compiles in its own way."""
    said: dict[str, dict[str, dict[str, list[int]]]] = {}
    for rank, reply in replies.items():
        for name, forward in reply["forwards"].items():
            python, _, digest = forward.partition(" ")
            said.setdefault(name, {}).setdefault(python, {}).setdefault(digest, []).append(rank)
    for name, by_python in said.items():
        for digests in by_python.values():
            if len(digests) > 1:
                odd = _odd(digests)
                facts = enumerate(replies[odd[0]]["facts"].items())
                row, path = next((row, path) for row, (path, fact) in facts if fact.startswith(f"{name}, "))
                every = rank_names(chain(*digests.values()))
                one, runs = f"The forward of {inert(name, 80)}", "runs" if len(odd) == 1 else "run"
                message = (
                    f"{one} isn't the same code on {every}: {rank_names(odd)} {runs} another. Restart them from the "
                    "same files."
                )
                yield odd, SingleFinding("ranks-disagree", "error", row, path, message)


def _ranks_of(replies: Replies, said: str) -> dict[str, list[int]]:
    """The ranks that name each of the paths in one of their lists."""
    ranks: dict[str, list[int]] = {}
    for rank, reply in replies.items():
        for path in reply[said]:
            ranks.setdefault(path, []).append(rank)
    return ranks


def _unsharded(replies: Replies, name: str) -> Iterator[_Over]:
    for row, (path, ranks) in enumerate(_ranks_of(replies, "unsharded").items()):
        at = f"{name}.get_submodule({path!r})" if path else name
        message = "FSDP keeps its parameters whole since the last forward."
        yield tuple(ranks), SingleFinding("unsharded", "note", row, path, message, f"{at}.reshard()")


def _unreduced(replies: Replies) -> Iterator[_Over]:
    for row, (path, ranks) in enumerate(_ranks_of(replies, "unreduced").items()):
        message = "Each rank has a summand of its values (Partial), not the values: they are the sum over the ranks."
        yield tuple(ranks), SingleFinding("partial-parameter", "warning", row, path, message)


def _uneven(replies: Replies) -> Iterator[_Over]:
    held = {rank: int(reply["local_bytes"]) for rank, reply in replies.items()}
    least, most = min(held, key=held.__getitem__), max(held, key=held.__getitem__)
    if held[most] > _UNEVEN * held[least]:
        sizes = f"{short_bytes(held[most])} of the model, rank {least} {short_bytes(held[least])}"
        yield (most,), SingleFinding("uneven-memory", "note", 0, "", f"Rank {most} holds {sizes}.")
