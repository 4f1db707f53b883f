"""``%nn save``, ``load``, ``diff``, ``snapshot`` and ``ls``: what `nnwidgets.checkpoint` does, in a line's words."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from nnwidgets import checkpoint
from nnwidgets.checkpoint.formats.folder_files import is_checkpoint
from nnwidgets.checkpoint.loading.plan import entries_that_fit
from nnwidgets.checkpoint.loading.renames.short_renames import in_short
from nnwidgets.errors import CheckpointMismatchError, InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import and_more, counted, inert
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.handles import ModelHandle, is_model
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.safe_access.objects import is_a, is_module, is_tensor, type_name
from nnwidgets.magics.line.grammar import Candidate, Command, LineError, MisuseError, cut, require_at_most, unquote
from nnwidgets.magics.line.tokenizer import split_assignment
from nnwidgets.magics.resolve import mark_candidates, mark_names, model_candidates, model_names, optimizers_in, resolve
from nnwidgets.magics.subcommands.edit import optimizer_warnings
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Request, Subcommand, TypedLine
from nnwidgets.sentences import told_together
from nnwidgets.text.document import Note
from nnwidgets.text.pages import checkpoints as pages

_PATTERN = "re:"
"""What a rename by regular expression begins with."""

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kKmMgGtT]?)(i?)[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MOST_FILES = 2_000
_MOST_NAMES = 10_000
_MOST_WORDS = 4
_MOST_OBSTACLES = 3


def _parse_files(command: Command, words: list[str], *, least: int, most: int, otherwise: str = "") -> Command:
    if len(words) < least:
        raise MisuseError(otherwise)
    require_at_most(most, words, "; a name with a space stands in quotes")
    return replace(command, files=tuple(map(unquote, words)))


def _read_rename(text: str) -> tuple[str | re.Pattern[str], str]:
    text = unquote(text)
    if text.startswith(_PATTERN):
        old, equals, new = text.rpartition("=")
        parts = (old, new) if equals else None
    else:
        parts = split_assignment(text)
    if parts is None or not parts[0] or parts[0] == _PATTERN:
        raise LineError(
            f"--rename {cut(text)} is not old=new, such as out=output, module.= or re:^h(\\d+)=layers.\\1; old is the "
            "name in the file."
        )
    old, new = map(unquote, parts)
    if not old.startswith(_PATTERN):
        return old, new
    try:
        return re.compile(old.removeprefix(_PATTERN)), new
    except re.error as error:
        raise LineError(f"--rename {cut(old)}: no regular expression ({error}).") from None


def _read_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    n_bytes = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]) if match else 0
    if n_bytes < 1:
        raise LineError(f"--shards {cut(text)} is not a size such as 2GB or 500MiB.")
    return n_bytes


def _run_ls(request: Request) -> Answer:
    command = request.command
    place = Path(command.files[0] if command.files else ".").expanduser()
    if not place.is_dir():
        return _look_into(place)
    if is_checkpoint(place):
        with suppress(NNWidgetsError):
            return _look_into(place)
    listing = checkpoint.folder(place)
    return Answer(pages.folder_page(listing), listing)


def _look_into(place: Path) -> Answer:
    index = checkpoint.peek(place)
    return Answer(pages.index_page(index), index)


def _run_diff(request: Request) -> Answer:
    words = request.command.files
    one, other = (_resolve_side(word, request.namespace) for word in words)
    found = replace(checkpoint.diff(one, other, entry=request.command.entry), a=words[0], b=words[1])
    return Answer(pages.diff_page(found), found)


def _resolve_side(word: str, namespace: Mapping[str, Any]) -> Any:
    """A model where the word begins with a variable, unless there is a file of that very name."""
    if Path(word).expanduser().exists():
        return word
    first = re.split(r"[.\[]", word, maxsplit=1)[0]
    if first in namespace and not any(mark in word for mark in "/\\"):
        among = [*model_names(namespace), *mark_names(namespace)]
        return resolve(word, namespace, among=among, kind="model")
    return word


def _parse_snapshot(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    name = words[0] if words else "mark"
    if not name.isidentifier() or keyword.iskeyword(name):
        raise MisuseError(f"{cut(name)} is no name for a variable")
    return replace(command, target=name)


def _run_snapshot(request: Request) -> Answer:
    # Imported late: a mark without a view open needs nothing of the views.
    from nnwidgets.server.session.open_views import views_of

    command, namespace = request.command, request.namespace
    name, module = command.target, request.module
    if namespace.get(name) is not None and not is_a(namespace[name], checkpoint.Snapshot):
        raise LineError(
            f"{name} is a {type_name(type(namespace[name]))} of yours, and a mark would take its place; name another: "
            f"%nn snapshot {command.model} before"
        )
    mark = checkpoint.snapshot(module, values="--digests" not in command.flags)
    request.shell.push({name: mark})
    for view in views_of(module):
        view.show_mark(mark)
    said = f"{name}: {mark}. %nn diff {name} {command.model} tells what moved since."
    return Answer(
        (Note(said), *(Note(f"Not read: {why}", "note") for why in list(mark.unread.values())[:_MOST_WORDS])), mark
    )


def _run_save(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    value = resolve(command.model, namespace, among=model_names(namespace), kind="model")
    report = checkpoint.save(
        value, command.files[0], optimizer=_resolve_optimizer(command, value, namespace),
        overwrite="--overwrite" in command.flags, shard_size=command.shard_bytes,
        verify="--no-verify" not in command.flags,
    )  # fmt: skip
    return Answer(pages.save_page(report), report)


def _run_load(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    value = _resolve_destination(command, namespace)
    file = command.files[0]
    if not is_model(value):
        if command.flags or command.renames or command.optimizer or command.entry is not None:
            raise LineError(f"%nn load: {cut(command.model)} holds no model, so options have no meaning.")
        held = checkpoint.read(file)
        request.shell.push({command.model: held})
        return Answer((Note(f"{inert(command.model, 80)} is now what {inert(file, 80)} holds."),), held)
    rename = dict(command.renames) or None
    if "--dry-run" in command.flags:
        plan, trial = _plans(command, value, rename)
        return Answer(pages.plan_page(plan, next_step=_next_step(command, plan, trial)), plan)
    try:
        report = checkpoint.load(
            value, file, rename=rename, entry=command.entry, strict="--partial" not in command.flags,
            optimizer=_resolve_optimizer(command, value, namespace),
        )  # fmt: skip
    except CheckpointMismatchError as error:
        raise _in_a_lines_words(error, command, value, rename) from None
    if report.change is not None and not command.optimizer and is_module(value):
        more = optimizer_warnings(report.change, value, namespace)
        report = replace(report, warnings=(*report.warnings, *more))
    return Answer(pages.load_page(report, next_step=f"%nn undo {command.model} takes it back."), report)


def _plans(command: Command, module: Any, rename: Any) -> tuple[checkpoint.LoadPlan, checkpoint.LoadPlan | None]:
    """What is planned, and with all renames that are sure, where there are some."""
    plan = checkpoint.plan(module, command.files[0], rename=rename, entry=command.entry)
    if not plan.renames:
        return plan, None
    return plan, checkpoint.plan(module, command.files[0], rename=plan.renames, entry=command.entry)


def _in_a_lines_words(error: CheckpointMismatchError, command: Command, module: Any, rename: Any) -> Exception:
    """A load that was refused, with the line that goes through, or the one that shows both sides."""
    try:
        plan, trial = _plans(command, module, rename)
    except NNWidgetsError:
        return error
    if plan.is_complete:
        return error
    line = f"%nn load {command.model} {command.files[0]}"
    step = _next_step(command, plan, trial)
    if step and (trial is not None or entries_that_fit(plan)):
        step = f"{'This loads more' if trial is not None and not trial.is_complete else 'This fits'}: {step}."
    why = plan.obstacles[:_MOST_OBSTACLES]
    return LineError(told_together(error.message, *why, step, f"{line} --dry-run shows both sides."))


def _resolve_destination(command: Command, namespace: Mapping[str, Any]) -> Any:
    """What is to be loaded into: a model, or a variable that will be given what the file holds."""
    name = command.model
    if name.isidentifier() and not keyword.iskeyword(name) and name not in namespace:
        return None
    value = resolve(name, namespace, among=model_names(namespace), kind="model")
    if is_model(value):
        return value
    kinds = (list, tuple, dict)
    if name.isidentifier() and (value is None or is_tensor(value) or any(is_a(value, kind) for kind in kinds)):
        return value
    raise LineError(
        f"{inert(name, 80)} is of type {type_name(type(value))}, expected a model, or a variable that holds a tensor, "
        f"a list, a dict or nothing. Usage: {LOAD.line}"
    )


def _resolve_optimizer(command: Command, value: Any, namespace: Mapping[str, Any]) -> Any:
    if not command.optimizer:
        return None
    if is_a(value, ModelHandle):
        if value.module is None:
            return command.optimizer  # refused, with why
        value = value.module
    known = optimizers_in(namespace, value) if is_module(value) else {}
    found = resolve(command.optimizer, namespace, among=known, kind="optimizer")
    if not is_a(found, Optimizer):
        raise InvalidTargetError(
            f"{command.optimizer} is of type {type_name(type(found))}, expected a torch.optim.Optimizer."
        )
    return found


def _next_step(command: Command, plan: checkpoint.LoadPlan, trial: checkpoint.LoadPlan | None) -> str:
    """What to type now: of what was tried, ``trial`` being the plan with all renames that are sure."""
    line = f"%nn load {command.model} {command.files[0]}"
    if command.entry is not None:
        line += f" --entry {_in_quotes(command.entry)}"
    fit = entries_that_fit(plan)
    if fit:
        return f"{line} --entry {_in_quotes(fit[0])}"
    if plan.is_complete:
        return f"Without --dry-run the same line loads it{'' if not command.renames else ', renames and all'}."
    if trial is not None:
        names = [entry.source for entry in plan.entries if entry.source is not None]
        short = in_short(plan.renames, names)
        words = [f"--rename {_rename_source(key)}={new}" for key, new in short.items()]
        more = and_more(len(words) - _MOST_WORDS)
        partly = "" if trial.is_complete else " --partial"
        return f"{line} {' '.join(inert(word, 120) for word in words[:_MOST_WORDS])}{more}{partly}"
    n = sum(entry.is_loaded for entry in plan.entries)
    n_model = sum(entry.path is not None for entry in plan.entries)
    return f"{line} --partial loads the {n} of {counted(n_model, 'tensor')} that fit." if n else ""


def _in_quotes(name: str) -> str:
    """A name as a word of a line: in quotes where it needs them."""
    return name if name and not any(each.isspace() or each in "\"'" for each in name) else f'"{name}"'


def _rename_source(key: Any) -> str:
    return f"{_PATTERN}{key.pattern}" if isinstance(key, re.Pattern) else str(key)


def _complete_file(typed: TypedLine, *, most: int = 1) -> Iterator[Candidate]:
    """Files and folders whose names begin as typed, folders with a slash; none after more words than ``most``."""
    if len(typed.words) > most:
        return
    name = typed.last.lstrip("\"'")
    quote = typed.last[: len(typed.last) - len(name)]
    folder, _ = os.path.split(name)
    try:
        with os.scandir(os.path.expanduser(folder or ".")) as found:  # noqa: PTH111 - as typed, and no more than needed
            entries = [(entry.name, entry.is_dir()) for entry, _ in zip(found, range(_MOST_FILES), strict=False)]
    except OSError:
        return
    shows_hidden = os.path.basename(name).startswith(".")  # noqa: PTH119 - of a text
    for entry, is_folder in sorted(entries, key=lambda each: (each[0].startswith("."), each[0])):
        if entry.startswith(".") and not shows_hidden:
            continue
        path = os.path.join(folder, entry) + ("/" if is_folder else "")  # noqa: PTH118 - as typed
        needs_quotes = bool(quote) or any(map(str.isspace, path))
        yield Candidate(f"{quote or chr(34)}{path}{quote or chr(34)}" if needs_quotes else path, "path")


def _complete_side(typed: TypedLine) -> Iterator[Candidate]:
    if len(typed.words) < 2:  # noqa: PLR2004 - two sides
        yield from model_candidates(typed.last, typed.namespace)
        yield from mark_candidates(typed.last, typed.namespace)
    yield from _complete_file(typed)


def _complete_rename(typed: TypedLine) -> Iterator[Candidate]:
    """Renames that are suggested for a model and a file; then names in the file; after ``=``, paths in the model."""
    if len(typed.words) < 2 or typed.structure is None:  # noqa: PLR2004 - a model and a file
        return
    old, equals, _ = typed.last.partition("=")
    file = unquote(typed.words[1])
    try:
        if equals:
            known = typed.structure
            paths = [each.path for each in known.tensors] if isinstance(known, ModuleTree) else LiveModel(known).tensors
            yield from (Candidate(f"{old}={path}", "path") for path in islice(paths, _MOST_NAMES))
            return
        if typed.module is None:  # a plan waits for what ranks are doing
            yield from (Candidate(f"{name}=", "path") for name in checkpoint.peek(file).names[:_MOST_NAMES])
            return
        plan = checkpoint.plan(typed.module, file)
    except NNWidgetsError:
        return
    yield from (Candidate(f"{old}={new}", "path") for old, new in plan.renames.items())
    left = [entry.source for entry in plan.entries if entry.path is None]
    yield from (Candidate(f"{name}=", "path") for name in left[:_MOST_NAMES])


def _complete_entry(typed: TypedLine) -> Iterator[Candidate]:
    """The state dicts of the files that are named."""
    for word in typed.words:
        with suppress(NNWidgetsError, OSError):
            if Path(unquote(word)).expanduser().exists():
                entries = checkpoint.peek(unquote(word)).entries[:_MOST_NAMES]
                yield from (Candidate(_in_quotes(each.name), "value") for each in entries)


def _complete_optimizer(typed: TypedLine) -> Iterator[Candidate]:
    """The variables that hold an optimizer of the model."""
    if typed.module is not None:
        yield from (Candidate(name, "value") for name in optimizers_in(typed.namespace, typed.module))


_ENTRY = Option(
    "--entry", "which state dict of the file, where it isn't the one that fits best; Tab lists them", "model_ema",
    "entry", unquote, _complete_entry,
)  # fmt: skip


def _optimizer_option(about: str) -> Option:
    return Option("--optimizer", about, "adam", "optimizer", complete=_complete_optimizer)


_PARSE_FILE = partial(_parse_files, least=1, most=1, otherwise="no file is named")
_PARSE_SIDES = partial(
    _parse_files, least=2, most=2, otherwise="two sides are compared, each a model, a mark or a file"
)

SAVE = Subcommand(
    "save",
    "Save a model, or a tensor, a list or a dict of tensors. The old file is there until the new one is whole, and "
    "what was written is read back and compared.",
    _run_save, arguments="net mlp.params", summary="net file", parse=_PARSE_FILE, complete=_complete_file,
    options=(
        Option("--overwrite", "write over a file that is there"),
        _optimizer_option("save this optimizer's state beside the model"),
        Option("--shards", "cut it into files of at most that size", "2GB", "shard_bytes", _read_size),
        Option("--no-verify", "don't read it back"),
    ),
    details=(
        ("file", ".safetensors gives that format, a folder or --shards gives shards with an index, all else torch's"),
        ("a model over ranks", "all of them save it or none; cut into parts it goes to a folder, or .safetensors"),
    ),
    examples="%nn save net mlp.params\n%nn save net mlp.safetensors --overwrite\n%nn save tensors x.pt",
)  # fmt: skip

_RENAME = r"what is out in the file is output in the model; parts of names will do, and re:^h(\d+)=layers.\1"

LOAD = Subcommand(
    "load",
    "Load a file into a model in place: planned first, checked whole, all or nothing, undoable. Where the variable "
    "holds no model, it is given what is in the file.",
    _run_load, arguments="net mlp.params", summary="net file", parse=_PARSE_FILE, complete=_complete_file,
    options=(
        Option("--dry-run", "show the plan, and load nothing"),
        Option("--rename", _RENAME, "out=output", "renames", _read_rename, _complete_rename, is_repeated=True),
        _ENTRY,
        Option("--partial", "load what fits, where not all does"),
        _optimizer_option("give this optimizer the state that is in the file"),
    ),
    examples="%nn load net mlp.params --dry-run\n%nn load net mlp.params --rename out=output\n%nn load x x.pt",
)  # fmt: skip

DIFF = Subcommand(
    "diff",
    "Compare two state dicts, of a model, a mark of one or a file: what was added, removed, changed, and by how much.",
    _run_diff, arguments="net mlp.params", summary="net file", parse=_PARSE_SIDES, complete=_complete_side,
    options=(_ENTRY,),
    examples="%nn diff net mlp.params\n%nn diff before.pt after.pt\n%nn diff net other", takes_model=False,
)  # fmt: skip

SNAPSHOT = Subcommand(
    "snapshot",
    "Mark what a model's tensors are now, in memory: %nn diff tells what moved since, %nn stats --since by how much.",
    _run_snapshot, arguments="net [name]", summary="net [name]", parse=_parse_snapshot,
    options=(Option("--digests", "keep no values: tells what moved, not by how much, in next to no memory"),),
    details=(("name", "the variable that holds the mark; without one it is called mark"),),
    examples="%nn snapshot net\n%nn snapshot net before --digests\n%nn diff before net",
)  # fmt: skip

LS = Subcommand(
    "ls", "The checkpoints of a folder; of a file, its tensors, read from its header alone.",
    _run_ls, arguments="[folder|file]", summary="", complete=partial(_complete_file, most=0),
    parse=partial(_parse_files, least=0, most=1),
    examples="%nn ls\n%nn ls mlp.params", takes_model=False,
)  # fmt: skip

FILES = (SAVE, LOAD, DIFF, SNAPSHOT, LS)
