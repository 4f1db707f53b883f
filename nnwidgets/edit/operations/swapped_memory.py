"""Other memory under a model's tensors, for a while.

A tensor stays the object that everyone holds, hooks and all; only where its bytes lie is changed, and its own bytes are
neither written nor, in this thread, read meanwhile. What shares bytes goes on sharing them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from nnwidgets.edit.operations.stand_ins import Scratch, runs_of
from nnwidgets.edit.undo_copy.threads import retry_until_complete
from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import counted, short_bytes
from nnwidgets.introspect.safe_access.exclusion import exclude_others
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.own_values import VALUES, VERSIONS
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.statistics.exact_stats import version

_keep_version: Any = torch.autograd._unsafe_preserve_version_counter  # type: ignore[attr-defined]  # noqa: SLF001 - torch offers no other way to take back a version
_lay: Any = torch.Tensor.data.__set__  # type: ignore[attr-defined] # a subclass may shadow it


class SwappedMemory:
    """A copy of the memory of some tensors, to be laid under them.

    Args:
        tensors: All that share bytes with one of them among them; plain strided or parameters.

    Raises:
        NNWidgetsError: There is no room for it.
    """

    def __init__(self, tensors: Sequence[Any]) -> None:
        distinct = list({id(each): each for each in tensors}.values())
        with torch.inference_mode(False), plain_torch():
            self._own = [(tensor, as_plain_tensor(tensor)) for tensor in distinct]
            try:
                self._scratch = Scratch(distinct)
            except (MemoryError, RuntimeError) as error:
                size = sum(run.last - run.first for run in runs_of(distinct))
                why = str(error) if type(error) is MemoryError and error.args else type(error).__name__
                raise NNWidgetsError(
                    f"There is no room for stand-ins of {counted(len(distinct), 'tensor')}, {short_bytes(size)} "
                    f"({why}); nothing was run.",
                    hint='Free memory, or compare block by block without steps, such as target="h.0": '
                    "what isn't named stays as it is.",
                ) from error
            self._others = [as_plain_tensor(self._scratch.of(tensor)) for tensor in distinct]

    @contextmanager
    def laid_under(self) -> Iterator[None]:
        """Inside, the tensors lie in the copy, which has the model's own values to begin with.

        Who reads them in another thread is given their own, as is said in `own_values`; who writes or runs them waits.
        """
        with exclude_others(id(tensor) for tensor, _ in self._own), self._swap():
            yield

    @contextmanager
    def _swap(self) -> Iterator[None]:
        keepers = [(tensor, _keep_version(tensor)) for tensor, _ in self._own]
        aside: list[int] = []

        def back() -> None:
            with torch.inference_mode(False), no_torch_function():
                for tensor, data in self._own:
                    _lay(tensor, data)
                for _, keeper in keepers:
                    keeper.__exit__(None, None, None)
            VERSIONS.take_back(aside)
            VALUES.take_back(aside)

        try:
            VERSIONS.put_aside([(tensor, version(tensor)) for tensor, _ in self._own], aside)
            VALUES.put_aside(self._own, [])
            with torch.inference_mode(False), no_torch_function():
                self._scratch.renew()
                for (tensor, _), other in zip(self._own, self._others, strict=True):
                    _lay(tensor, other)
            yield
        finally:
            retry_until_complete(back)


class Unguarded:
    """A guard of what needs none: stand-ins."""

    def before(self, part: torch.Tensor | None = None) -> None:
        """Keep nothing."""

    def fingerprint(self, address: int, n_bytes: int) -> bytes:  # noqa: ARG002 - a guard's signature
        """Know nothing."""
        return b""
