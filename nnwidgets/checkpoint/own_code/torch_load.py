"""What a file has for modules with code of their own, given to it as torch's ``load_state_dict`` does.

Torch itself calls that code, with the whole names and the versions of the file, for one such module at a time: its own
loading looks through all names for each module of a list.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from nnwidgets.checkpoint.bytes_equal import are_same, as_contiguous_cpu, is_same
from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.entries import EXTRA_STATE
from nnwidgets.checkpoint.own_code.parts import OwnCode
from nnwidgets.checkpoint.read import ContentReader
from nnwidgets.checkpoint.writing.tensors_to_save import CONVERT
from nnwidgets.errors import Advice, AdvisedText, CheckpointMismatchError
from nnwidgets.formatting import inert, some
from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_array, is_tensor, reason

_MOST_NAMED = 3
_MOST_LINES = 3
_MOST_TEXT = 400
_PLAIN = {
    type(None), bool, int, float, complex, str, bytes, bytearray, set, frozenset, torch.dtype, torch.device, torch.Size,
}  # fmt: skip


class _Shell(nn.Module):
    """Stands above one module, so that torch gives it the names it has in the whole model."""

    def _load_from_state_dict(self, *_: Any) -> None:
        pass


class TorchLoad:
    """One load into such modules.

    Attributes:
        left: Names of theirs that the file lacks, and names in the file that they left, as their loading said.
        wrong: Names of theirs that, when they were asked, weren't what the file has, or couldn't be had.
        has_ties: Whether the file lacks names whose bytes came with others.
    """

    def __init__(
        self,
        file: str,
        values: Mapping[OwnCode, Mapping[str, Any]],
        reader: Callable[[], ContentReader],
        versions: Mapping[str, Any],
        *,
        strict: bool,
        tied: Callable[[str], bool],
    ) -> None:
        """Prepare it.

        Args:
            file: The file's name.
            values: For each module what the file has, described, by name.
            reader: Makes a reader of described values.
            versions: What the file says of modules, their version for instance, by path.
            strict: Whether to refuse where either side has a name that the other hasn't.
            tied: Tells of a name whether its bytes come with another one.

        Raises:
            CheckpointMismatchError: The file has something for one of them that can't be read.
        """
        self.left: list[str] = []
        self.wrong: list[str] = []
        self.has_ties = False
        self._file, self._values, self._reader, self._versions = file, values, reader, OrderedDict(versions)
        self._strict, self._tied = strict, tied
        for part, held in values.items():
            for name, value in held.items():
                found = next(_opaque_in(value), None)
                if found is not None:
                    raise CheckpointMismatchError(
                        f"{name} in {file} is or holds a {inert(found.class_name, 80)}, which isn't read, and {part} "
                        "would set it; nothing was changed.",
                        path=name,
                        hint=AdvisedText("Save it as plain values, or leave it out of the file and pass ",
                                         Advice.LOAD_PARTLY, "."),
                    )  # fmt: skip

    @property
    def modules(self) -> list[Any]:
        """The modules."""
        return [part.module for part in self._values]

    def run(self) -> None:
        """Load into each module.

        Raises:
            CheckpointMismatchError: Its code raised, or left names on either side.
        """
        reader = self._reader()
        for part, held in self._values.items():
            state: OrderedDict[str, Any] = OrderedDict()
            state.update((name, _given(name, reader.whole(value))) for name, value in held.items())
            if self._versions:
                state._metadata = self._versions  # type: ignore[attr-defined] # noqa: SLF001 - as torch keeps it
            try:
                keys = _load(part, state, strict=self._strict)
            except Exception as error:
                raise self._fault(part, error) from error
            said = list(getattr(keys, "missing_keys", ()))
            missing = [key for key in said if not self._tied(key)]
            self.has_ties = self.has_ties or len(missing) < len(said)
            unexpected = list(getattr(keys, "unexpected_keys", ()))
            if self._strict and (missing or unexpected):
                self._refuse(part, missing, unexpected)
            if held and len(unexpected) == len(held):
                self._refuse(part, missing, unexpected)
            self.left += [*missing, *unexpected]

    def compare(self) -> None:
        """Ask each module for its state dict now, and hold that against the file."""
        wrong = self.wrong
        reader, left = self._reader(), set(self.left)
        for part, held in self._values.items():
            try:
                with torch.no_grad():
                    now = _state_of(part)
            except Exception:  # noqa: BLE001 - it can't be compared, which is said
                wrong += held
                continue
            for name, value in held.items():
                if name not in left and not (name in now and is_equal(_given(name, reader.whole(value)), now[name])):
                    wrong.append(name)
                reader.forget()

    def warnings(self) -> list[str]:
        """What to know afterwards."""
        made = []
        if self.left:
            made.append(f"Code of their own left {some(self.left, _MOST_NAMED)}: only one side has them.")
        if self.wrong:
            made.append(
                f"Not verified: asked for their state dict now, modules with code of their own give something else "
                f"than {self._file} has, or nothing, for {some(self.wrong, _MOST_NAMED)}."
            )
        return made

    def _fault(self, part: OwnCode, error: Exception) -> CheckpointMismatchError:
        text = str(error)
        if type(error) is RuntimeError and text.startswith("Error(s) in loading state_dict"):
            lines = [line.strip() for line in text.split("\n")[1:]]
            said = "said: " + " ".join(inert(line, _MOST_TEXT) for line in lines[:_MOST_LINES])
        else:
            said = f"raised {reason(error).rstrip('.')}."
        return CheckpointMismatchError(
            f"Loading {self._file} into {part}, torch {said} The model is as it was.",
            path=part.path or None,
            hint=_QUANTIZED
            if _is_quantized(part.module)
            else "That is the module's own code, as load_state_dict runs it: does it know files of this version?",
        )

    def _refuse(self, part: OwnCode, missing: list[str], unexpected: list[str]) -> None:
        told = [f"{len(names)} {word} ({some(names, _MOST_NAMED)})" for names, word in
                ((missing, "missing"), (unexpected, "unexpected")) if names]  # fmt: skip
        raise CheckpointMismatchError(
            f"{self._file} doesn't fit {part}, whose own code loads it: {'; '.join(told)}. The model is as it was.",
            path=part.path or None,
            hint=AdvisedText(
                f"{_parametrized(missing, unexpected)}A plan shows both sides; ",
                Advice.LOAD_PARTLY,
                " loads what fits.",
            ),
        )


def _given(name: str, value: Any) -> Any:
    """A value as a module is given it: arrays in extra state as what they are, those in place of weights as tensors."""
    return torch.from_numpy(value) if is_array(value) and not name.endswith(EXTRA_STATE) else value


def _is_quantized(module: Any) -> bool:
    """Whether a module is one of torch's that hold packed, quantized weights."""
    home = class_attribute(type(module), "__module__")
    return type(home) is str and home.startswith(_QUANTIZEDS)


