"""Changes and histories of one rank as JSON, and those of all ranks made one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.edit import Change, History
from nnwidgets.edit.change import Numbers
from nnwidgets.edit.code import Recipe
from nnwidgets.edit.targets import Tie
from nnwidgets.errors import RanksDisagreeError
from nnwidgets.formatting import counted, inert

Said = dict[str, Any]


def to_json(change: Change) -> Said:
    """A change as JSON."""
    return {
        "label": change.label,
        "kind": change.kind,
        "paths": list(change.paths),
        "seed": None if change.seed is None else str(change.seed),
        "warnings": [str(each) for each in change.warnings],
        "time": change.time,
        "n_elements": change.n_elements,
        "ties": [[tie.path, tie.of, tie.relation] for tie in change.ties],
        "outcome": change.outcome,
        "is_preview": change.is_preview,
        "lines": list(change._recipe.lines),  # noqa: SLF001 - its text, with the model's name left open
        "imports": list(change._recipe.imports),  # noqa: SLF001 - the same
    }


def merged(told: Mapping[int, Mapping[str, Any]]) -> Change:
    """One record of what ranks did, without statistics.

    Args:
        told: By rank, what `to_json` says.
    """
    each = [told[rank] for rank in sorted(told)]
    first = each[0]
    return Change(
        label=first["label"],
        kind=first["kind"],
        paths=tuple(dict.fromkeys(path for change in each for path in change["paths"])),
        seed=None if first["seed"] is None else int(first["seed"]),
        warnings=tuple(dict.fromkeys(text for change in each for text in change["warnings"])),
        time=first["time"],
        n_elements=max(change["n_elements"] for change in each),
        ties=tuple(Tie(*tie) for tie in first["ties"]),
        is_preview=first["is_preview"],
        _recipe=Recipe(tuple(first["lines"]), tuple(first["imports"])),
        _numbers=Numbers(lambda _: {}, lambda _: {}),
        _outcome=first["outcome"],
        ranks=tuple(sorted(told)),
        world_size=len(told),
    )


def history_to_json(history: History) -> Said:
    """A rank's history."""
    return {
        "changes": [to_json(each) for each in history.changes],
        "undone": [to_json(each) for each in history.undone],
        "n_dropped": history.n_dropped,
        "bytes": [history.kept_bytes, history.budget_bytes, history.marked_bytes],
    }


def merged_history(told: Mapping[int, Mapping[str, Any]]) -> History:
    """The history that ranks have in common; undo copies are those of all together.

    Raises:
        RanksDisagreeError: They have done different things.
    """
    first = min(told)
    for rank, each in told.items():
        if _steps(each) != _steps(told[first]):
            raise RanksDisagreeError(
                f"Rank {first} has {_in_words(told[first])}, rank {rank} {_in_words(each)}.",
                hint="Undo on each rank what it did alone: below %%px, %nn log net shows it.",
            )
    changes, undone = (
        tuple(merged({rank: each[name][at] for rank, each in told.items()}) for at in range(len(told[first][name])))
        for name in ("changes", "undone")
    )
    kept, budget, marked = (sum(each["bytes"][at] for each in told.values()) for at in range(3))
    return History(changes, undone, max(each["n_dropped"] for each in told.values()), kept, budget, marked)


def _steps(told: Mapping[str, Any]) -> list[list[Any]]:
    return [[(each["label"], each["kind"], each["seed"]) for each in told[name]] for name in ("changes", "undone")]


def _in_words(told: Mapping[str, Any]) -> str:
    done: Sequence[Mapping[str, Any]] = told["changes"]
    last = f", the last one {inert(done[-1]['label'], 80)}" if done else ""
    return f"{counted(len(done), 'change')} in its history{last}"
