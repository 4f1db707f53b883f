"""A file's names as modules and parameters, so that all that reads, shows and plans for a model does so for it.

A file says what its tensors are called and how large they are, and nothing of classes: each group of names that begin
alike is a `group`, the whole is called after the file's format. Nor does it say what was a parameter: floating-point
tensors are taken for such, but for the running statistics of norms.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from nnwidgets.checkpoint.description import Described, Strided, distinct_storages
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.peek import named_tensors
from nnwidgets.checkpoint.state_dict import find
from nnwidgets.errors import CorruptCheckpointError
from nnwidgets.formatting import inert, shape_text

_MOST_DEPTH = 100
_MOST_GROUPS = 300_000
"""Beyond either a name stays whole: a small file may say that there are more than memory holds."""

_LONG = 18
_STATISTICS = frozenset({"running_mean", "running_var"})
GROUP = "group"
"""What is called the class of names that begin alike."""

_Group = type(GROUP, (nn.Module,), {"__doc__": "Names of a file that begin alike."})


def file_module(
    path: str | os.PathLike[str],
    *,
    entry: str | None = None,
    most_read: float = 0,
    keep: Callable[[str], bool] | None = None,
) -> nn.Module:
    """Make modules of a file's names: its tensors are at their names, all else is plain.

    Args:
        path: A checkpoint of any format that `peek` knows.
        entry: Which state dict of it; the largest that isn't called an average where None.
        most_read: Bytes of the largest file of which the tensors are read, checksums compared first. Otherwise they are
            on the meta device, which has none, and only the header is read.
        keep: Asked of each name.

    Raises:
        PathNotFoundError: There is no such file, or no state dict called ``entry``.
        UnsafeCheckpointError: It would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> file = tempfile.mkdtemp() + "/mlp.safetensors"
        >>> save_file({"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(3)}, file)
        >>> made = file_module(file)
        >>> type(made).__name__, made.get_submodule("0").weight.shape
        ('safetensors', torch.Size([3, 2]))
    """
    with open_checkpoint(path) as held:
        named, _ = named_tensors(held, find(held, entry=entry))
        # How safetensors says that names are tied: by the one that holds the bytes.
        tied = {name: kept for name, kept in held.metadata.items() if name not in named and kept in named}
        names = {**{name: name for name in named}, **tied}
        wanted = {name: named[of] for name, of in names.items() if keep is None or keep(name)}
        with_values = held.size_bytes <= most_read
        if with_values:
            held.verify_files()
            held.verify(distinct_storages(wanted.values()).values())
        made: nn.Module = type(held.format, (nn.Module,), {"__doc__": "The names of a file."})()
        for (place, key), tensor in zip(_places(made, wanted), _tensors(held, wanted, with_values), strict=True):
            is_parameter = type(tensor) is nn.Parameter and key not in _STATISTICS
            registry: Any = place._parameters if is_parameter else place._buffers  # noqa: SLF001 - a name may be any text
            registry[key] = tensor if is_parameter else tensor.detach()
        _sort_numbers(made)
        return made


def _places(made: nn.Module, names: Mapping[str, Any]) -> Iterator[tuple[nn.Module, str]]:
    """The group that each name is in, and what it is called there."""
    n_groups = 0
    for name in names:
        place: Any = made
        parts = name.split(".", _MOST_DEPTH)
        while len(parts) > 1:
            below = place._modules.get(parts[0])  # noqa: SLF001 - as above
            if below is None:
                if n_groups == _MOST_GROUPS:
                    break
                n_groups += 1
                below = place._modules[parts[0]] = _Group()  # noqa: SLF001 - as above
            place = below
            del parts[0]
        yield place, ".".join(parts)


def _sort_numbers(made: nn.Module) -> None:
    """Have groups whose names are numbers in the order of these: some formats sort names as text."""
    waiting: list[Any] = [made]
    while waiting:
        modules = waiting.pop()._modules  # noqa: SLF001 - as above
        waiting.extend(modules.values())
        if all(key.isdecimal() and len(key) < _LONG for key in modules):
            for key in sorted(modules, key=int):
                modules[key] = modules.pop(key)


def _tensors(held: CheckpointReader, named: Mapping[str, Described], with_values: bool) -> Iterator[torch.Tensor]:
    """The tensors, in order; names of the same elements get the same one."""
    storages: dict[str, torch.Tensor] = {}
    known: dict[Any, torch.Tensor] = {}
    for name, described in named.items():
        form = form_of(described)
        if form not in known:
            tensor = held.tensor(described, storages) if with_values else _without_values(held, name, described)
            is_parameter = (tensor.is_floating_point() or tensor.is_complex()) and not tensor.is_quantized
            known[form] = nn.Parameter(tensor) if is_parameter else tensor
        yield known[form]


def form_of(described: Described) -> Any:
    """What descriptions of the same elements have in common."""
    if not isinstance(described, Strided):
        return id(described)
    turned = described.is_conjugated, described.is_negated
    return described.storage.key, described.first, described.shape, described.strides, described.dtype, turned


def _without_values(held: CheckpointReader, name: str, described: Described) -> torch.Tensor:
    layout = torch.strided if isinstance(described, Strided) else getattr(torch, described.layout)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that quantized dtypes will go
            return torch.empty(described.shape, dtype=described.dtype, layout=layout, device="meta")
    except (RuntimeError, TypeError):
        raise CorruptCheckpointError(
            f"{held.path.name} says that {inert(name)} has the shape {shape_text(described.shape)}, which no tensor of "
            "its kind has.",
            path=str(held.path),
        ) from None