def _parametrized(missing: list[str], unexpected: list[str]) -> str:
    """What to do where the file has a tensor whole that the model computes from others."""
    whole = set(unexpected)
    for path in missing:
        owner, mark, rest = path.rpartition("parametrizations.")
        name = f"{owner}{rest.partition('.')[0]}"
        if mark and name in whole:
            return f"The file has {name} whole, and the model computes it: load before the parametrization is put on. "
    return ""


_QUANTIZEDS = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
_QUANTIZED = (
    "It is a quantized module, whose files hold scales and packed weights. A file of the float model goes into the "
    "float model, which is quantized after."
)


def _load(part: OwnCode, state: OrderedDict[str, Any], *, strict: bool) -> Any:
    if not part.path:
        if "load_state_dict" in part.code:
            return part.module.load_state_dict(state) if strict else part.module.load_state_dict(state, strict=False)
        return nn.Module.load_state_dict(part.module, state, strict=False)
    shell = _Shell()
    shell._modules[part.path] = part.module  # noqa: SLF001 - add_module refuses dots
    return nn.Module.load_state_dict(shell, state, strict=False)


def _state_of(part: OwnCode) -> Mapping[str, Any]:
    if not part.path:
        made: Mapping[str, Any] = part.module.state_dict()
        return made
    into: OrderedDict[str, Any] = OrderedDict()
    into._metadata = OrderedDict()  # type: ignore[attr-defined] # noqa: SLF001 - as torch makes it
    found = part.module.state_dict(destination=into, prefix=part.prefix, keep_vars=False)
    return into if found is None else found


def is_equal(wanted: Any, now: Any) -> bool:
    """Whether a value is what is wanted: of tensors the bits, once converted to its dtype; of containers each part.

    A number or text of a class of its own is the plain one that is written for it.
    """
    if is_tensor(wanted) and is_tensor(now):
        return _are_equal_tensors(wanted, now)
    if isinstance(wanted, dict) and isinstance(now, dict):
        return wanted.keys() == now.keys() and all(is_equal(each, now[key]) for key, each in wanted.items())
    if isinstance(wanted, list | tuple) and isinstance(now, list | tuple):
        return len(wanted) == len(now) and all(map(is_equal, wanted, now))
    if is_array(wanted) and is_array(now) and not wanted.dtype.hasobject:
        is_alike = (wanted.dtype, wanted.shape) == (now.dtype, now.shape)
        return bool(is_alike and wanted.tobytes() == now.tobytes())
    wanted, now = _as_written(wanted), _as_written(now)
    return type(wanted) in _PLAIN and type(wanted) is type(now) and bool(wanted == now or wanted != wanted)  # noqa: PLR0124 - NaN


def _are_equal_tensors(wanted: torch.Tensor, now: torch.Tensor) -> bool:
    # Torch takes one element for a scalar.
    if wanted.numel() != now.numel() or (wanted.shape != now.shape and wanted.dim() and now.dim()):
        return False
    if wanted.is_quantized or now.is_quantized:
        return are_same(wanted, now)
    return is_same(as_contiguous_cpu(wanted.to(now.dtype)), as_contiguous_cpu(now))


def _as_written(value: Any) -> Any:
    base = None if type(value) in _PLAIN else next((each for each in (str, int, float) if is_a(value, each)), None)
    return value if base is None else CONVERT[base](value)


def _opaque_in(value: Any) -> Iterator[Opaque]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Opaque):
            yield each
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += each
