"""Filling tensors anew: planned, previewed, carried out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from nnwidgets.edit.change import Change
from nnwidgets.edit.code import Recipe, arguments, expressions
from nnwidgets.edit.operations.apply import plan_below, plan_reset
from nnwidgets.edit.operations.initializers import Initializer, dry_run, get_initializer
from nnwidgets.edit.operations.padding_rows import padding_rows, padding_warnings
from nnwidgets.edit.operations.stand_ins import Scratch
from nnwidgets.edit.over_ranks.agreement import current, on_all_ranks
from nnwidgets.edit.over_ranks.draw import UnknownStepError, fill_part
from nnwidgets.edit.over_ranks.part import IMPORT, data_of, part_of, whole_code
from nnwidgets.edit.over_ranks.tries import Borrowed, is_compared
from nnwidgets.edit.rng import Generators, check_seed, fork_generators, rewinder
from nnwidgets.edit.targets import ChangeScope, Target, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, carry_out, with_optimizers
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import Advice, AdvisedText, InitializerError, NNWidgetsError
from nnwidgets.formatting import counted, short_repr, some
from nnwidgets.introspect.checks.units import has_units
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.paths import parent
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.holders import is_dtensor, whose
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import plain_torch
from nnwidgets.introspect.statistics.exact_stats import exact_stats
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
@over_handles
@on_all_ranks
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

    Of a model that ranks hold together (DTensors, FSDP2, DDP), all of them run the same line, and all make the change
    or none. The values are those of the whole model in one process: each rank draws them all, in blocks or a whole
    tensor at a time, and keeps its part. A function of one's own is called several times, with other values for what
    other ranks have, and may not depend on these.

    Args:
        module: The model, or one over ranks: ``ranks()["net"]``.
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
        RankMissingError: Another rank that holds the model doesn't run this within four seconds, or can't do it.
        RanksDisagreeError: Another rank makes another change.

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

    def fill(self, each: Sequence[tuple[str, Any, Any]]) -> None:
        """Fill tensors; what the initializer raises is told with the path.

        Args:
            each: Path, tensor, and what is written in its place: itself, a stand-in, of a DTensor its part here.
        """
        generators = Generators(self.seed)
        with fork_generators(self.seed):
            before = torch.get_rng_state()
            with plain_torch() if self.initializer.kind == "torch" else torch.no_grad():
                for path, tensor, written in each:
                    self._fill(path, tensor, written, generators)
            self.draws_globally = not torch.equal(before, torch.get_rng_state())

    def _fill(self, path: str, tensor: Any, written: Any, generators: Generators) -> None:
        part, generator = part_of(tensor, path), generators.on(tensor.device)
        is_torchs = self.initializer.kind == "torch"

        def fill(each: Any) -> None:
            self._call(path, each, generator)

        if part is not None and not (part.is_whole and written.stride() == part.stride):
            rewind = rewinder(generator)
            fill_part(part, written, fill, path=path, is_torchs=is_torchs, rewind=rewind)
            return
        if not is_torchs and is_compared():
            rewind = rewinder(generator)
            borrowed = Borrowed([written])
            borrowed.say_outcome(lambda: fill(written))
            borrowed.put_back()
            rewind()
        fill(written)

    def _call(self, path: str, tensor: Any, generator: torch.Generator) -> None:
        initializer, function = self.initializer, self.initializer.function
        try:
            if initializer.kind == "user":
                passed = (tensor, generator) if initializer.takes_generator else (tensor,)
                _check_returned(function(*passed, **self.kwargs), tensor, initializer, path)  # type: ignore[misc] # a user's has one
            elif initializer.takes_generator:
                function(tensor, **self.kwargs, generator=generator)  # type: ignore[misc] # torch's fillers have one
            else:
                function(tensor, **self.kwargs)  # type: ignore[misc] # the same
        except (NNWidgetsError, UnknownStepError):
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
        self.fill([(place.path, place.tensor, scratch.of(place.tensor)) for place in within])
        looked_at = [*((place.path, place.tensor) for place in within), *names]
        measured = summarize if current() is None else exact_stats  # those of all ranks are made one
        made = {path: replace(measured(scratch.of(tensor)), of=whose(tensor)) for path, tensor in looked_at}
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
    writable = check_writable(named, parts=True)
    each = list(zip(named, writable, strict=True))
    kinds: dict[Any, tuple[TensorTarget, torch.Tensor]] = {}
    for place, data in each:
        kinds.setdefault((place.tensor.shape, data.stride(), data.dtype), (place, data))
    for place, data in kinds.values():
        if not (data.dtype.is_floating_point or data.dtype.is_complex):
            raise InitializerError(
                f"{initializer.name} fills floating point tensors, and {place.path} is {place.entry.dtype}.",
                path=place.path,
                hint=AdvisedText("", Advice.ASSIGN, " sets integers."),
            )
        dry_run(initializer, place.tensor, kwargs, place.path)
    places, warnings = distinct_memory(named)
    kept = set(map(id, places))
    plains = [data for place, data in each if id(place) in kept]
    filler = _Filler(initializer, kwargs, seed)
    pairs = [(place.path, place.tensor) for place in places]

    def write(guard: WriteGuard) -> None:
        guard.before()
        filler.fill([(path, tensor, data_of(tensor)) for path, tensor in pairs])

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
    is_spread = [is_dtensor(type(place.tensor)) for place in places]
    # Of a tensor over ranks the generator is on the device that each has.
    on = [
        d.type if cut else str(d) for d, cut in zip((place.tensor.device for place in places), is_spread, strict=True)
    ]
    devices = list(dict.fromkeys(on))
    draws = initializer.takes_generator
    names = {device: "generator" if len(devices) == 1 else f"generator_{i}" for i, device in enumerate(devices)}
    lines = []
    if draws:
        lines += [f'{name} = torch.Generator("{device}").manual_seed({filler.seed})' for device, name in names.items()]
    rest = arguments(dict(filler.kwargs))
    is_users = initializer.kind == "user"
    if is_users:
        called = initializer.name
        ends = {device: f"{f', {name}' if draws else ''}{rest})" for device, name in names.items()}
    else:
        called = f"nn.init.{initializer.name}"
        ends = {device: f"{rest}{f', generator={name}' if draws else ''})" for device, name in names.items()}
    calls: list[str] = []
    for place, device, is_cut in zip(places, on, is_spread, strict=True):
        name, end = code(place.path), ends[device]
        if is_cut:
            calls += whole_code(place.tensor, name, [f"{called}(whole{end}"], is_read=is_users)
        else:
            calls.append(f"{called}({name}{end}")
    imports = ["import torch"] if draws or is_users or any(is_spread) else []
    imports += [IMPORT] if any(is_spread) else []
    lines = [*_definition(initializer), *lines] if is_users else lines
    at = len(lines)
    if is_users or any(is_spread):
        lines += ["with torch.no_grad():", *(f"    {call}" for call in calls)]
    else:
        lines += calls
    if not is_users:
        imports.append("from torch import nn")
    if filler.draws_globally:
        imports = list(dict.fromkeys(["import torch", *imports]))
        inside = [f"    torch.manual_seed({filler.seed})", *(f"    {line}" for line in lines[at:])]
        lines = [*lines[:at], "with torch.random.fork_rng():", *inside]
    if is_users:
        imports.append("from torch import nn")
    return Recipe(tuple(itertools.chain(lines, more)), tuple(imports))


def _definition(initializer: Initializer) -> list[str]:
    return [*(initializer.source or "").splitlines(), ""]
