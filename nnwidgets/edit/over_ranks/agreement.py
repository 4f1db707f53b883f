"""A change of a model that ranks hold together: made by all of them, or by none.

Each rank makes it, keeps what takes it back, and says what it did; only where all say the same does it stay. An
agreement is in force while a public function runs, for `transaction.commit` and `rng.check_seed` to find.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

import torch.distributed as dist

from nnwidgets.formatting import some
from nnwidgets.introspect.meeting import PATIENCE, Meeting, Words, words_of
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.together import is_in_group, ranks_of_model

P = ParamSpec("P")
T = TypeVar("T")


class Step(Protocol):
    """A change that is made, and can be set aside until others have made theirs."""

    def set_aside(self) -> None:
        """Put everything back, keeping what makes it again."""

    def keep(self) -> None:
        """Make it again, and log it."""

    def revoke(self) -> None:
        """Take back what was kept, as if it had never been."""


class Agreement(Protocol):
    """What decides whether a change stays.

    Attributes:
        ranks: Those that make it.
    """

    ranks: tuple[int, ...]

    @property
    def is_settled(self) -> bool:
        """Whether the change stays, whatever happens here from now on."""

    def seed(self, drawn: int) -> int:
        """The seed of all, where none was given: one of those that they drew."""

    def beat(self) -> None:
        """Something is done here: others may wait longer."""

    def begin(self, said: str) -> bool:
        """Go on together to what can't be taken back; False where it has to be, since it is set aside first.

        Raises:
            RankMissingError: A rank didn't come, or can't.
            RanksDisagreeError: Ranks are about to do different things.
        """

    def settle(self, said: str, step: Step) -> bool:
        """Find out whether a change that is made stays; False where it is set aside for now.

        Raises:
            RankMissingError: A rank didn't come, or can't.
            RanksDisagreeError: Ranks did different things.
        """


_CURRENT: ContextVar[Agreement | None] = ContextVar("agreement", default=None)


def current() -> Agreement | None:
    """The agreement that a change needs now; None where it is this process's own."""
    return _CURRENT.get()


def within() -> Within | None:
    """The change that is being written, where other ranks make it too."""
    held = _CURRENT.get()
    return held if isinstance(held, Within) else None


@contextmanager
def agreed_by(agreement: Agreement) -> Iterator[None]:
    """Changes inside need an agreement."""
    token = _CURRENT.set(agreement)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Within:
    """Of changes that a change makes while it writes, of layers of its own for instance: they stay as it does."""

    is_settled = False

    def __init__(self, agreement: Agreement) -> None:
        self.ranks, self.seed = agreement.ranks, agreement.seed
        self.beat, self.begin = agreement.beat, agreement.begin
        self._noted: Any = None

    def note(self, digest: bytes) -> None:
        """Have ranks compare what is the same on all of them, of what is being written."""
        self._noted = self._noted or hashlib.blake2b(digest_size=4)
        self._noted.update(digest)

    @property
    def noted(self) -> str:
        """A digest of what was noted; nothing where nothing was."""
        return "" if self._noted is None else self._noted.hexdigest()

    def settle(self, said: str, step: Step) -> bool:  # noqa: ARG002 - it is settled with the change around it
        """As of `Agreement`."""
        return True


class GroupAgreement:
    """Of ranks that all run the same line, over the store of their process group.

    Args:
        ranks: Which.
        seconds: How long to wait for the others.
        call: What is called, as text.
        is_preview: Whether it changes nothing, and so waits for nobody.
    """

    def __init__(self, ranks: tuple[int, ...], seconds: float, call: str, *, is_preview: bool) -> None:
        self._seconds, self._call = seconds, call
        function = call.partition(" ")[0]
        hint = f"Run the same line on all of them; {function}(ranks(timeout=60)[name], …) waits longer."
        self._words = Words("change", "Nothing was changed.", hint)
        self._meeting = Meeting(ranks, seconds, "change", self._words, call, is_met=not is_preview)
        self.ranks = ranks

    @property
    def is_settled(self) -> bool:
        """As of `Agreement`."""
        return self._meeting.is_on

    def seed(self, drawn: int) -> int:
        """As of `Agreement`."""
        return int(self._meeting.shared(str(drawn)))

    def beat(self) -> None:
        """As of `Agreement`."""
        self._meeting.beat()

    def begin(self, said: str) -> bool:
        """As of `Agreement`."""
        self._meeting.agree(said)
        self._words = self._words._replace(nothing="What was written here stays: no undo copy was kept.")
        self._meeting = Meeting(self.ranks, self._seconds, "change", self._words, self._call)
        return True

    def settle(self, said: str, step: Step) -> bool:  # noqa: ARG002 - it is never set aside
        """As of `Agreement`."""
        self._meeting.agree(said)
        return True

    def refuse(self, why: str) -> None:
        """Tell the others that this rank makes no change."""
        self._meeting.refuse(why)


def on_all_ranks(function: Callable[P, T]) -> Callable[P, T]:
    """Have a public function that changes a model do so on all ranks that hold it together, or on none."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        module: Any = args[0] if args else kwargs.get("module")
        if _CURRENT.get() is not None or not is_in_group() or not is_module(module):
            return function(*args, **kwargs)
        ranks = ranks_of_model(read(module))
        if not ranks:
            return function(*args, **kwargs)
        text = " ".join([function.__name__, *(each for each in args if type(each) is str)])
        is_preview = bool(kwargs.get("preview"))
        return agreed_call(ranks, PATIENCE, text, lambda: function(*args, **kwargs), is_preview=is_preview)

    return call


def agreed_call(ranks: tuple[int, ...], seconds: float, text: str, call: Callable[[], T], *, is_preview: bool) -> T:
    """Call something that changes a model, as some ranks do; what it raises before it agrees, the others are told.

    Args:
        ranks: Which.
        seconds: How long to wait for them.
        text: What is called.
        call: It.
        is_preview: Whether it changes nothing, and so waits for nobody.
    """
    agreement = GroupAgreement(ranks, seconds, text, is_preview=is_preview)
    with agreed_by(agreement):
        try:
            return call()
        except BaseException as error:
            if not is_preview:
                agreement.refuse(words_of(error))
            raise


def said_of(label: str, paths: list[str], seed: int | None, code: str, noted: str = "") -> str:
    """What a rank says that it did, the same where ranks did the same.

    Args:
        label: Of the change.
        paths: What it changed.
        seed: What it was drawn from.
        code: Its code.
        noted: A digest of its values, where the code doesn't tell them.

    Example:
        >>> said_of("zeros_", ["0.weight"], None, "…") == said_of("zeros_", ["0.weight"], None, "…")
        True
        >>> said_of(f"f(way={object()!r})", ["0.weight"], None, "…")
        'f(way=<object object>) of 0.weight (3748c938)'
    """
    # Each process has its objects elsewhere.
    label, code = _ADDRESS.sub("", label), _ADDRESS.sub("", _DEVICE.sub(r"\1", code))
    named = hashlib.blake2b("\0".join([*paths, code]).encode()).hexdigest()
    with_seed = "" if seed is None else f", seed {seed}"
    with_values = f", values {noted}" if noted else ""
    return f"{label} of {some(paths, _MOST_NAMED)}{with_seed} ({named[:8]}{with_values})"


_DEVICE = re.compile(r"\b(cuda|xpu):\d+")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_NAMED = 3


def world_size() -> int:
    """How many ranks there are; 1 outside of a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
