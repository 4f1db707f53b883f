"""The initializers on offer: torch's own, found by looking at ``torch.nn.init``, and the user's.

A filler of torch is any function there whose name ends in ``_`` and whose first parameter is the tensor, so that a new
release brings new ones without a change here.
"""

from __future__ import annotations

import inspect
import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch.nn import init as torch_init

from nnwidgets.edit.code import source_of
from nnwidgets.errors import InitializerError, closest_names
from nnwidgets.formatting import plain_doc

_Function = TypeVar("_Function", bound=Callable[..., Any])

RESET = "reset"
"""Stands for each module's own ``reset_parameters``."""

_ALIASES = {
    "reset_parameters": RESET,
    "he_normal": "kaiming_normal_",
    "he_uniform": "kaiming_uniform_",
    "glorot_normal": "xavier_normal_",
    "glorot_uniform": "xavier_uniform_",
    "truncated_normal": "trunc_normal_",
    "gaussian": "normal_",
    "random_normal": "normal_",
    "random_uniform": "uniform_",
    "zero": "zeros_",
    "one": "ones_",
    "identity": "eye_",
}
"""What torch's documentation, or another library, calls them."""

_FAMILIES = {
    "he": ("kaiming_normal_", "kaiming_uniform_"),
    "kaiming": ("kaiming_normal_", "kaiming_uniform_"),
    "msra": ("kaiming_normal_", "kaiming_uniform_"),
    "glorot": ("xavier_normal_", "xavier_uniform_"),
    "xavier": ("xavier_normal_", "xavier_uniform_"),
    "variance_scaling": ("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_"),
    "lecun": ("kaiming_normal_ with nonlinearity='linear'", "kaiming_uniform_ with nonlinearity='linear'"),
    "lecun_normal": ("kaiming_normal_ with nonlinearity='linear'",),
    "lecun_uniform": ("kaiming_uniform_ with nonlinearity='linear'",),
}
"""Names that leave open which is meant, or a parameter."""
_LIBRARY = re.compile(r"\A(?:[A-Za-z_]+\.)*(?:nn|init|initializers)\.(?=\w)")
"""What stands before a name that is written in full: ``nn.init.``, ``keras.initializers.``."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where ``HeNormal`` has two words."""
_CONSTANT = frozenset({"constant_", "zeros_", "ones_"})
_CHOICES = {
    "mode": ("fan_in", "fan_out"),
    "nonlinearity": (
        *("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *("sigmoid", "tanh", "relu", "leaky_relu", "selu"),
    ),
}
"""What torch's fillers take where an older torch annotates no more than text."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an initializer.

    Attributes:
        name: As it is passed.
        type: ``"float"``, ``"int"``, ``"bool"``, ``"str"`` or ``"any"``.
        required: Whether it has no default.
        default: Its default; None where it has none.
        choices: What it may be, where that is known.
    """

    name: str
    type: str
    required: bool
    default: Any = None
    choices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; a default that JSON lacks as its text."""
        default = self.default if isinstance(self.default, bool | int | float | str | None) else repr(self.default)
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "default": default,
            "choices": list(self.choices),
        }


@dataclass(frozen=True, slots=True)
class Initializer:
    """Something that fills a tensor in place.

    Attributes:
        name: ``"xavier_uniform_"``.
        kind: ``"torch"``, ``"user"``, or ``"reset"`` for a module's own ``reset_parameters``.
        parameters: What may be passed besides the tensor and the generator.
        doc: Its first paragraph.
        takes_generator: Whether it draws random numbers from a generator that is passed.
        is_constant: Whether it makes every element the same.
    """

    name: str
    kind: Literal["torch", "user", "reset"]
    parameters: tuple[Parameter, ...]
    doc: str
    takes_generator: bool
    is_constant: bool
    function: Callable[..., Any] | None
    source: str | None = None

    @property
    def signature(self) -> str:
        """How it is called: ``"xavier_uniform_(gain=1.0)"``."""
        parts = [each.name if each.required else f"{each.name}={each.default!r}" for each in self.parameters]
        return f"{self.name}({', '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """What a front end shows, as JSON has it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "parameters": [each.to_dict() for each in self.parameters],
            "doc": self.doc,
            "signature": self.signature,
            "takes_generator": self.takes_generator,
            "is_constant": self.is_constant,
        }

    def check(self, kwargs: Mapping[str, Any], path: str | None = None) -> dict[str, Any]:
        """The parameters to pass.

        Raises:
            InitializerError: One is unknown, missing, or of the wrong type; it gives the real signature.
        """
        known = {each.name: each for each in self.parameters}
        takes_any = "**" in known
        problems = []
        for name in kwargs:
            if name not in known and not takes_any:
                closest = closest_names(name, known, n=1)
                problems.append(f"has no parameter {name!r}" + (f" (closest: {closest[0]!r})" if closest else ""))
        problems += [f"needs {each.name!r}" for each in self.parameters if each.required and each.name not in kwargs]
        for name, value in kwargs.items():
            wrong = _mismatch(known[name], value) if name in known else None
            if wrong:
                problems.append(f"takes {wrong} for {name!r}, got {value!r}")
        if problems:
            raise InitializerError(
                f"{self.name} {', and '.join(problems)}.", path=path, hint=f"Its signature is {self.signature}."
            )
        return dict(kwargs)


