"""A load as Python that uses torch alone, or safetensors for its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nnwidgets.checkpoint.description import Step
from nnwidgets.checkpoint.entries import EXTRA_STATE, Part
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.loading.layouts.conversions import code as conversion_code
from nnwidgets.checkpoint.loading.optimizer_state import LoadedState
from nnwidgets.checkpoint.objects.inside_objects import code_of
from nnwidgets.checkpoint.records import LoadPlan, PlanEntry
from nnwidgets.checkpoint.state_dict import StateDictLocation, saved_entries
from nnwidgets.edit.code import NET, Recipe, expressions, optimizer_name
from nnwidgets.edit.over_ranks.part import IMPORT, part_code
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
    optimizer: LoadedState | None,
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
        optimizer: What was loaded into an optimizer.
    """
    lines, imports = _reading_lines(held, found, tensors_only=given is None)
    sourced = [entry for entry in entries if entry.source is not None]
    paths = [str(entry.path) for entry in sourced]
    is_plain = all(entry.path == entry.source for entry in sourced) and plan.is_exact and not model.is_spread
    if given is not None:
        has_more = not {*found.tensors, *found.others}.issubset(given.values())
        lines += _through_torch(given, versions, is_strict=is_strict, has_more=has_more)
    elif is_plain and not any("[" in path for path in paths) and _is_torchs(model, paths):
        lines.append(f"{NET}.load_state_dict(state)")
    else:
        lines.append("with torch.no_grad():")
        code = expressions(model.module).code
        for path, entry in zip(paths, sourced, strict=True):
            name, value = code(path), _value(entry)
            if path in model.by_path and model.by_path[path].placements:
                value = part_code(value, name)
            lines.append(f"    {name}.copy_({value})")
        imports += ["import torch", IMPORT] if model.is_spread else ["import torch"]
    if optimizer is not None:
        lines += _optimizer_lines(held, optimizer)
        imports += [] if optimizer.file == held.path else ["import torch"]
    if any("OrderedDict" in line for line in lines):
        imports.append("from collections import OrderedDict")
    return Recipe(tuple(lines), tuple(dict.fromkeys(imports)))


def _value(entry: PlanEntry) -> str:
    """What the state has for a tensor, as the model wants it: the one element that a file has for a scalar, too."""
    value = f"state[{entry.source!r}]"
    if entry.shape == () and entry.source_shape == (1,):
        return f"{value}[0]"
    return value if entry.conversion is None else conversion_code(value, entry.conversion)


def _through_torch(
    given: Mapping[str, str], versions: Mapping[str, Any], *, is_strict: bool, has_more: bool
) -> list[str]:
    """Lines that hand ``state`` to ``load_state_dict``, under the model's names and without what isn't loaded."""
    lines = []
    if any(name != source for name, source in given.items()):
        body = [f"    {name!r}: {source!r}," for name, source in given.items()]
        lines += ["names = {", *body, "}"]
        lines += ["state = OrderedDict((name, state[source]) for name, source in names.items())"]
        if versions:
            body = [f"    {path!r}: {said!r}," for path, said in versions.items()]
            lines += ["state._metadata = {", *body, "}"]
    elif has_more or not is_strict:
        body = [f"    {name!r}," for name in given]
        lines += ["names = {", *body, "}", "for name in [name for name in state if name not in names]:"]
        lines += ["    del state[name]"]
    return [*lines, f"{NET}.load_state_dict(state)" if is_strict else f"{NET}.load_state_dict(state, strict=False)"]


def _is_torchs(model: ChangeScope, paths: Sequence[str]) -> bool:
    """Whether these are all the tensors that torch would ask for."""
    return not model.tree.ties and {*paths} == saved_entries(model.tree).keys()


