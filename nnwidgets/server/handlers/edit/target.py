"""Which tensors a request that changes something means: `initializers`, `preview`, `init`, `freeze` and `unfreeze`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted, inert
from nnwidgets.server.rows.filter import matches
from nnwidgets.server.rows.row_body import own_name
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.schema.changes import ScopeBody

_MATRIX = 2
_MOST_NAMED = 4_000


@dataclass(frozen=True)
class ResolvedTarget:
    """What a request's target comes to.

    Attributes:
        scope: The model as read for a change.
        paths: The target as the functions of `nnwidgets.edit` take it.
        places: The tensors meant, in walk order.
        is_modules: Whether ``paths`` names whole modules.
    """

    scope: ChangeScope
    paths: list[str]
    places: list[TensorTarget]
    is_modules: bool

    @property
    def weights(self) -> list[TensorTarget]:
        """Those with units: of two dimensions or more."""
        return [place for place in self.places if is_weight(place)]


def is_weight(place: TensorTarget) -> bool:
    """Return whether a tensor has rows, so that they may differ."""
    return len(place.entry.shape or ()) >= _MATRIX


def resolve_target(session: Session, body: Mapping[str, Any]) -> ResolvedTarget:
    """Find what a body with a target means.

    Raises:
        PathNotFoundError: Nothing is at its path.
        InvalidTargetError: It means no tensor, or too many to be named one by one.
    """
    index, scope = session.index(), ChangeScope(session.module)
    paths = body["paths"] if "paths" in body else _paths(index, body)
    places = scope.places(paths)
    if body.get("scope") == "filter":
        places = [place for place in places if place.entry.role == "parameter"]
    only = body.get("only", "all")
    if only != "all":
        places = [place for place in places if is_weight(place) is (only == "weights")]
    if not places:
        what = {"weights": "weight of two or more dimensions", "vectors": "vector"}.get(only, "parameter")
        raise InvalidTargetError(f"There is no {what} there.", path=body["path"], hint="Choose other tensors.")
    is_whole = only == "all" and body.get("scope") != "filter"
    named = paths if is_whole else [place.path for place in places]
    if len(named) > _MOST_NAMED:
        raise InvalidTargetError(
            f"These are {counted(len(named), 'tensor')}, more than {_MOST_NAMED:,}.", hint="Choose a part."
        )
    return ResolvedTarget(scope, named, places, is_whole and not any(path in index.tensor_at for path in paths))


def paths_meant(session: Session, body: Mapping[str, Any]) -> list[str]:
    """What a body with a target means, as the functions of `nnwidgets.edit` take it, over ranks too.

    Raises:
        PathNotFoundError: Nothing is at its path.
        InvalidTargetError: It means no tensor, or too many to be named one by one.
        RankMissingError: No rank answers, or one can't.
    """
    if session.over_ranks is None:
        return resolve_target(session, body).paths
    replies, _ = session.ask(lambda model: model.ask("target", target=target_for_ranks(session, body)))
    return list(replies[min(replies)]["paths"])


def target_for_ranks(session: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """A body with a target as ranks are asked about it: what fold and filter mean is known here."""
    kept = {key: body[key] for key in ("path", "scope", "only") if key in body}
    return {**kept, "paths": _paths(session.index(), body)}


def scopes(session: Session, body: Mapping[str, Any], scope: ChangeScope) -> list[ScopeBody]:
    """Return the scopes that a path offers, each with how many tensors it means."""
    index, path = session.index(), body["path"]
    place = index.place(path)
    noun = "this tensor" if place.entry is not None else "this module" if path else "the whole model"
    made: list[ScopeBody] = [{"scope": "here", "label": noun, "n_tensors": _n(scope, [path])}]
    found = index.fold_around(place.row)
    if found is not None:
        members = found[1]
        label = f"all {len(members)}, {own_name(index, members[0])} to {own_name(index, members[-1])}"
        made.append({"scope": "fold", "label": label, "n_tensors": _n(scope, _paths(index, {**body, "scope": "fold"}))})
    return made + scope_of_filter(index, body)


def scope_of_filter(index: TreeIndex, body: Mapping[str, Any]) -> list[ScopeBody]:
    """Return the scope that the filter is, where there is one."""
    if not body.get("filter", "").strip() and not body.get("chips"):
        return []
    n_kept = len(matches(index, body.get("filter", ""), frozenset(body.get("chips", ()))).tensors)
    return [{"scope": "filter", "label": "all rows of the filter", "n_tensors": n_kept}]


def _n(scope: ChangeScope, paths: list[str]) -> int:
    try:
        return len(scope.places(paths))
    except InvalidTargetError:
        return 0


def _paths(index: TreeIndex, body: Mapping[str, Any]) -> list[str]:
    path, scope = body["path"], body.get("scope", "here")
    if scope == "filter":
        return _filter_paths(index, body.get("filter", ""), frozenset(body.get("chips", ())))
    place = index.place(path)
    if scope == "here":
        return [path]
    found = index.fold_around(place.row)
    if found is None:
        raise InvalidTargetError(f"{inert(path)!r} is in no fold.", path=path, hint="Choose it alone.")
    member, members = found
    below = path[len(index.nodes[member].path) :]
    return [index.nodes[each].path + below for each in members]


def _filter_paths(index: TreeIndex, text: str, chips: frozenset[str]) -> list[str]:
    found = matches(index, text, chips)
    if found.problem is not None:
        raise InvalidTargetError(found.problem, hint="Mend the filter.")
    if found.n > _MOST_NAMED or not found.n:
        raise InvalidTargetError(
            f"The filter keeps {counted(found.n, 'row')}.", hint="Write one that keeps some, not all."
        )
    return [
        *(index.nodes[number].path for number in sorted(found.nodes) if index.n_tensors[number]),
        *(index.tensors[number].path for number in sorted(found.tensors)),
    ]