def initializer(function: _Function) -> _Function:
    """Offer a function of your own beside torch's initializers, under its name.

    It is called as ``function(tensor, generator, **kwargs)`` under ``no_grad``, fills ``tensor`` in place and draws
    from ``generator``, so that one seed always gives the same numbers.

    Args:
        function: ``fn(tensor, generator, **kwargs)``.

    Returns:
        The function, unchanged.

    Raises:
        InitializerError: It isn't a function, has no name, or its first two parameters aren't there.

    Example:
        >>> from torch import nn
        >>> @initializer
        ... def spread(tensor, generator, width=10.0):
        ...     tensor.uniform_(-width, width, generator=generator)
        >>> from nnwidgets.edit import init
        >>> net = nn.Linear(2, 3)
        >>> init(net, "weight", "spread", width=5.0, seed=7).label
        'spread(width=5.0)'
    """
    made = user_initializer(function)
    _USERS[made.name] = made
    return function


def user_initializer(function: Any) -> Initializer:
    """Describe a user's function as an initializer."""
    name = getattr(function, "__name__", None)
    if not callable(function) or type(name) is not str:
        raise InitializerError(
            f"{function!r} is no function with a name.", hint="Pass fn(tensor, generator, **kwargs)."
        )
    parameters = _signature(function)
    if len(parameters) < 2 or any(each.kind not in _POSITIONAL for each in parameters[:2]):  # noqa: PLR2004 - these two
        raise InitializerError(
            f"{name} must take a tensor and a generator first.",
            hint=f"Such as def {name}(tensor, generator, scale=1.0). One that takes a module needs no decorator: "
            f'apply(net, "Linear", {name}).',
        )
    return _users(function, parameters[2:], takes_generator=True)


