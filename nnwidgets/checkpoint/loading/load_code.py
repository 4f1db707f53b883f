"""A load as Python that uses torch alone, or safetensors for its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.records import LoadPlan, PlanEntry
from nnwidgets.checkpoint.state_dict import StateDictLocation, saved_entries
from nnwidgets.edit.code import NET, Recipe, expressions, optimizer_name
from nnwidgets.edit.targets import ChangeScope


def recipe(
    model: ChangeScope,
    held: CheckpointReader,
    found: StateDictLocation,
    plan: LoadPlan,
    entries: Sequence[PlanEntry],
    *,
    given: Mapping[str, str] | None,
    versions: Mapping[str, Any],
    is_strict: bool,
    has_optimizer: bool,
) -> Recipe:
    """The same load.

    Args:
        model: It.
        held: The file.
        found: Its parts.
        plan: What was planned.
        entries: What was loaded.
        given: Where modules have code of their own: the name in the file of each name that torch is to be given.
        versions: What the file says of modules, by path in the model.
        is_strict: Whether neither side had names left over.
        has_optimizer: Whether an optimizer's state was.
    """
    lines, imports = _reading_lines(held, found)
    sourced = [entry for entry in entries if entry.source is not None]
    paths = [str(entry.path) for entry in sourced]
    is_plain = all(entry.path == entry.source for entry in sourced) and plan.is_exact
    if given is not None:
        lines += _through_torch(given, versions, is_strict=is_strict)
    elif is_plain and not any("[" in path for path in paths) and _is_torchs(model, paths):
        lines.append(f"{NET}.load_state_dict(state)")
    else:
        lines.append("with torch.no_grad():")
        code = expressions(model.module).code
        lines += [
            f"    {code(path)}.copy_(state[{entry.source!r}]{_reshaped(entry)})"
            for path, entry in zip(paths, sourced, strict=True)
        ]
        imports.append("import torch")
    if has_optimizer:
        lines += _optimizer(held, found)
    if any("OrderedDict" in line for line in lines):
        imports.append("from collections import OrderedDict")
    return Recipe(tuple(lines), tuple(dict.fromkeys(imports)))


def _reshaped(entry: PlanEntry) -> str:
    """What takes the one element that a file has for a scalar."""
    return "[0]" if entry.shape == () and entry.source_shape == (1,) else ""


def _through_torch(given: Mapping[str, str], versions: Mapping[str, Any], *, is_strict: bool) -> list[str]:
    """Lines that hand ``state`` to ``load_state_dict``, under the model's names and without what isn't loaded."""
    lines = []
    if any(name != source for name, source in given.items()):
        body = [f"    {name!r}: {source!r}," for name, source in given.items()]
        lines += ["names = {", *body, "}"]
        lines += ["state = OrderedDict((name, state[source]) for name, source in names.items())"]
        if versions:
            body = [f"    {path!r}: {said!r}," for path, said in versions.items()]
            lines += ["state._metadata = {", *body, "}"]
    elif not is_strict:
        body = [f"    {name!r}," for name in given]
        lines += ["names = {", *body, "}", "for name in [name for name in state if name not in names]:"]
        lines += ["    del state[name]"]
    return [*lines, f"{NET}.load_state_dict(state)" if is_strict else f"{NET}.load_state_dict(state, strict=False)"]


def _is_torchs(model: ChangeScope, paths: Sequence[str]) -> bool:
    """Whether these are all the tensors that torch would ask for."""
    return not model.tree.ties and {*paths} == saved_entries(model.tree).keys()


def _reading_lines(held: CheckpointReader, found: StateDictLocation) -> tuple[list[str], list[str]]:
    """Lines that bind ``state``, and what they import."""
    path = str(held.path)
    if held.format == "safetensors":
        return [f"state = load_file({path!r})"], ["from safetensors.torch import load_file"]
    if held.format == "sharded":
        names = sorted({file.path.name for file in held.files if file.path.suffix != ".json"})
        folder = str(held.files[0].path.parent)
        is_torch = not all(name.endswith(".safetensors") for name in names)
        call = (
            'torch.load(folder / name, map_location="cpu", weights_only=True)' if is_torch
            else "load_file(folder / name)"
        )  # fmt: skip
        lines = [
            f"folder = Path({folder!r})",
            "state = {}",
            f"for name in {json.dumps(names)}:",
            f"    state.update({call})",
        ]
        return lines, [
            "from pathlib import Path",
            "import torch" if is_torch else "from safetensors.torch import load_file",
        ]
    if held.format == "distributed":
        return [
            "checkpoint = {}",
            f"reader = FileSystemReader({path!r})",
            "_load_state_dict(checkpoint, reader, planner=_EmptyStateDictLoadPlanner(), no_dist=True)",
            _pick_line(found),
        ], [
            "from torch.distributed.checkpoint import FileSystemReader",
            "from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner",
            "from torch.distributed.checkpoint.state_dict_loader import _load_state_dict",
        ]  # fmt: skip
    lines = [f'checkpoint = torch.load({path!r}, map_location="cpu", weights_only=True)']
    return [*lines, _pick_line(found)], ["import torch"]


def _optimizer(held: CheckpointReader, found: StateDictLocation) -> list[str]:
    """Lines that load the optimizer's state."""
    saved, key = found.optimizer, found.optimizer_key
    if held.format == "distributed" and all(str(each).isdigit() for each in saved["state"]):
        # A distributed checkpoint writes numbers as text.
        return [
            f"saved = checkpoint[{key!r}]",
            'saved["state"] = {int(number): state for number, state in saved["state"].items()}',
            f"{optimizer_name(0)}.load_state_dict(saved)",
        ]
    return [f"{optimizer_name(0)}.load_state_dict(checkpoint[{key!r}])"]


def _pick_line(found: StateDictLocation) -> str:
    return f"state = checkpoint[{found.key!r}]" if found.key else "state = checkpoint"
