"""A save as Python that uses torch alone (and safetensors, for its files): what saves the same, and what loads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnwidgets.edit.code import NET, Recipe, expressions, optimizer_name

_FEW = 8


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """What a recipe has to know of a save.

    Attributes:
        path: As it was given.
        module: The module, where one was saved.
        paths: Of a module saved by path: the names.
        has_optimizer: Whether an optimizer is beside it.
        extra: Keys beside it.
        removed: Names that aren't in the file, and the ones they are found under.
        is_shared: Whether tensors that share bytes were written whole.
        shard_size: Most bytes of a shard, where there are shards.
        files: Where there are shards, their names.
        is_spread: Whether tensors are spread over ranks, which all run the code.
    """

    path: str
    module: Any = None
    paths: Sequence[str] | None = None
    has_optimizer: bool = False
    extra: Sequence[str] = ()
    removed: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False
    shard_size: int | None = None
    files: Sequence[str] = ()
    is_spread: bool = False


def torch_recipes(saved: RecipeFacts) -> tuple[Recipe, Recipe]:
    """Of a torch file: how to save it, how to load it."""
    lines = _state_lines(saved)
    is_wrapped = saved.has_optimizer or bool(saved.extra)
    if is_wrapped:
        held = {"model": "state" if saved.module is not None else NET}
        if saved.has_optimizer:
            held["optimizer"] = f"{optimizer_name(0)}.state_dict()"
        held |= {name: name if name.isidentifier() else "..." for name in saved.extra}
        body = ", ".join(f"{name!r}: {value}" for name, value in held.items())
        lines.append(f"torch.save({{{body}}}, {saved.path!r})")
    else:
        lines.append(f"torch.save({'state' if saved.module is not None else NET}, {saved.path!r})")
    read = f"torch.load({saved.path!r}, weights_only=True)"
    if saved.module is None:
        return _recipe(lines), _recipe([f"{NET} = {read}" + ('["model"]' if is_wrapped else "")])
    if not is_wrapped:
        return _recipe(lines), _recipe([f"state = {read}", *_loading_lines(saved)])
    loading = [f"checkpoint = {read}", 'state = checkpoint["model"]', *_loading_lines(saved)]
    if saved.has_optimizer:
        loading.append(f'{optimizer_name(0)}.load_state_dict(checkpoint["optimizer"])')
    return _recipe(lines), _recipe(loading)


def safetensors_recipes(saved: RecipeFacts) -> tuple[Recipe, Recipe]:
    """Of safetensors files: how to save them, how to load them."""
    lines = _state_lines(saved)
    if saved.module is None:
        lines.append(f"state = dict({NET})")
    if saved.is_spread:
        lines.append(
            'state = {name: getattr(tensor, "full_tensor", tensor.detach)() for name, tensor in state.items()}'
        )
    n_of_all = len(lines)
    metadata = {"format": "pt"} | dict(saved.removed)
    lines += [f"del state[{name!r}]" for name in saved.removed]
    form = "clone(memory_format=torch.contiguous_format)" if saved.is_shared else "contiguous()"
    lines.append(f"state = {{name: tensor.detach().{form} for name, tensor in state.items()}}")
    ties = [f"state[{name!r}] = state[{kept!r}]" for name, kept in saved.removed.items()]
    then = _loading_lines(saved) if saved.module is not None else [f"{NET} = state"]
    if saved.shard_size is None:
        lines.append(f"save_file(state, {saved.path!r}, metadata={metadata!r})")
        lines = _by_the_first(lines, n_of_all) if saved.is_spread else lines
        loading = [f"state = load_file({saved.path!r})", *ties, *then]
        return (
            _recipe(lines, "from safetensors.torch import save_file"),
            _recipe(loading, "from safetensors.torch import load_file"),
        )
    loading = [
        "state = {}",
        f"folder = Path({saved.path!r})",
        'weight_map = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))["weight_map"]',
        "for file in sorted(set(weight_map.values())):",
        "    state.update(load_file(folder / file))",
        *ties,
        *then,
    ]
    imports = ("import json", "from pathlib import Path")
    lines += _sharding_lines(saved, metadata)
    lines = _by_the_first(lines, n_of_all) if saved.is_spread else lines
    return (
        _recipe(lines, *imports, "from safetensors.torch import save_file"),
        _recipe(loading, *imports, "from safetensors.torch import load_file"),
    )


def folder_recipes(saved: RecipeFacts) -> tuple[Recipe, Recipe]:
    """Of a folder of torch.distributed.checkpoint: how all ranks save it, how they load it."""
    lines = _state_lines(saved)
    held = "state" if saved.module is not None else NET
    parts = {"model": held}
    if saved.has_optimizer:
        parts["optimizer"] = f"{optimizer_name(0)}.state_dict()"
    parts |= {name: name if name.isidentifier() else "..." for name in saved.extra}
    is_wrapped = len(parts) > 1
    if is_wrapped:
        lines.append(f"checkpoint = {{{', '.join(f'{name!r}: {value}' for name, value in parts.items())}}}")
    whole = "checkpoint" if is_wrapped else held
    saving = [*lines, f"dcp.save({whole}, checkpoint_id={saved.path!r})"]
    loading = [*lines, f"dcp.load({whole}, checkpoint_id={saved.path!r})"]
    if saved.module is not None and saved.paths is None:
        loading.append(f"{NET}.load_state_dict(state)")
    if saved.has_optimizer:
        loading.append(f'{optimizer_name(0)}.load_state_dict(checkpoint["optimizer"])')
    imports = "import torch.distributed.checkpoint as dcp"
    return _recipe(saving, imports), _recipe(loading, imports)


def _by_the_first(lines: Sequence[str], n_of_all: int) -> list[str]:
    """Lines of which all ranks run the first ones, and one of them the rest."""
    rest = [f"    {each}" for each in lines[n_of_all:]]
    return [*lines[:n_of_all], "if torch.distributed.get_rank() == 0:", *rest]


def _sharding_lines(saved: RecipeFacts, metadata: Mapping[str, str]) -> list[str]:
    return [
        f"folder = Path({saved.path!r})",
        "folder.mkdir(exist_ok=True)",
        "shards, room = [{}], 0",
        "for name, tensor in state.items():",
        f"    if shards[-1] and room + tensor.nbytes > {saved.shard_size}:",
        "        shards.append({})",
        "        room = 0",
        "    shards[-1][name] = tensor",
        "    room += tensor.nbytes",
        "weight_map = {}",
        "for number, shard in enumerate(shards, start=1):",
        '    file = f"model-{number:05}-of-{len(shards):05}.safetensors"',
        f"    save_file(shard, folder / file, metadata={dict(metadata)!r})",
        "    weight_map |= dict.fromkeys(shard, file)",
        'index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}',
        '(folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), "utf-8")',
    ]


def _state_lines(saved: RecipeFacts) -> list[str]:
    if saved.module is None:
        return []
    if saved.paths is None:
        return [f"state = {NET}.state_dict()"]
    code = expressions(saved.module).code
    body = [f"    {path!r}: {code(path)}.detach()," for path in saved.paths]
    return ["state = {", *body, "}"]


def _loading_lines(saved: RecipeFacts) -> list[str]:
    if saved.is_spread and saved.paths is None:
        return [
            "from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict",
            f"set_model_state_dict({NET}, state, options=StateDictOptions(full_state_dict=True))",
        ]
    if saved.paths is None:
        return [f"{NET}.load_state_dict(state)"]
    code = expressions(saved.module).code
    body = [f"    {code(path)}.copy_(state[{path!r}])" for path in saved.paths]
    return ["with torch.no_grad():", *(body or ["    pass"])]


def _recipe(lines: Sequence[str], *imports: str) -> Recipe:
    return Recipe(tuple(lines), ("import torch", *imports))