def _users(function: Any, own: list[inspect.Parameter], *, takes_generator: bool) -> Initializer:
    name, doc, source = getattr(function, "__name__", "function"), _first_paragraph(function), source_of(function)
    return Initializer(name, "user", _parameters(function, own), doc, takes_generator, False, function, source)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _signature(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function; none where they can't be known."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def takes_one(function: object) -> bool:
    """Whether a function is one of a tensor or a module alone, as those that ``Module.apply`` takes.

    Example:
        >>> takes_one(lambda m: None), takes_one(lambda m, std=0.1: None), takes_one(lambda tensor, generator: None)
        (True, True, False)
    """
    if type(function) is str or not callable(function):
        return False
    taken = [each for each in _signature(function) if each.kind in _POSITIONAL]
    return bool(taken) and all(each.default is not inspect.Parameter.empty for each in taken[1:])


def initializers() -> dict[str, Initializer]:
    """Every initializer on offer by name: torch's, ``reset``, then the user's.

    Example:
        >>> [each.name for each in initializers()["xavier_uniform_"].parameters]
        ['gain']
        >>> initializers()["sparse_"].signature
        'sparse_(sparsity, std=0.01)'
    """
    return {**_torchs(), RESET: _RESET, **_USERS}


def get_initializer(how: object, path: str | None = None) -> Initializer:
    """The initializer of a name as torch, Keras or JAX writes it, with its underscore or without; or a function.

    Raises:
        InitializerError: There is none; it names the closest.
    """
    offered = initializers()
    if type(how) is str:
        name = _LIBRARY.sub("", how.strip())
        bare = _HUMP.sub("_", name).casefold().replace("-", "_").rstrip("_")
        for candidate in (name, f"{name}_", bare, f"{bare}_", _ALIASES.get(bare, name)):
            if candidate in offered:
                return offered[candidate]
        looks = _FAMILIES.get(bare) or closest_names(bare, [*offered, *_ALIASES])
        closest = list(dict.fromkeys(_ALIASES.get(each, each) for each in looks))
        hint = f"Did you mean {' or '.join(closest)}?" if closest else f"There are {', '.join(offered)}."
        raise InitializerError(f"No initializer is named {name[:80]!r}.", path=path, hint=hint)
    for each in offered.values():
        if each.function is how:
            return each
    if takes_one(how):
        return _users(how, _signature(how)[1:], takes_generator=False)
    return user_initializer(how)


def _torchs() -> dict[str, Initializer]:
    made = {}
    for name, function in vars(torch_init).items():
        if name.startswith("_") or not name.endswith("_") or not inspect.isfunction(function):
            continue
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters or parameters[0].name != "tensor":
            continue
        names = [each.name for each in parameters]
        own = _parameters(function, [each for each in parameters[1:] if each.name != "generator"])
        made[name] = Initializer(
            name=name,
            kind="torch",
            parameters=tuple(replace(each, choices=each.choices or _CHOICES.get(each.name, ())) for each in own),
            doc=_first_paragraph(function),
            takes_generator="generator" in names,
            is_constant=name in _CONSTANT,
            function=function,
        )
    return made


def _parameters(function: Any, parameters: list[inspect.Parameter]) -> tuple[Parameter, ...]:
    try:
        hints = get_type_hints(function)
    except Exception:  # noqa: BLE001 - a user's annotations may say anything; without them types are open
        hints = {}
    made = []
    for each in parameters:
        if each.kind is inspect.Parameter.VAR_KEYWORD:
            made.append(Parameter("**", "any", required=False))
            continue
        if each.kind is inspect.Parameter.VAR_POSITIONAL:
            continue
        required = each.default is inspect.Parameter.empty
        default = None if required else each.default
        kind, choices = _kind(hints.get(each.name), default)
        made.append(Parameter(each.name, kind, required, default, choices))
    return tuple(made)


def _kind(hint: Any, default: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return "str", tuple(map(str, get_args(hint)))
    known = {float: "float", int: "int", bool: "bool", str: "str"}
    if hint in known:
        return known[hint], ()
    return (known.get(type(default), "any") if hint is None else "any"), ()


def _mismatch(parameter: Parameter, value: Any) -> str | None:
    if parameter.choices and value not in parameter.choices:
        return f"one of {', '.join(parameter.choices)}"
    is_bool = isinstance(value, bool)
    if parameter.type == "float" and (is_bool or not isinstance(value, numbers.Real)):
        return "a number"
    if parameter.type == "int" and (is_bool or not isinstance(value, int)):
        return "an integer"
    if parameter.type == "str" and not isinstance(value, str):
        return "text"
    return "True or False" if parameter.type == "bool" and not is_bool else None


def _first_paragraph(function: Any) -> str:
    return plain_doc(" ".join((inspect.getdoc(function) or "").split("\n\n", 1)[0].split()))


def dry_run(initializer: Initializer, tensor: torch.Tensor, kwargs: Mapping[str, Any], path: str) -> None:
    """Let one of torch's fillers at a tensor like it, without data or small, to hear its objections beforehand.

    Raises:
        InitializerError: It objects.
    """
    if initializer.kind != "torch" or initializer.function is None:
        return
    if initializer.takes_generator:
        # What draws on the meta device is written in Python, and takes a second and 70 MiB to import.
        bare = torch.empty([min(size, _MOST_TRIED) for size in tensor.shape], dtype=tensor.dtype, device="cpu")
    else:
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    try:
        with torch.random.fork_rng(devices=()):
            initializer.function(bare, **kwargs)
    except NotImplementedError:
        return
    except Exception as error:
        shape = " × ".join(map(str, tensor.shape)) or "()"
        raise InitializerError(
            f"{initializer.name} can't fill {path} of shape {shape} and dtype {str(tensor.dtype)[6:]}: "
            f"{str(error).rstrip('.')}.",
            path=path,
            hint=_hint(initializer.name, tensor),
        ) from error


_MOST_TRIED = 16


def _hint(name: str, tensor: torch.Tensor) -> str:
    if tensor.dim() < 2:  # noqa: PLR2004 - a matrix
        return "Name weights only, such as Linear.weight; zeros_ or normal_ suit a bias."
    return "dirac_ is for convolution weights; eye_ and orthogonal_ for matrices." if name == "dirac_" else ""


_USERS: dict[str, Initializer] = {}
_RESET = Initializer(
    name=RESET,
    kind="reset",
    parameters=(),
    doc="What each module's own reset_parameters gives.",
    takes_generator=False,
    is_constant=False,
    function=None,
)
