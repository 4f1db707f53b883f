"""What of a file goes to modules with code of their own: by the names that these have for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nnwidgets.checkpoint.description import Described, tensors_in
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.own_code.parts import OwnCode, part_of
from nnwidgets.checkpoint.state_dict import StateDictLocation, versions_in
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import InvalidTargetError


class Given(NamedTuple):
    """What they are given.

    Attributes:
        parts: The modules by path.
        values: What the file has for each, described, by name.
        versions: What the file says of modules, by path in the model.
        sources: The name in the file of each name that they are given.
    """

    parts: Mapping[str, OwnCode]
    values: dict[OwnCode, dict[str, Any]]
    versions: dict[str, Any]
    sources: dict[str, str]

    @property
    def tensors(self) -> list[Described]:
        """All tensors within the values."""
        return [each for held in self.values.values() for _, each in tensors_in(list(held.values()))]


def given_to(
    parts: Mapping[str, OwnCode],
    scope: ChangeScope,
    held: CheckpointReader,
    found: StateDictLocation,
    names: Mapping[str, str],
    *,
    strict: bool,
) -> Given:
    """Share out a file's state dict.

    Args:
        parts: The modules by path.
        scope: The model.
        held: The file.
        found: Its state dict.
        names: What each name in it is called in the model.
        strict: Whether a module that the file has nothing for is loaded too, and will say so.

    Raises:
        InvalidTargetError: A tensor of one of the modules is on the meta device.
    """
    made = Given(parts, {part: {} for part in parts.values()}, {}, {})
    if not parts:
        return made
    # How safetensors says that names are tied: by the one that holds the bytes.
    ties = {name: kept for name, kept in held.metadata.items() if name not in names and kept in found.tensors}
    for name, path in (*names.items(), *((kept, name) for name, kept in ties.items())):
        part = part_of(path, parts)
        if part is not None and path not in made.sources:
            made.sources[path] = name
            made.values[part][path] = found.tensors[name] if name in found.tensors else found.others[name]
    for part, values in list(made.values.items()):
        if not values and not strict:
            del made.values[part]
        else:
            _check_has_data(scope, part)
    made.versions.update(versions_by_path(versions_in(held, found), names))
    return made


def _check_has_data(scope: ChangeScope, part: OwnCode) -> None:
    """Make sure that torch can copy into a module's tensors."""
    for entry in scope.tensors_below([part.path]) if part.path in scope.live.modules else ():
        if entry.device == "meta":
            raise InvalidTargetError(
                f"{entry.path} is on the meta device, and {part} loads it by its own code, which copies into memory.",
                path=entry.path,
                hint='Give the model memory first: net.to_empty(device="cpu").',
            )


def versions_by_path(versions: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of modules, by paths in the model.

    Args:
        versions: By names of modules in the file.
        names: From names in the file to those in the model.

    Example:
        >>> versions_by_path({"module": {"version": 1}, "module.0": {"version": 2}}, {"module.0.weight": "0.weight"})
        {'': {'version': 1}, '0': {'version': 2}}
    """
    made: dict[str, str] = {}
    for source, path in names.items():
        if source != path:
            theirs, ours = source.split(".")[:-1], path.split(".")[:-1]
            while theirs:
                made.setdefault(".".join(theirs), ".".join(ours))
                if not ours or theirs[-1] != ours[-1]:
                    break
                theirs.pop()
                ours.pop()
    plain = {key: value for key, value in versions.items() if isinstance(key, str) and _is_plain_dict(value)}
    return {made.get(key, key): value for key, value in plain.items()}


def _is_plain_dict(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif not isinstance(each, str | int | float | None):
            return False
    return isinstance(value, dict)
