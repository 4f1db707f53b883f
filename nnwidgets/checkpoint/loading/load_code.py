"""A load as Python that uses torch alone, or safetensors for its files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nnwidgets.checkpoint.description import Step
from nnwidgets.checkpoint.entries import NOT_A_DICT, Part
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.loading.optimizer_state import LoadedState
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
    optimizer: LoadedState | None,
) -> Recipe:
    """The same load.

    Args:
        model: It.
        held: The file.
        found: Its parts.
        plan: What was planned.
        entries: What was loaded.
        optimizer: What was loaded into an optimizer.
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
        lines += [
            f"    {code(path)}.copy_(state[{entry.source!r}])" for path, entry in zip(paths, sourced, strict=True)
        ]
        imports.append("import torch")
    if optimizer is not None:
        lines += _optimizer_lines(held, optimizer)
        imports += [] if optimizer.file == held.path else ["import torch"]
    return Recipe(tuple(lines), tuple(dict.fromkeys(imports)))


def _is_torchs(model: ChangeScope, paths: Sequence[str]) -> bool:
    """Whether these are all the tensors that torch would ask for."""
    return not model.tree.ties and {*paths} == saved_entries(model.tree).keys()


def _reading_lines(held: CheckpointReader, found: StateDictLocation) -> tuple[list[str], list[str]]:
    """Lines that bind ``state``, and what they import."""
    path = str(held.path)
    if held.format == "safetensors":
        lines = [f"state = load_file({path!r})", *_pick_lines(found, "state")]
        return lines, ["from safetensors.torch import load_file"]
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
            *_pick_lines(found, "state"),
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
            *_pick_lines(found, "checkpoint"),
        ], [
            "import torch",
            "from torch.distributed.checkpoint import FileSystemReader",
            "from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner",
            "from torch.distributed.checkpoint.state_dict_loader import _load_state_dict",
        ]  # fmt: skip
    lines = [f'checkpoint = torch.load({path!r}, map_location="cpu", weights_only=True)']
    return [*lines, *_pick_lines(found, "checkpoint")], ["import torch"]


def _optimizer_lines(held: CheckpointReader, optimizer: LoadedState) -> list[str]:
    """Lines that load the optimizer's state."""
    lines, root = [], "checkpoint"
    if optimizer.file != held.path:
        lines, root = [f'saved = torch.load({str(optimizer.file)!r}, map_location="cpu", weights_only=True)'], "saved"
    saved = f"{root}{_steps_code(optimizer.steps)}"
    if optimizer.has_text_numbers:
        # A distributed checkpoint writes numbers as text.
        lines += [
            f"saved = {saved}",
            'saved["state"] = {int(number): state for number, state in saved["state"].items()}',
        ]
        saved = "saved"
    return [*lines, f"{optimizer_name(0)}.load_state_dict({saved})"]


def _pick_lines(found: StateDictLocation, root: str) -> list[str]:
    """Lines that bind ``state`` to the state dict in what was read."""
    first = found.parts[0] if found.parts else Part(())
    where = f"{root}{_steps_code(first.steps)}"
    if first.stripped:
        n = len(first.stripped)
        return [
            f"state = {{name[{n}:]: each for name, each in {where}.items() if name.startswith({first.stripped!r})}}"
        ]
    kept = f"isinstance(each, torch.Tensor) or name.endswith({NOT_A_DICT!r})"
    if len(found.parts) < _SEVERAL and not first.prefix:
        if first.is_mixed:
            return [f"state = {{name: each for name, each in {where}.items() if {kept}}}"]
        return [] if where == "state" else [f"state = {where}"]
    return [
        "state = {}",
        "for prefix, held in (",
        *(f"    ({part.prefix!r}, {root}{_steps_code(part.steps)})," for part in found.parts),
        "):",
        f"    state.update({{prefix + name: each for name, each in held.items() if {kept}}})",
    ]


def _steps_code(steps: Sequence[Step]) -> str:
    return "".join(f"[{key!r}]" for _, key in steps)


_SEVERAL = 2
