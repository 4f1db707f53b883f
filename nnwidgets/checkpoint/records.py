"""What working with checkpoints gives: frozen records, no tensors in them, safe to keep and to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from nnwidgets.formatting import counted, inert, short_bytes, short_repr, some
from nnwidgets.introspect.records import Record, TieGroup

if TYPE_CHECKING:
    from nnwidgets.edit import Change
    from nnwidgets.edit.code import Recipe
    from nnwidgets.edit.optimizer_state import OptimizerState

Format = Literal["torch-zip", "torch-legacy", "pickle", "safetensors", "sharded", "distributed"]
Status = Literal[
    "match", "renamed", "shape_mismatch", "dtype_cast", "missing", "unexpected", "tied", "own_code", "converted",
    "sharded",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor(Record):
    """A tensor in a file, as its header says.

    Attributes:
        name: Its name in the state dict; where the file holds none, its place: ``"xs[1]"``.
        shape: Its sizes.
        dtype: ``"float32"``.
        n_elements: How many elements.
        size_bytes: Bytes of its elements.
        layout: ``"strided"``, ``"sparse_coo"``.
        tie: Id of the group of names that share its bytes in the file, or None.
        file: Name of the file it is in.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_elements: int
    size_bytes: int
    layout: str = "strided"
    tie: str | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class StateDictEntry(Record):
    """A state dict in a file, which may hold several.

    Attributes:
        name: Where it is, as ``entry=`` takes it: ``""`` for the whole file, ``"model"``, ``"app.model"``,
            ``"models[1]"``.
        n_tensors: How many tensors.
        n_elements: Their elements, under each name.
        why: Of the one that a plan took: why it was taken.
    """

    name: str
    n_tensors: int = 0
    n_elements: int = 0
    why: str = ""

    def __str__(self) -> str:
        told = repr(self.name) if self.name else "the whole file"
        return f"{told}: {self.why}" if self.why else told


