"""A function of the user's, or each module's own reset, let at modules as one undoable change."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe, arguments, expressions, source_of
from nnwidgets.edit.operations.module_structure import Structure
from nnwidgets.edit.operations.padding_rows import padding_rows, padding_warnings
from nnwidgets.edit.operations.stand_ins import Scratch
from nnwidgets.edit.over_ranks.agreement import on_all_ranks
from nnwidgets.edit.over_ranks.tries import is_compared
from nnwidgets.edit.over_ranks.whole import CODE, IMPORTS, call_whole
from nnwidgets.edit.rng import check_seed, fork_generators, rewinder
from nnwidgets.edit.targets import ChangeScope, Target, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, carry_out, try_out, with_optimizers
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable
from nnwidgets.errors import InitializerError, InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import some
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import class_attribute, is_module, is_tensor
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, shares_storage, unreadable_reason
from nnwidgets.introspect.statistics.exact_stats import version
from nnwidgets.keywords import advises

_MOST_NAMED = 6
_RESETS = ("reset_parameters", "_reset_parameters")


@advises(lambda message, *_: InvalidTargetError(message, hint="What fn needs goes into it: lambda m: fn(m, 0.1)."))
@over_handles
@on_all_ranks
def apply(
    module: Any,
    target: Target,
    fn: Callable[[Any], Any],
    *,
    label: str | None = None,
    source: str | None = None,
    seed: int | None = None,
    optimizer: Any = None,
    preview: bool = False,
    clear_state: bool = False,
) -> Change:
    """Call ``fn(m)`` on each module a target names, in walk order, as one undoable change: ``%%nn_init`` from Python.

    It runs under ``no_grad`` with torch's global generators seeded, and may change tensors in place. Where it raises,
    gives a tensor of its own in place of writing into the module's, or replaces a Parameter, a tensor's memory or a
    submodule, everything is put back, bit for bit. ``"**"`` is every module, as ``Module.apply`` goes through them.

    Of a model that ranks hold together, all of them run the same line. Each module is called with whole tensors, those
    below it too, twice, with other values each time for what other ranks have: what comes out here must be the same.
    Ranks also compare what the function gives for values that all of them know.

    Args:
        module: The model.
        target: Modules: a path, a glob, a class such as ``"Linear"``, a live one, or a list of them, with ``"!h.11"``
            for what is left out; ``""`` is the model itself.
        fn: Takes a module.
        label: What the history says; the function's name where nothing is given.
        source: The ``def`` of it for `Change.to_code`; found where it can be.
        seed: Of torch's global generators inside; drawn and shown where none is given.
        optimizer: As for `init`.
        preview: As for `init`; the function runs on a copy.
        clear_state: As for `init`.

    Returns:
        The change.

    Raises:
        PathNotFoundError: ``target`` names nothing.
        InvalidTargetError: It names tensors only, or the modules have none.
        InitializerError: The function raised, or replaced what must stay; nothing is changed.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> apply(net, "Linear", lambda m: m.bias.fill_(1.0), label="ones", seed=7)
        Change(ones: 0.bias, seed 7)
        >>> net[0].bias.tolist()
        [1.0, 1.0]
    """
    if not callable(fn):
        raise InitializerError(f"{fn!r} can't be called.", hint="Pass a function of one module.")
    model = ChangeScope(module)
    plan = _call_on(
        model, model.modules(target), fn, {}, label=label, source=source, seed=check_seed(seed),
        optimizer=optimizer, clear_state=clear_state,
    )  # fmt: skip
    return carry_out(model, plan, preview=preview)


def plan_below(
    model: ChangeScope, target: Target, function: Callable[..., Any], kwargs: Mapping[str, Any], **how: Any
) -> Plan:
    """Call a function on the modules at and below those that a target names, children first, as ``Module.apply``."""
    named = (path for path, _ in model.modules(target))
    modules = _children_first(model.modules_below(named, model.left_out(target)), model)
    return _call_on(model, modules, function, kwargs, may_be_of_tensors=True, **how)


def _call_on(
    model: ChangeScope,
    modules: Sequence[tuple[str, Any]],
    function: Callable[..., Any],
    kwargs: Mapping[str, Any],
    *,
    label: str | None = None,
    source: str | None = None,
    **how: Any,
) -> Plan:
    name = getattr(function, "__name__", "function")
    text = source if source is not None else source_of(function)
    call = name if text is None else _defined_name(text, name)
    passed = arguments(kwargs)

    def recipe(found: Sequence[tuple[str, Any]], number: int) -> Recipe:
        if text is None:
            said = f"{call} has no source to show: it is a lambda or a closure, or was typed elsewhere."
            return Recipe((f"# {said}", f"raise NotImplementedError({said!r})"), ())
        lines = [*text.rstrip().splitlines(), ""]
        return _recipe(model, found, number, f"{call}(module{passed})", lines)

    return _plan(
        model, modules, lambda each: function(each, **kwargs), recipe,
        label=label or (f"{name}({passed[2:]})" if kwargs else name), kind="function", **how,
    )  # fmt: skip


def plan_reset(model: ChangeScope, target: Target, seed: int, *, optimizer: Any, clear_state: bool) -> Plan:
    """Let each module at or below a target reset itself, those below first, as ``Module.apply`` goes."""
    named = model.modules(target)
    left_out = model.left_out(target)
    below = model.modules_below((path for path, _ in named), left_out)
    modules = [(path, each) for path, each in below if _reset_name(each)]
    modules = _children_first(modules, model)
    if not modules:
        raise InitializerError(
            f"No module at or below {named[0][0] or 'the model'} has a reset_parameters of its own.",
            path=named[0][0],
            hint="Name an initializer for its tensors, such as normal_.",
        )

    kept = (path for path, _ in named)
    entries = [entry for entry in model.tensors_below(kept, left_out) if entry.role == "parameter"]
    own = [TensorTarget(entry, model.tensor(entry.path)) for entry in entries if entry.n_elements]

    def recipe(found: Sequence[tuple[str, Any]], number: int) -> Recipe:
        written = expressions(model.module)
        names = [(written.code(path), _reset_name(each)) for path, each in found]
        calls = [line for name, reset in names for line in _call_lines(model, name, f"{name}.{reset}()")]
        without_grad = ", torch.no_grad()" * model.is_spread
        lines = [f"with torch.random.fork_rng(){without_grad}:", f"    torch.manual_seed({number})"]
        return Recipe((*lines, *(f"    {call}" for call in calls)))

    return _plan(
        model, modules, lambda each: getattr(each, _reset_name(each))(), recipe, label="reset", seed=seed,
        kind="init", optimizer=optimizer, clear_state=clear_state, reached=own,
    )  # fmt: skip


def _plan(
    model: ChangeScope,
    modules: Sequence[tuple[str, Any]],
    function: Callable[[Any], Any],
    recipe: Callable[[Sequence[tuple[str, Any]], int], Recipe],
    *,
    label: str,
    seed: int,
    kind: Any,
    optimizer: Any,
    clear_state: bool,
    reached: Sequence[TensorTarget] = (),
    may_be_of_tensors: bool = False,
) -> Plan:
    places = _places(model, modules)
    if not places:
        raise InvalidTargetError(
            f"{modules[0][0] or 'The model'} has no tensors to change.",
            path=modules[0][0],
            hint="Name modules that have.",
        )
    spread = [place.path for place in places if is_dtensor(type(place.tensor))]
    if spread:
        model.reshard()
    structure = Structure(each for _, each in model.modules_below(path for path, _ in modules))
    call = partial(_call, function=function, label=label, seed=seed, may_be_of_tensors=may_be_of_tensors)

    unwritten: list[str] = []

    def write(guard: WriteGuard) -> None:
        guard.before()
        versions = [version(place.tensor) for place in reached]
        call(modules, is_spread=bool(spread))
        now = zip(reached, versions, strict=True)
        unwritten.extend(place.path for place, before in now if version(place.tensor) == before)

    def tell(changed: Sequence[str]) -> list[str]:
        return [*_left(unwritten, changed), *padding_warnings(padding_rows(model, changed))]

    more: list[str] = []

    def code() -> Recipe:
        made = recipe(modules, seed)
        begin = (*CODE.splitlines(), "") if model.is_spread else ()
        return Recipe((*begin, *made.lines, *more), (*made.imports, *(IMPORTS if model.is_spread else ())))

    plan = Plan(
        kind=kind,
        label=label,
        places=places,
        plains=check_writable(places, parts=True),
        ties=model.ties_of(places),
        write=write,
        code=code,
        seed=seed,
        told_after=tell,
        reports_changed=True,
        verify=lambda _: structure.verify(label),
        recover=structure.restore,
    )
    everyone = [*((place.path, place.tensor) for place in places), *((t.path, model.tensor(t.path)) for t in plan.ties)]
    more += with_optimizers(model.module, plan, optimizer, everyone, clear=clear_state)
    tensors = dict([*((place.path, place.tensor) for place in places), *everyone])

    def preview() -> dict[str, TensorStats]:
        if spread:  # what FSDP2 has wrapped can't be copied
            return try_out(model, plan)
        return _preview(plan, modules, tensors, call=call, reached=(model, reached))

    plan.preview = preview
    return plan


def _call(
    modules: Sequence[tuple[str, Any]],
    function: Callable[[Any], Any],
    label: str,
    seed: int,
    *,
    may_be_of_tensors: bool,
    is_spread: bool = False,
) -> None:
    with fork_generators(seed), torch.no_grad():
        for path, each in modules:
            try:
                once = partial(_call_once, each, path, function, label)
                if is_spread or is_compared():
                    call_whole(each, path, once, rewinder())
                else:
                    once()
            except NNWidgetsError:
                raise
            except Exception as error:
                is_lost = may_be_of_tensors and isinstance(error, AttributeError | TypeError)
                raise InitializerError(
                    f"{label} raised on {path or 'the model'}: {type(error).__name__}: {str(error).rstrip('.')}.",
                    path=path,
                    hint="Nothing was changed. It got the module; for a function of tensors name these, as in "
                    "Linear.weight."
                    if is_lost
                    else "Nothing was changed.",
                ) from error


def _call_once(module: Any, path: str, function: Callable[[Any], Any], label: str) -> None:
    _check_returned(function(module), module, label, path)


def _check_returned(made: Any, module: Any, label: str, path: str) -> None:
    """Refuse a tensor that nothing takes; one of the module's own is what a call in place gives."""
    if not is_tensor(made):
        return
    own = LiveModel(module).tensors.values()
    if not any(made is each or shares_storage(made, each) for each in own):
        raise InitializerError(
            f"{label} returned a tensor for {path or 'the model'}, which nothing takes: it is to write into the "
            "module's own.",
            path=path,
            hint="Nothing was changed. Write m.weight.copy_(…) in place of return.",
        )


