"""The weights that a comparison is about where nothing else is said."""

from __future__ import annotations

from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect import paths
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.safe_access.objects import type_name

_MATRIX = 2
_FLOATS = ("float", "bfloat", "complex")
_NO_WEIGHTS = ("bias", "embed", "pos", "token")
"""What parts of names say that a parameter of two dimensions isn't multiplied with an input."""


def default_targets(model: ChangeScope) -> list[str]:
    """The weights that a comparison is about where nothing else is said, in walk order.

    These are parameters of two dimensions or more that an input is multiplied by: not those of norms and embeddings,
    nor what is tied to these, no biases, no tables of positions, no single row or column as the lengths of weight norm
    are. Frozen ones are left out where others aren't.

    Raises:
        InvalidTargetError: There are none.
    """
    parameters = [entry for entry in model.tree.tensors if entry.role == "parameter"]
    of_embeddings = {entry.tie for entry in parameters if "embedding" in _class_of_holder(model, entry)} - {None}
    found = [entry for entry in parameters if entry.tie not in of_embeddings and _is_weight(model, entry)]
    found = [entry for entry in found if entry.requires_grad] or found
    if not found:
        raise InvalidTargetError(
            "The model has no weight that an initializer could fill: no parameter of two dimensions or more, "
            "embeddings and norms aside.",
            hint="Name a target.",
        )
    return [entry.path for entry in found]


def _is_weight(model: ChangeScope, entry: TensorEntry) -> bool:
    shape = entry.shape or ()
    if len(shape) < _MATRIX or shape[0] <= 1 or entry.n_elements <= shape[0] or not entry.dtype.startswith(_FLOATS):
        return False
    holder, name = _class_of_holder(model, entry), entry.path.lower().partition(".parametrizations.")[2]
    name = name or paths.last(entry.path).lower()
    return not any(each in holder for each in ("embedding", "norm")) and not any(each in name for each in _NO_WEIGHTS)


def _class_of_holder(model: ChangeScope, entry: TensorEntry) -> str:
    owner, _, inside = entry.path.partition(".parametrizations.")
    return type_name(type(model.live.modules.get(owner if inside else paths.parent(entry.path)))).lower()
