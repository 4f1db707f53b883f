"""The tensor that a request names, found once: `inspect`, `stats`, `values` and `depth` all work on a `LiveTensor`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.safe_access.lookup import get
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import gradient_of, unreadable_reason
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import Of

_MAX_NAMED = 5


@dataclass(frozen=True)
class LiveTensor:
    """A tensor of the model, or its gradient.

    Attributes:
        path: As the request has it.
        entry: What the tree says of the tensor.
        tensor: The live one.
        of: Whether that is the tensor itself or its gradient.
    """

    path: str
    entry: TensorEntry
    tensor: Any
    of: Of = "value"

    @cached_property
    def unreadable(self) -> str | None:
        """Why its data can't be read, or None where it can."""
        return unreadable_reason(self.tensor)

    def part(self, of: Of) -> LiveTensor:
        """Return the tensor itself or its gradient.

        Raises:
            RequestError: `unreadable`: it has no gradient.
        """
        if of == self.of:
            return self
        with no_torch_function():
            gradient = gradient_of(self.tensor)
        if gradient is None:
            raise RequestError(
                "unreadable",
                f"{inert(self.path)} has no gradient: .grad is None.",
                path=self.path,
                hint="Run backward first.",
            )
        return replace(self, tensor=gradient, of=of)

    def readable(self) -> Any:
        """Return the live tensor.

        Raises:
            RequestError: `unreadable`.
        """
        if self.unreadable is not None:
            raise RequestError("unreadable", f"{inert(self.path)} can't be read: {self.unreadable}.", path=self.path)
        return self.tensor


def live_tensor(session: Session, path: str) -> LiveTensor:
    """Find the tensor at a path.

    Raises:
        PathNotFoundError: Nothing is there.
        InvalidTargetError: A module is.
    """
    index = session.index()
    place = index.place(path)
    if place.entry is None:
        raise not_a_tensor(index, path, place.row)
    return LiveTensor(path, place.entry, get(session.module, path))


def not_a_tensor(index: TreeIndex, path: str, row: int) -> InvalidTargetError:
    """The error for a module where a tensor was asked for."""
    names = [entry.path for entry in index.nodes[row].tensors[:_MAX_NAMED]]
    return InvalidTargetError(
        f"{inert(path)!r} is a module, expected a tensor.",
        path=path,
        hint=f"Its tensors are {', '.join(map(repr, names))}." if names else "It has no tensors of its own.",
    )