def _preview(
    plan: Plan,
    modules: Sequence[tuple[str, Any]],
    tensors: Mapping[str, Any],
    *,
    call: Callable[[Sequence[tuple[str, Any]]], None],
    reached: tuple[ChangeScope, Sequence[TensorTarget]],
) -> dict[str, TensorStats]:
    scratch = Scratch(tensors.values())
    memo, where = scratch.memo(), modules[0][0]
    try:
        copies = [(path, copy.deepcopy(each, memo)) for path, each in modules]
    except Exception as error:
        raise InitializerError(
            f"{plan.label} can't be previewed: {where or 'the model'} can't be copied ({type(error).__name__}).",
            path=where,
            hint="Apply it; undo takes it back.",
        ) from error
    tried = {path: scratch.of(tensor) for path, tensor in tensors.items()}
    before = {path: version(each) for path, each in tried.items()}
    call(copies)
    written = {path for path, each in tried.items() if version(each) != before[path]}
    with plain_torch():
        changed = [path for path, each in tried.items() if not _is_same(tensors[path], each)]
    model, places = reached
    plan.warnings += _left([place.path for place in places if place.path not in written], changed)
    plan.warnings += padding_warnings(padding_rows(model, changed), scratch.of)
    return {path: summarize(each) for path, each in tried.items()}


