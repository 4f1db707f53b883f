"""Filling tensors anew: planned, previewed, carried out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe, arguments, expressions
from nnwidgets.edit.operations.apply import plan_below, plan_reset
from nnwidgets.edit.operations.initializers import Initializer, dry_run, get_initializer
from nnwidgets.edit.operations.padding_rows import padding_rows, padding_warnings
from nnwidgets.edit.operations.stand_ins import Scratch
from nnwidgets.edit.rng import Generators, check_seed, fork_generators
from nnwidgets.edit.targets import ChangeScope, Target, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, carry_out, with_optimizers
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import Advice, AdvisedText, InitializerError, NNWidgetsError
from nnwidgets.formatting import counted, short_repr, some
from nnwidgets.introspect.checks.units import has_units
from nnwidgets.introspect.paths import parent
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import plain_torch
from nnwidgets.keywords import advises

_MATRIX = 2
_MOST_NAMED = 3
_MOST_PREVIEWED = 32_000_000


def _by_keyword(message: str, module: object, target: object, how: object, *values: object) -> InitializerError:  # noqa: ARG001 - as `init` is called
    initializer = get_initializer(how, target if isinstance(target, str) else None)
    names = [each.name for each in initializer.parameters if each.name != "**"]
    if len(values) > len(names):
        return InitializerError(message, hint=f"The signature is {initializer.signature}.")
    given = ", ".join(f"{name}={short_repr(value)}" for name, value in zip(names, values, strict=False))
    return InitializerError(message, hint=f"Parameters of {initializer.name} go by keyword: {given}.")


@advises(_by_keyword)
def init(
    module: nn.Module,
    target: Target,
    how: Any,
    *,
    seed: int | None = None,
    optimizer: Any = None,
    preview: bool = False,
    clear_state: bool = False,
    **kwargs: Any,
) -> Change:
    """Fill tensors anew, in place and undoable.

    With several tensors, one generator is seeded once and they are filled in walk order, each storage once. The seed
    also stands behind torch's global generators while the change is made, for what draws from them (``sparse_``,
    ``reset``); afterwards they are as they were. A graph that saved a value before refuses its backward afterwards, as
    after any change in place.

    Args:
        module: The model.
        target: A path, a glob, ``ClassName.tensor``, a module (then all parameters at and below it), also as the live
            module or tensor, or a list of them; ``"h.{0…11}"`` are the blocks of a range, ``"!h.11"`` leaves some out.
        how: Name of an initializer, with or without its trailing underscore; ``"reset"`` for the modules' own
            ``reset_parameters``; a function ``fn(tensor, generator, **kwargs)``; or one of a single argument, as
            ``Module.apply`` takes it: where the target names modules it is called with each at and below them, else
            with each tensor.
        seed: What random numbers come from; drawn and shown where none is given.
        optimizer: One or several that hold the tensors: what they remember of the old values is told.
        preview: Write nothing; give the change with the very numbers that the same seed gives.
        clear_state: Clear what ``optimizer`` remembers of the tensors, with the change; undo brings it back.
        **kwargs: The initializer's own parameters.

    Returns:
        The change.

    Raises:
        PathNotFoundError: ``target`` names nothing.
        InvalidTargetError: A tensor can't be written in place, or there's no room to keep its old values.
        InitializerError: The initializer is unknown, its parameters are wrong, or it can't fill a tensor.

    Example:
        >>> net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
        >>> init(net, "Linear.weight", "xavier_uniform_", gain=2, seed=7)
        Change(xavier_uniform_(gain=2): 0.weight, 2.weight, seed 7)
        >>> shown = init(net, "0.bias", "zeros", preview=True)
        >>> shown.after["0.bias"].n_zero, int((net[0].bias == 0).sum())
        (256, 0)
    """
    model = ChangeScope(module)
    plan = plan_init(model, target, how, kwargs, seed=seed, optimizer=optimizer, clear_state=clear_state)
    return carry_out(model, plan, preview=preview)


def plan_init(
    model: ChangeScope,
    target: Target,
    how: Any,
    kwargs: Mapping[str, Any],
    *,
    seed: int | None = None,
    optimizer: Any = None,
    clear_state: bool = False,
) -> Plan:
    """What `init` of the same arguments would do, checked and not carried out; raises what it would."""
    initializer = get_initializer(how, target if isinstance(target, str) else None)
    passed = initializer.check(kwargs, target if isinstance(target, str) else None)
    number = check_seed(seed)
    if initializer.kind == "reset":
        return plan_reset(model, target, number, optimizer=optimizer, clear_state=clear_state)
    if initializer.kind == "user" and not initializer.takes_generator and model.names_modules(target):
        return plan_below(model, target, how, passed, seed=number, optimizer=optimizer, clear_state=clear_state)
    return _make_plan(model, target, initializer, passed, seed=number, optimizer=optimizer, clear=clear_state)


def _check_returned(made: Any, tensor: Any, initializer: Initializer, path: str) -> None:
    if made is not None and made is not tensor:
        raise InitializerError(
            f"{initializer.name} returned a {type_name(type(made))} for {path}, which nothing takes: an initializer "
            "writes into the tensor that it gets.",
            path=path,
            hint="Nothing was changed. Write t.copy_(…) in place of return.",
        )


class _Filler:
    """Fills places in order with one initializer and one seed."""

    def __init__(self, initializer: Initializer, kwargs: Mapping[str, Any], seed: int) -> None:
        self.initializer = initializer
        self.kwargs = kwargs
        self.seed = seed
        self.draws_globally = False

    def fill(self, pairs: Sequence[tuple[str, Any]]) -> None:
        """Fill tensors, given with their paths; what the initializer raises is told with the path."""
        generators = Generators(self.seed)
        with fork_generators(self.seed):
            before = torch.get_rng_state()
            with plain_torch() if self.initializer.kind == "torch" else torch.no_grad():
                for path, tensor in pairs:
                    self._fill(path, tensor, generators)
            self.draws_globally = not torch.equal(before, torch.get_rng_state())

    def _fill(self, path: str, tensor: Any, generators: Generators) -> None:
        initializer, function = self.initializer, self.initializer.function
        generator = generators.on(tensor.device)
        try:
            if initializer.kind == "user":
                passed = (tensor, generator) if initializer.takes_generator else (tensor,)
                _check_returned(function(*passed, **self.kwargs), tensor, initializer, path)  # type: ignore[misc] # a user's has one
            elif initializer.takes_generator:
                function(tensor, **self.kwargs, generator=generator)  # type: ignore[misc] # torch's fillers have one
            else:
                function(tensor, **self.kwargs)  # type: ignore[misc] # the same
        except NNWidgetsError:
            raise
        except Exception as error:
            of_modules = initializer.kind == "user" and not initializer.takes_generator
            raise InitializerError(
                f"{initializer.name} raised on {path}: {type(error).__name__}: {str(error).rstrip('.')}.",
                path=path,
                hint="Nothing was changed."
                + f" It got the tensor; for a function of modules name the module, {parent(path)!r}." * of_modules,
            ) from error

    def preview(self, model: ChangeScope, plan: Plan) -> dict[str, TensorStats]:
        """Statistics of what filling gives, made on stand-ins; those of tensors beyond a size are left out."""
        total, within = 0, list[TensorTarget]()
        for place, data in zip(plan.places, plan.plains, strict=True):
            total += data.numel()
            if within and total > _MOST_PREVIEWED:
                plan.warnings.append(
                    f"The preview shows {len(within)} of {counted(len(plan.places), 'tensor')}, the first ones."
                )
                break
            within.append(place)
        shown = {place.path for place in within}
        ties = [tie for tie in plan.ties if tie.of in shown]
        names = [(tie.path, model.tensor(tie.path)) for tie in ties]
        scratch = Scratch([*(place.tensor for place in within), *(tensor for _, tensor in names)])
        self.fill([(place.path, scratch.of(place.tensor)) for place in within])
        made = {place.path: summarize(scratch.of(place.tensor)) for place in within}
        made.update((path, summarize(scratch.of(tensor))) for path, tensor in names)
        rows = padding_rows(model, made)
        plan.warnings += padding_warnings(rows, scratch.of)
        return made


@gc_paused()
def _make_plan(
    model: ChangeScope,
    target: Target,
    initializer: Initializer,
    kwargs: dict[str, Any],
    *,
    seed: int,
    optimizer: Any,
    clear: bool,
) -> Plan:
    named = model.places(target)
    writable = check_writable(named)
    each = list(zip(named, writable, strict=True))
    kinds: dict[Any, tuple[TensorTarget, torch.Tensor]] = {}
    for place, data in each:
        kinds.setdefault((data.shape, data.stride(), data.dtype), (place, data))
    for place, data in kinds.values():
        if not (data.dtype.is_floating_point or data.dtype.is_complex):
            raise InitializerError(
                f"{initializer.name} fills floating point tensors, and {place.path} is {place.entry.dtype}.",
                path=place.path,
                hint=AdvisedText("", Advice.ASSIGN, " sets integers."),
            )
        dry_run(initializer, data, kwargs, place.path)
    places, warnings = distinct_memory(named)
    kept = set(map(id, places))
    plains = [data for place, data in each if id(place) in kept]
    filler = _Filler(initializer, kwargs, seed)
    pairs = [(place.path, place.tensor) for place in places]

    def write(guard: WriteGuard) -> None:
        guard.before()
        filler.fill(pairs)

    uses_seed = initializer.kind == "user" or initializer.takes_generator
    lines: list[str] = []
    plan = Plan(
        kind="init",
        label=f"{initializer.name}({arguments(kwargs)[2:]})" if kwargs else initializer.name,
        places=places,
        plains=plains,
        ties=model.ties_of(places),
        write=write,
        code=lambda: _recipe(model, filler, places, lines),
        seed=seed if uses_seed else None,
        warnings=[*model.passed_over, *warnings, *_warnings(model, initializer, kwargs, places)],
    )
    plan.reports_changed = initializer.kind == "user" and not initializer.takes_generator
    plan.told_after = lambda changed: padding_warnings(padding_rows(model, changed))
    everyone = [*pairs, *((tie.path, model.tensor(tie.path)) for tie in plan.ties)]
    lines += with_optimizers(model.module, plan, optimizer, everyone, clear=clear)
    plan.preview = lambda: filler.preview(model, plan)
    return plan


def _warnings(
    model: ChangeScope, initializer: Initializer, kwargs: Mapping[str, Any], places: Sequence[TensorTarget]
) -> list[str]:
    made = []
    weights = [
        place.path
        for place in places
        if len(place.entry.shape or ()) >= _MATRIX and has_units(model.live.modules.get(parent(place.path)))
    ]
    if weights and initializer.is_constant:
        is_zero = initializer.name == "zeros_" or kwargs.get("val") == 0
        made.append((_ALL_ZERO if is_zero else _ALL_ALIKE).format(some(weights, _MOST_NAMED)))
    parts = [place for place in places if place.entry.held is not None and place.entry.held.is_part]
    if parts:
        names = some([each.path for each in parts], _MOST_NAMED)
        made.append(f"{names}: only the part that this process has is filled. Do the same on every process.")
    odd = [name for name, value in kwargs.items() if isinstance(value, float) and value != value]  # noqa: PLR0124 - NaN
    made += [f"{name} is NaN, and so will the values be." for name in odd]
    return made


_ALL_ZERO = (
    "All elements of {} are 0. That is right for the last layer of a model, an adapter or a residual branch, and for a "
    "gate; anywhere else nothing of its input passes, and no gradient comes back through it."
)
_ALL_ALIKE = (
    "Every unit of {} has the same weights. Unless biases, what follows or, in a last layer, the targets tell units "
    "apart, they get the same gradient and stay the same: the layer learns as one unit."
)


@gc_paused()
def _recipe(model: ChangeScope, filler: _Filler, places: Sequence[TensorTarget], more: Sequence[str]) -> Recipe:
    initializer = filler.initializer
    if initializer.kind == "user" and initializer.source is None:
        said = f"{initializer.name} has no source to show: it is a lambda or a closure, or was typed elsewhere."
        return Recipe((f"# {said}", f"raise NotImplementedError({said!r})"), ())
    code = expressions(model.module).code
    devices = list(dict.fromkeys(place.tensor.device for place in places))
    draws = initializer.takes_generator
    names = {device: "generator" if len(devices) == 1 else f"generator_{i}" for i, device in enumerate(devices)}
    lines = []
    if draws:
        lines += [f'{name} = torch.Generator("{device}").manual_seed({filler.seed})' for device, name in names.items()]
    rest = arguments(dict(filler.kwargs))
    if initializer.kind == "user":
        called = initializer.name
        ends = {device: f"{f', {name}' if draws else ''}{rest})" for device, name in names.items()}
    else:
        called = f"nn.init.{initializer.name}"
        ends = {device: f"{rest}{f', generator={name}' if draws else ''})" for device, name in names.items()}
    calls = [f"{called}({code(place.path)}{ends[place.tensor.device]}" for place in places]
    imports = ["import torch"] if draws or initializer.kind == "user" else []
    if initializer.kind == "user":
        lines = [*_definition(initializer), *lines, "with torch.no_grad():", *(f"    {call}" for call in calls)]
    else:
        imports.append("from torch import nn")
        lines += calls
    if filler.draws_globally:
        imports = list(dict.fromkeys(["import torch", *imports]))
        at = next((i for i, line in enumerate(lines) if line == "with torch.no_grad():" or line in calls), 0)
        inside = [f"    torch.manual_seed({filler.seed})", *(f"    {line}" for line in lines[at:])]
        lines = [*lines[:at], "with torch.random.fork_rng():", *inside]
    if initializer.kind == "user":
        imports.append("from torch import nn")
    return Recipe(tuple(itertools.chain(lines, more)), tuple(imports))


def _definition(initializer: Initializer) -> list[str]:
    return [*(initializer.source or "").splitlines(), ""]
