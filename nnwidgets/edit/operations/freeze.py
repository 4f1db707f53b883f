"""Parameters that stop, or start, asking for gradients."""

from __future__ import annotations

from torch import nn

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe, expressions
from nnwidgets.edit.over_ranks.agreement import on_all_ranks
from nnwidgets.edit.targets import ChangeScope, Target, TensorTarget
from nnwidgets.edit.transaction import Plan, commit
from nnwidgets.edit.undo_copy.undo import Flag
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import some
from nnwidgets.introspect.checks.training import norms_that_move
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.keywords import advises


def _in_a_list(message: str, *_: object) -> InvalidTargetError:
    return InvalidTargetError(message, hint='Several targets go into one list: ["0", "2.bias"].')


@advises(_in_a_list)
@over_handles
@on_all_ranks
def freeze(module: nn.Module, target: Target) -> Change:
    """Stop parameters from asking for gradients; what is in ``.grad`` stays there.

    Args:
        module: The model.
        target: As for `init`; tensors that are no parameters are left out, with a warning.

    Returns:
        The change, undoable.

    Raises:
        PathNotFoundError: ``target`` names nothing.
        InvalidTargetError: It names no parameter.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> freeze(net, "0")
        Change(freeze: 0.weight, 0.bias)
        >>> net[0].weight.requires_grad
        False
    """
    return _set(module, target, asks=False)


@advises(_in_a_list)
@over_handles
@on_all_ranks
def unfreeze(module: nn.Module, target: Target) -> Change:
    """Let parameters ask for gradients again.

    Args:
        module: The model.
        target: As for `freeze`.

    Returns:
        The change, undoable.

    Raises:
        PathNotFoundError: ``target`` names nothing.
        InvalidTargetError: It names no parameter, or one of integers, which has no gradient.
    """
    return _set(module, target, asks=True)


@gc_paused()
def _set(module: nn.Module, target: Target, *, asks: bool) -> Change:
    model = ChangeScope(module)
    verb = "unfreeze" if asks else "freeze"
    named = model.places(target)
    places = _distinct([place for place in named if place.entry.role == "parameter"])
    others = [place.path for place in named if place.entry.role != "parameter"]
    if not places:
        raise InvalidTargetError(
            f"{others[0]} is no parameter, so there is nothing to {verb}.", path=others[0], hint="Name parameters."
        )
    for place in places:
        if asks and not place.entry.dtype.startswith(("float", "bfloat", "complex")):
            raise InvalidTargetError(
                f"{place.path} is {place.entry.dtype}; only floating point and complex tensors have gradients.",
                path=place.path,
                hint="Leave it frozen.",
            )
        if not place.tensor.is_leaf:
            raise InvalidTargetError(
                f"{place.path} is computed from other tensors.", path=place.path, hint=f"{verb.title()} those."
            )
    warnings = [f"{', '.join(others[:3])}: no parameter, left as it is."] if others else []
    warnings += model.passed_over
    if not asks:
        warnings += _moving(model, {id(place.tensor) for place in places})
    ties = model.ties_of(places)
    separate = [tie.path for tie in ties if tie.relation != "object"]
    if separate:
        warnings.append(
            f"{', '.join(separate[:3])} shares bytes with {ties[0].of} but is a tensor of its own, and keeps its flag."
        )
    asked = "True" if asks else "False"

    def code() -> Recipe:
        written = expressions(model.module)
        lines = (f"{written.code(place.path)}.requires_grad_({asked})" for place in places)
        return Recipe(tuple(lines), ())

    plan = Plan(
        kind="unfreeze" if asks else "freeze",
        label=verb,
        places=places,
        plains=[],
        ties=tuple(tie for tie in ties if tie.relation == "object"),
        code=code,
        warnings=warnings,
        flags=[Flag(place.path, place.tensor, after=asks) for place in places],
    )
    return commit(model, plan)


def _moving(model: ChangeScope, frozen: set[int]) -> list[str]:
    """Say which norms go on changing: in train mode, with running statistics, in a part all of which is frozen."""
    scan = model.live.scan
    rows = norms_that_move(scan, frozen)
    if not rows:
        return []
    names = some([scan.path(row) or "the model" for row in rows], _MOST_NAMED)
    code = ExpressionWriter(model.module, "net").code(scan.path(rows[0]))
    if len(rows) == 1:
        said = f"{names} is in train mode: each forward goes on changing its running statistics, until {code}.eval()."
    else:
        said = (
            f"{names} are in train mode: each forward goes on changing their running statistics, until each is in eval "
            f"mode, the first by {code}.eval()."
        )
    return [said]


_MOST_NAMED = 3


def _distinct(places: list[TensorTarget]) -> list[TensorTarget]:
    found: dict[int, TensorTarget] = {}
    for place in places:
        found.setdefault(id(place.tensor), place)
    return list(found.values())