def _is_same(tensor: Any, other: Any) -> bool:
    return torch.equal(as_plain_tensor(tensor), as_plain_tensor(other))


def _left(same: Sequence[str], changed: Sequence[str]) -> list[str]:
    """Say which parameters a reset didn't reach, of those that were written by none."""
    written = set(changed)
    left = [path for path in same if path not in written]
    if not left:
        return []
    are = "is as it was" if len(left) == 1 else "are as they were"
    return [f"{some(left, _MOST_NAMED)} {are}: no reset_parameters writes there. Name an initializer for it."]


def _places(model: ChangeScope, modules: Sequence[tuple[str, Any]]) -> list[TensorTarget]:
    """Every tensor at or below modules that has bytes to write, once."""
    made = []
    seen: set[int] = set()
    for entry in model.tensors_below(path for path, _ in modules):
        tensor = model.live.tensor(entry.path)
        if model.is_computed(entry):
            originals = some(model.computed_from(entry.path), _MOST_NAMED)
            raise InvalidTargetError(
                f"{entry.path} is computed from {originals}: what is written there would be lost.",
                path=entry.path,
                hint=f"Name an initializer for {originals}, or other modules.",
            )
        if tensor is not None and id(tensor) not in seen:
            seen.add(id(tensor))
            if unreadable_reason(tensor) is None and entry.n_elements:
                made.append(TensorTarget(entry, tensor))
    return made


def _reset_name(module: Any) -> str:
    if not is_module(module):
        return ""
    return next((name for name in _RESETS if callable(class_attribute(type(module), name))), "")


def _children_first(modules: list[tuple[str, Any]], model: ChangeScope) -> list[tuple[str, Any]]:
    """In the order in which ``Module.apply`` calls."""
    wanted = dict(modules)
    made: list[tuple[str, Any]] = []
    waiting: list[tuple[Any, bool]] = [(model.tree.root, False)]
    while waiting:
        node, is_closing = waiting.pop()
        if is_closing:
            if node.path in wanted:
                made.append((node.path, wanted[node.path]))
            continue
        waiting.append((node, True))
        waiting.extend((child, False) for child in reversed(node.children))
    return made


def _recipe(model: ChangeScope, modules: Sequence[tuple[str, Any]], seed: int, call: str, lines: list[str]) -> Recipe:
    found = ", ".join(map(expressions(model.module).code, (path for path, _ in modules)))
    made = [
        *lines,
        "with torch.random.fork_rng(), torch.no_grad():",
        f"    torch.manual_seed({seed})",
        f"    for module in ({found},):",
        *(f"        {line}" for line in _call_lines(model, "module", call)),
    ]
    return Recipe(tuple(made), ("import torch", "from torch import nn"))


def _call_lines(model: ChangeScope, name: str, call: str) -> list[str]:
    return [f"with whole({name}):", f"    {call}"] if model.is_spread else [call]


def _defined_name(text: str, name: str) -> str:
    try:
        made = [each.name for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
    except SyntaxError:
        return name
    return made[-1] if made else name
