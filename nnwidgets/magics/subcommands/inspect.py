"""From a path, glob or class on the line to the one thing of the model that it means."""

from __future__ import annotations

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import exact_count, inert
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.patterns import match
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.magics.line.grammar import LineError, cut

_MOST_LISTED = 3


def find_one(tree: ModuleTree, target: str) -> ModuleNode | TensorEntry:
    """Return the module or tensor at ``target``; the model itself for ``""``.

    Raises:
        LineError: If nothing is there, or a glob or class means several.
    """
    if not target:
        return tree.root
    try:
        return tree.find(target)
    except InvalidTargetError as error:
        missing: PathNotFoundError | InvalidTargetError = error
    except PathNotFoundError as error:
        missing = error
    try:
        found = match(tree, target, words=False).paths
    except InvalidTargetError as error:
        raise LineError(_line_of(error)) from None
    if len(found) == 1:
        return tree.find(found[0])
    if not found:
        raise LineError(_line_of(missing)) from None
    shown = ", ".join(inert(path, 80) for path in found[:_MOST_LISTED])
    more = f" and {exact_count(len(found) - _MOST_LISTED)} more" if len(found) > _MOST_LISTED else ""
    raise LineError(f"{cut(target)} is ambiguous, it means {shown}{more}; name one of them.")


def _line_of(error: PathNotFoundError | InvalidTargetError) -> str:
    return inert(str(error), 500)