@dataclass(frozen=True, slots=True, repr=False)
class Described(Record):
    """An object in a file that is no plain data, described: its class was not imported, called or built.

    Attributes:
        class_name: The class's whole name, or that of the function that makes it, as text.
        state: What the file would set on it: its attributes by name, for most. Of an object without attributes what it
            is made from, a tuple; of one made in several ways a dict of ``"arguments"``, ``"state"``, ``"entries"``
            and ``"items"``. None where the file only names a class or a function. Tensors in it are read.

    Example:
        >>> Described("argparse.Namespace", {"lr": 0.1})
        Described('argparse.Namespace', {'lr': 0.1})
    """

    class_name: str
    state: Any = None

    # As a key of a dict it is itself alone: its state may be anything.
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return short_repr(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; the state as short text."""
        return {"class_name": self.class_name, "state": short_repr(self.state)}


@dataclass(frozen=True, slots=True, repr=False)
class CheckpointIndex(Record):
    """What is in a checkpoint, read from its headers alone.

    Attributes:
        path: The file or folder.
        format: ``"torch-zip"``, ``"torch-legacy"``, ``"pickle"``, ``"safetensors"``, ``"sharded"``, ``"distributed"``.
        tensors: Those of the state dict, in the file's order.
        rest: Tensors elsewhere in it, an optimizer's for instance, by place: ``"optimizer.state[0].exp_avg"``.
        metadata: Text kept with it.
        values: Plain values beside the tensors, by place, as short text: ``{"epoch": "3"}``.
        ties: Names that share bytes in the file.
        size_bytes: Of all its files.
        files: Names of its files.
        state_dict: Where the state dict was found: ``""`` for the whole file, ``"model"`` for a key; None where the
            file holds tensors but nothing that looks like a state dict.
        optimizer: Where an optimizer's state was found, or None.
        departures: In what the file isn't as its format says, each a sentence; empty for a clean one.
        entries: All state dicts in it. A load takes the one that fits the model best, or the one named by ``entry=``;
            ``tensors`` are those of the largest that isn't called an average.
    """

    path: str
    format: Format
    tensors: tuple[StoredTensor, ...]
    rest: tuple[StoredTensor, ...]
    metadata: Mapping[str, str]
    values: Mapping[str, str]
    ties: tuple[TieGroup, ...]
    size_bytes: int
    files: tuple[str, ...]
    state_dict: str | None
    optimizer: str | None
    departures: tuple[str, ...]
    entries: tuple[StateDictEntry, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of ``tensors``, in order."""
        return tuple(each.name for each in self.tensors)

    @property
    def n_elements(self) -> int:
        """Elements of ``tensors``, under each name."""
        return sum(each.n_elements for each in self.tensors)

    def __repr__(self) -> str:
        told = f"{counted(len(self.tensors), 'tensor')}, {short_bytes(self.size_bytes)}"
        return f"CheckpointIndex({self.path!r}, {self.format}, {told})"


@dataclass(frozen=True, slots=True)
class Suggestion(Record):
    """Another name under which a tensor of the model may be in the file.

    Attributes:
        source: The name in the file.
        reason: Why, a short sentence part: ``"the file's names begin with module."``.
        confidence: From 0 to 1.
    """

    source: str
    reason: str
    confidence: float

    def __str__(self) -> str:
        return inert(f"{self.source} ({self.confidence:.0%}: {self.reason})", 400)


@dataclass(frozen=True, slots=True)
class Conversion(Record):
    """What is done to values that lie otherwise in the file: the same elements, in another order.

    Attributes:
        kind: ``"transposed"``, ``"rotary"`` (rows in the order of another rotary embedding) or ``"reshaped"``.
        view: The shape that the file's tensor is looked at in.
        swap: The two dimensions of that which change places; the same twice where none do.
        shape: Of the result, the model's.
        reason: Why, a part of a sentence.
    """

    kind: str
    view: tuple[int, ...]
    swap: tuple[int, int]
    shape: tuple[int, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True, slots=True)
class PlanEntry(Record):
    """What a load would do with one tensor.

    Attributes:
        path: In the model; None for one that only the file has.
        source: Name in the file; None for one that only the model has.
        status: ``"match"``, ``"renamed"``, ``"dtype_cast"``, ``"converted"`` and ``"tied"`` will be loaded;
            ``"shape_mismatch"``, ``"missing"`` and ``"unexpected"`` won't. ``"sharded"`` is spread over ranks, and what
            each has of it is cut from the file's; it isn't loaded where ``reason`` says why it can't be. ``"own_code"``
            is given to code of its module's own, which the plan doesn't run: one side may have no name for it.
        suggestion: For a missing one, the source that `LoadPlan.renames` has for it.
        shape: In the model, or None.
        dtype: In the model, or None.
        source_shape: In the file, or None.
        source_dtype: In the file, or None.
        n_elements: In the model where it is there, else in the file.
        tied_to: For a tied one, the path that its bytes come with.
        conversion: For a converted one, what is done to the file's values.
        reason: Why it isn't loaded though the file has something of its name; why it can't be written though the file
            has what goes into it, where a load refuses; else empty.
    """

    path: str | None
    source: str | None
    status: Status
    suggestion: Suggestion | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    source_shape: tuple[int, ...] | None = None
    source_dtype: str | None = None
    n_elements: int = 0
    tied_to: str | None = None
    conversion: Conversion | None = None
    reason: str = ""

    @property
    def is_loaded(self) -> bool:
        """Whether a load takes it."""
        return self.status in LOADED and not (self.status == "sharded" and self.reason)

    @property
    def has_both(self) -> bool:
        """Whether both sides have its name, with one shape and dtype."""
        is_alike = (self.shape, self.dtype) == (self.source_shape, self.source_dtype)
        return self.path is not None and self.path == self.source and is_alike


LOADED: frozenset[Status] = frozenset({"match", "renamed", "dtype_cast", "tied", "own_code", "converted", "sharded"})
"""Statuses of what a load takes."""

WORST_FIRST: tuple[Status, ...] = (
    "shape_mismatch", "missing", "unexpected", "converted", "renamed", "own_code", "dtype_cast", "sharded", "tied",
    "match",
)  # fmt: skip
"""All statuses, in the order in which a list of them wants a look."""


@dataclass(frozen=True, slots=True, repr=False)
class LoadPlan(Record):
    """What a load would do, before anything is read.

    Attributes:
        file: The checkpoint.
        entries: One per tensor of the model, in walk order, then those that only the file has.
        renames: What follows from evidence that leaves one answer (a prefix, a known layout, a component that is
            another with no rival of the same shape): from the name in the file to the path in the model; pass it as
            ``rename``.
        suggestions: By path, for others: what in the file it may be, with what speaks for each. Never taken by
            themselves.
        rename: What was asked for, as names in the file to paths in the model.
        warnings: What to know before loading.
        kept: Missing paths that a strict load lets pass, as torch's own does: ``num_batches_tracked`` of batch norms,
            which older files lack. They keep their values.
        entry: Which state dict of the file was taken, and why.
        obstacles: Those of the warnings that say why something in the file isn't loaded as it is.
    """

    file: str
    entries: tuple[PlanEntry, ...]
    renames: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    entry: StateDictEntry = StateDictEntry("")
    suggestions: Mapping[str, tuple[Suggestion, ...]] = field(default_factory=lambda: MappingProxyType({}))
    obstacles: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether the file has every tensor of the model, by name, shape and dtype, and no other.

        A module's own code may change that: of its names it says only that both sides have them alike.
        """
        return all(
            (each.status in ("match", "tied") and not each.reason)
            or (each.status == "own_code" and each.has_both)
            or (each.status == "sharded" and each.has_both and not each.reason)
            for each in self.entries
        )

    @property
    def is_complete(self) -> bool:
        """Whether a strict load would go through: every tensor of either side has its counterpart."""
        return all((each.is_loaded and not each.reason) or each.path in self.kept for each in self.entries)

    @property
    def counts(self) -> dict[Status, int]:
        """How many entries have each status, of those that occur."""
        made: dict[Status, int] = {}
        for each in self.entries:
            made[each.status] = made.get(each.status, 0) + 1
        return made

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        more = f", {counted(len(self.renames), 'rename')} sure" if self.renames else ""
        more += f", {len(self.suggestions):,} with candidates" if self.suggestions else ""
        return f"LoadPlan({self.file!r}: {told or 'nothing'}{more})"

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {**Record.to_dict(self), "is_exact": self.is_exact}


@dataclass(frozen=True, slots=True, repr=False)
class LoadReport(Record):
    """A load as it was carried out.

    Attributes:
        plan: What was done with each tensor.
        n_loaded: Tensors of the model that now hold the file's values, each name counted.
        n_elements: Elements that were read from the file for them, once for names of the same tensor.
        left: Paths of the model's tensors that stay as they were.
        n_left_elements: Their elements, once for names of the same tensor.
        optimizer: What the optimizer got; None where none was passed.
        verified: Whether every loaded tensor was compared with the file afterwards.
        change: The load as a change: undoable, in the history; None where it wrote nothing.
        warnings: What to know.
        ranks: The ranks that loaded it together, each its part; none where this process's model is its own.
        world_size: How many ranks the job has.
    """

    plan: LoadPlan
    n_loaded: int
    n_elements: int
    verified: bool
    change: Change | None
    warnings: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    n_left_elements: int = 0
    optimizer: OptimizerState | None = None
    ranks: tuple[int, ...] = ()
    world_size: int = 1

    @property
    def n_left(self) -> int:
        """How many tensors of the model stay as they were."""
        return len(self.left)

    @property
    def entries(self) -> tuple[PlanEntry, ...]:
        """Those of the plan."""
        return self.plan.entries

    def __repr__(self) -> str:
        tensors, elements = counted(self.n_loaded, "tensor"), counted(self.n_elements, "element")
        if self.left:
            tensors = f"{self.n_loaded:,} of {counted(self.n_loaded + self.n_left, 'tensor')}"
            elements = f"{self.n_elements:,} of {counted(self.n_elements + self.n_left_elements, 'element')}"
        checked = ", verified" if self.verified else ""
        stayed = f"; {some(self.left, _FEW)} as before" if self.left else ""
        return f"LoadReport({self.plan.file!r}: {tensors}, {elements}{checked}{stayed})"

    def to_code(self, name: str = "net", optimizer: str = "optimizer") -> str:
        """Python that loads the same with torch (and safetensors, for its files) alone."""
        return "" if self.change is None else self.change.to_code(name, optimizer)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {**Record.to_dict(self), "n_left": self.n_left}


@dataclass(frozen=True, slots=True, repr=False)
class SaveReport(Record):
    """A save as it was carried out.

    Attributes:
        paths: Files written, an index last.
        n_tensors: Tensors saved, each name counted.
        size_bytes: Of the files.
        digest: Of what was written: the name of the function, a colon, and hexadecimal digits.
        verified: Whether it was read back and compared.
        seconds: How long it took.
        warnings: What to know.
        optimizer: What was saved of the optimizer; None where none was passed.
        ties: Names of tensors that weren't written again, each with the name that it was written under.
        ranks: Those that saved it together; none where it is this process's own.
        world_size: How many ranks there are.
    """

    paths: tuple[str, ...]
    n_tensors: int
    size_bytes: int
    digest: str
    verified: bool
    seconds: float
    warnings: tuple[str, ...] = ()
    optimizer: OptimizerState | None = None
    ties: tuple[tuple[str, str], ...] = ()
    ranks: tuple[int, ...] = ()
    world_size: int = 1
    _recipes: tuple[Recipe, Recipe] | None = None

    def to_code(self, name: str = "net", optimizer: str = "optimizer") -> str:
        """Python that saves the same with torch (and safetensors, for its files) alone.

        Args:
            name: The variable that holds what was saved.
            optimizer: The variable that holds the optimizer, where one was saved.

        Raises:
            InvalidTargetError: A name is none.
        """
        return self._script(0, name, optimizer)

    def to_load_code(self, name: str = "net", optimizer: str = "optimizer") -> str:
        """Python that loads what was saved with torch (and safetensors, for its files) alone.

        Of a module it is loaded into the one called ``name``, anything else gets that name.

        Args:
            name: The variable that holds the module to load into, or will hold what is read.
            optimizer: The variable that holds the optimizer, where one was saved.

        Raises:
            InvalidTargetError: A name is none.
        """
        return self._script(1, name, optimizer)

    def _script(self, which: int, name: str, optimizer: str) -> str:
        if self._recipes is None:
            return ""
        from nnwidgets.edit.code import script

        return script([self._recipes[which]], name, optimizer)

    def __repr__(self) -> str:
        first = self.paths[0] if len(self.paths) == 1 else counted(len(self.paths), "file")
        checked = ", verified" if self.verified else ""
        return f"SaveReport({first}: {counted(self.n_tensors, 'tensor')}, {short_bytes(self.size_bytes)}{checked})"


_FEW = 4
