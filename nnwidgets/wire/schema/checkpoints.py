"""The part of the wire's schema that speaks of files: bodies of `folder` to `save`, and of the page's further parts.

Paths of files are relative to the notebook's own folder, with `/` between their parts; none leads out of it.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number

Status = Literal[
    "match", "renamed", "shape_mismatch", "dtype_cast", "missing", "unexpected", "tied", "own_code", "converted",
    "sharded",
]  # fmt: skip
Difference = Literal["values", "shape", "dtype", "added", "removed", "equal"]


class FolderBody(ModelBody):
    """A folder under the notebook's own; "" is that itself.

    checkpoints_only: leave out what is no checkpoint by its name and first bytes.
    """

    path: str
    checkpoints_only: NotRequired[bool]


class FileBody(TypedDict):
    """A file or folder.

    size_bytes: None for a folder.
    modified: seconds since 1970, None where it can't be told.
    refused: why it can't be opened here, None where it can.
    format: as in `PeekReply`, told by the first bytes; absent where they tell none or all files were asked for.
    """

    name: str
    path: str
    kind: Literal["folder", "file"]
    format: NotRequired[str]
    size_bytes: Number | None
    modified: float | None
    refused: str | None


class Crumb(TypedDict):
    """A folder on the way here."""

    name: str
    path: str


class FolderReply(TypedDict):
    """What is in a folder, the newest first; at most 2,000 come, `n_entries` says how many there are.

    Names that begin with a dot are left out; so are `n_hidden` more where only checkpoints were asked for.
    Where `is_checkpoint`, the folder itself is one, sharded or distributed: `peek` of its path tells.
    """

    path: str
    crumbs: list[Crumb]
    entries: list[FileBody]
    n_entries: int
    n_hidden: int
    is_checkpoint: bool


class PeekBody(ModelBody):
    """What is in a checkpoint, from its headers alone, as a tree of its names.

    expanded: ids of open rows, or None for the default opening (which the reply tells).
    text: keeps the tensors whose name holds it, as a flat list.
    start, count: the window; at most 500 rows come.
    """

    path: str
    expanded: list[str] | None
    text: str
    start: int
    count: int


class StoredRow(TypedDict):
    """A line of the tree: a group of names, or a tensor.

    name: what the line shows.
    path: the whole name in the file.
    n_tensors, size_bytes: of all below.
    tie: letter of the group of names that share bytes in the file.
    note: what is special.
    """

    id: str
    kind: Literal["group", "tensor"]
    level: int
    name: str
    path: str
    expanded: bool
    n_tensors: int
    size_bytes: Number
    shape: list[int] | None
    dtype: str
    tie: str | None
    note: str


class Pair(TypedDict):
    """A name with its text."""

    name: str
    value: str


class EntryBody(TypedDict):
    """A state dict in a file: `name` is what `entry` of a request takes. `why`: of the one taken, why."""

    name: str
    n_tensors: int
    n_elements: Number
    why: str


class PeekReply(TypedDict):
    """A checkpoint at a glance, with a window of its tree.

    state_dict: where the state dict was found, "" for the whole file, None where nothing looks like one.
    optimizer: where an optimizer's state was found.
    departures: in what it isn't as its format says.
    metadata, values: text and plain values kept with it; at most 200 of each, cut to 400 characters.
    entries: the state dicts in it, where there are several; at most 200.
    """

    path: str
    format: str
    size_bytes: Number
    n_files: int
    n_tensors: int
    n_rest: int
    n_elements: Number
    n_ties: int
    dtypes: dict[str, int]
    state_dict: str | None
    optimizer: str | None
    metadata: list[Pair]
    values: list[Pair]
    departures: list[str]
    entries: NotRequired[list[EntryBody]]
    total: int
    start: int
    rows: list[StoredRow]
    expanded: list[str]


class PlanBody(ModelBody):
    """What a load would do.

    accept_all: take every suggested rename.
    rename: from a name in the file to a path in the model, or to None, which refuses a suggestion; these come before
        what is suggested.
    keep: which statuses come, all of them where empty.
    text: keeps the names that hold it.
    start, count: the window; at most 500 rows come.
    entry: which state dict of the file; without it, the one that fits best.
    """

    path: str
    entry: NotRequired[str | None]
    accept_all: bool
    rename: dict[str, str | None]
    keep: list[Status]
    text: str
    start: int
    count: int


class SuggestionBody(TypedDict):
    """Another name under which a tensor of the model may be in the file, with why."""

    source: str
    reason: str
    confidence: float


class PlanRow(TypedDict):
    """What a load would do with one tensor; as `PlanEntry` says it.

    suggestion: a rename that is sure; `accept_all` takes it.
    candidates: what else in the file it may be; taken only where one is typed into `rename`.
    note: what is done to values that lie otherwise in the file, or why a tensor isn't loaded; else empty.
    """

    path: str | None
    source: str | None
    status: Status
    shape: list[int] | None
    dtype: str | None
    source_shape: list[int] | None
    source_dtype: str | None
    tied_to: str | None
    suggestion: SuggestionBody | None
    candidates: list[SuggestionBody]
    note: str


class Run(TypedDict):
    """So many rows of one status, one after the other."""

    status: Status
    count: int


class PlanReply(TypedDict):
    """A plan at a glance, with a window of its rows, problems first.

    n_loads: tensors of the model that a load would write, of `n_model`.
    n_suggested: renames that are suggested and neither accepted nor refused.
    n_renames: those accepted or typed.
    is_complete: a strict load would go through.
    has_optimizer: the file holds an optimizer's state and a live optimizer of the model could take it.
    runs: what the whole list is made of, in its order.
    entry: which state dict was taken, where the file has several.
    """

    path: str
    counts: dict[str, int]
    n_model: int
    n_loads: int
    n_elements: Number
    n_suggested: int
    n_renames: int
    is_exact: bool
    is_complete: bool
    has_optimizer: bool
    warnings: list[str]
    entry: NotRequired[EntryBody]
    runs: list[Run]
    total: int
    start: int
    rows: list[PlanRow]


class DiffBody(ModelBody):
    """Compare a checkpoint with the live model or, where `other` is a path, with another checkpoint.

    fresh: compare anew, though the same was compared before; without it a window of the last comparison comes.
    keep: which kinds come, all of them where empty.
    text: keeps the names that hold it.
    start, count: the window; at most 500 rows come.
    entry: which state dict of the files that have it; without it, the one that fits the other side best.
    copy: all rows that come, whatever the window, as text too.
    """

    path: str
    entry: NotRequired[str | None]
    other: str | None
    copy: NotRequired[Literal["markdown", "csv"]]
    fresh: bool
    keep: list[Difference]
    text: str
    start: int
    count: int


class DiffRow(TypedDict):
    """One name. `shapes` and `dtypes`: on either side, empty where only one side has it or both are equal."""

    path: str
    kind: Difference
    shapes: list[list[int]]
    dtypes: list[str]
    max_abs_difference: Number | None
    relative_norm: Number | None
    n_different: Number | None


class DiffReply(TypedDict):
    """A comparison at a glance, with a window of its rows, the greatest first. `a` and `b` name the sides.

    copied: what `copy` asked for.
    """

    a: str
    b: str
    counts: dict[str, int]
    is_equal: bool
    total: int
    start: int
    rows: list[DiffRow]
    copied: NotRequired[str]


class LoadBody(ModelBody):
    """Load, all or nothing; `entry`, `accept_all` and `rename` as in `plan`.

    strict: refuse where either side lacks a tensor of the other.
    optimizer: load its state too.
    """

    path: str
    entry: NotRequired[str | None]
    accept_all: bool
    rename: dict[str, str | None]
    strict: bool
    optimizer: bool


class LoadReply(TypedDict):
    """A load as it was carried out; where `verified`, every loaded tensor was compared with the file afterwards."""

    path: str
    label: str
    n_loaded: int
    n_elements: Number
    verified: bool
    warnings: list[str]


class SaveBody(ModelBody):
    """Save the model; the format follows the path: `.safetensors`, else torch's zip; a folder holds shards.

    overwrite: over what is there; without it that is refused as `file-exists`.
    optimizer: its state beside the model.
    shard_size: at most so many bytes a file.
    """

    path: str
    overwrite: bool
    verify: bool
    optimizer: bool
    shard_size: NotRequired[Number | None]


class SaveReply(TypedDict):
    """A save as it was carried out; where `verified`, read back and compared. `code` does it with torch alone."""

    path: str
    paths: list[str]
    n_tensors: int
    size_bytes: Number
    digest: str
    verified: bool
    seconds: float
    warnings: list[str]
    code: str