def _reading_lines(
    held: CheckpointReader, found: StateDictLocation, *, tensors_only: bool
) -> tuple[list[str], list[str]]:
    """Lines that bind ``state``, and what they import."""
    pick = partial(_pick_lines, held, found, tensors_only=tensors_only)
    path = str(held.path)
    if held.format == "safetensors":
        lines = [f"state = load_file({path!r})", *pick("state")]
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
            *pick("state"),
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
            *pick("checkpoint"),
        ], [
            "import torch",
            "from torch.distributed.checkpoint import FileSystemReader",
            "from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner",
            "from torch.distributed.checkpoint.state_dict_loader import _load_state_dict",
        ]  # fmt: skip
    if not held.is_torchs:
        # Torch would have to run the file's code; read here, objects are described.
        return [f"checkpoint = nnwidgets.read({path!r})", *pick("checkpoint")], ["import nnwidgets", "import torch"]
    lines = [f'checkpoint = torch.load({path!r}, map_location="cpu", weights_only=True)']
    return [*lines, *pick("checkpoint")], ["import torch"]


def _optimizer_lines(held: CheckpointReader, optimizer: LoadedState) -> list[str]:
    """Lines that load the optimizer's state."""
    lines, root = [], "checkpoint"
    if optimizer.file != held.path:
        lines, root = [f'saved = torch.load({str(optimizer.file)!r}, map_location="cpu", weights_only=True)'], "saved"
    is_here = optimizer.file == held.path
    saved = code_of(held.content, optimizer.steps, root)[0] if is_here else f"{root}{_steps_code(optimizer.steps)}"
    if optimizer.has_text_numbers:
        # A distributed checkpoint writes numbers as text.
        lines += [
            f"saved = {saved}",
            'saved["state"] = {int(number): state for number, state in saved["state"].items()}',
        ]
        saved = "saved"
    return [*lines, f"{optimizer_name(0)}.load_state_dict({saved})"]


def _pick_lines(held: CheckpointReader, found: StateDictLocation, root: str, *, tensors_only: bool) -> list[str]:
    """Lines that bind ``state`` to the state dict in what was read, or to its tensors and extra state."""
    places = [code_of(held.content, part.steps, root) for part in found.parts or [Part(())]]
    lines = _STATE_DICT_OF if any(is_module for _, is_module in places) else []
    codes = [f"state_dict_of({code})" if is_module else code for code, is_module in places]
    return [*lines, *_state_lines(found, codes, tensors_only=tensors_only)]


_STATE_DICT_OF = """\
def state_dict_of(module, prefix=""):
    held, state = module.state, {}
    left_out = held.get("_non_persistent_buffers_set", ())
    for name, each in [*held["_parameters"].items(), *held["_buffers"].items()]:
        if each is not None and name not in left_out:
            state[prefix + name] = each
    for name, each in held["_modules"].items():
        if isinstance(each, nnwidgets.Described) and isinstance(each.state, dict) and "_modules" in each.state:
            state.update(state_dict_of(each, f"{prefix}{name}."))
    return state
""".splitlines()
"""A module that was pickled whole, as it is described."""


def _state_lines(found: StateDictLocation, codes: Sequence[str], *, tensors_only: bool) -> list[str]:
    first = found.parts[0] if found.parts else Part(())
    where = codes[0]
    if first.stripped:
        n = len(first.stripped)
        return [
            f"state = {{name[{n}:]: each for name, each in {where}.items() if name.startswith({first.stripped!r})}}"
        ]
    kept = f" if isinstance(each, torch.Tensor) or name.endswith({EXTRA_STATE!r})" if tensors_only else ""
    if len(found.parts) < _SEVERAL and not first.prefix:
        if first.is_mixed and kept:
            return [f"state = {{name: each for name, each in {where}.items(){kept}}}"]
        return [] if where == "state" else [f"state = {where}"]
    return [
        "state = {}",
        "for prefix, held in (",
        *(f"    ({part.prefix!r}, {code})," for part, code in zip(found.parts, codes, strict=True)),
        "):",
        f"    state.update({{prefix + name: each for name, each in held.items(){kept}}})",
    ]


def _steps_code(steps: Sequence[Step]) -> str:
    return "".join(f"[{key!r}]" for _, key in steps)


_SEVERAL = 2
