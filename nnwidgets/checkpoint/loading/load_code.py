"""A load as Python that uses torch alone, or safetensors for its files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.loading.layouts.conversions import code as conversion_code
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
    has_optimizer: bool,
) -> Recipe:
    """The same load.

    Args:
        model: It.
        held: The file.
        found: Its parts.
        plan: What was planned.
        entries: What was loaded.
        has_optimizer: Whether an optimizer's state was.
    """
    lines, imports = _reading_lines(held, found)
    sourced = [entry for entry in entries if entry.source is not None]
    paths = [str(entry.path) for entry in sourced]
    is_plain = all(entry.path == entry.source for entry in sourced) and plan.is_exact
    if is_plain and not any("[" in path for path in paths) and _is_torchs(model, paths):
        lines.append(f"{NET}.load_state_dict(state)")
    else:
        lines.append("with torch.no_grad():")
        code = expressions(model.module).code
        lines += [f"    {code(path)}.copy_({_value(entry)})" for path, entry in zip(paths, sourced, strict=True)]
        imports.append("import torch")
    if has_optimizer:
        lines += _optimizer(held, found)
    return Recipe(tuple(lines), tuple(dict.fromkeys(imports)))


def _value(entry: PlanEntry) -> str:
    """What the state has for a tensor, as the model wants it."""
    value = f"state[{entry.source!r}]"
    return value if entry.conversion is None else conversion_code(value, entry.conversion)


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
