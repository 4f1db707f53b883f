"""Loading: planned from headers, checked whole, then written in place as one change, and compared with the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu, is_same
from nnwidgets.checkpoint.description import Composed, Described, Wrapped, distinct_storages
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.formats.paths import check_path
from nnwidgets.checkpoint.loading.advice import loaded_entries
from nnwidgets.checkpoint.loading.copy_tensors import Pair, Transfer, size
from nnwidgets.checkpoint.loading.layouts.conversions import as_wanted
from nnwidgets.checkpoint.loading.load_code import recipe
from nnwidgets.checkpoint.loading.materialize import Materialized, has_no_data
from nnwidgets.checkpoint.loading.optimizer_state import LoadedState, optimizer_states
from nnwidgets.checkpoint.loading.plan import forms_of, loadable_tensors, make_plan, names_in_model, state_dict_in
from nnwidgets.checkpoint.loading.sharded_tensors import digest_of, stored_here
from nnwidgets.checkpoint.loading.whole_tensors import WholeTensors, is_whole
from nnwidgets.checkpoint.own_code.given import Given, given_to
from nnwidgets.checkpoint.own_code.module_state import ModuleState
from nnwidgets.checkpoint.own_code.parts import own_code_in, part_of
from nnwidgets.checkpoint.own_code.torch_load import TorchLoad
from nnwidgets.checkpoint.progress import Progress, Tick, tick_of
from nnwidgets.checkpoint.read import ContentReader
from nnwidgets.checkpoint.records import LoadPlan, LoadReport, PlanEntry
from nnwidgets.checkpoint.state_dict import StateDictLocation, saved_entries
from nnwidgets.edit.code import Recipe
from nnwidgets.edit.over_ranks.agreement import current, on_all_ranks, within, world_size
from nnwidgets.edit.over_ranks.part import Part
from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, commit
from nnwidgets.edit.undo_copy.undo import Exchangeable
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import Advice, AdvisedText, CheckpointMismatchError, CorruptCheckpointError, NNWidgetsError
from nnwidgets.formatting import some
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.safe_access.scan import gc_paused

_FEW = 3
_MOST_TOLD = 20
_STATES = {"new": "As in the file", "mixed": "In part as in the file", "old": "As before"}


@over_handles
@on_all_ranks
def load(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    rename: Mapping[Any, str] | None = None,
    entry: str | None = None,
    strict: bool = True,
    optimizer: Any = None,
    undo: bool = True,
    progress: Progress | None = None,
) -> LoadReport:
    """Load a checkpoint into a model, in place, wholly or not at all; undoable.

    Nothing in the file can run code. All of it is read and checked, checksums too, before the first byte of the model
    changes; whatever fails on the way, the model stays bit for bit as it was. Afterwards every loaded tensor is
    compared with the file. Where ``NAME.sha256`` lies beside a file, as ``sha256sum`` writes it, or the file is in a
    hub's cache, which names it by its SHA-256, the whole file is compared with that too, and so is each shard and each
    file of a distributed checkpoint. Ties, views and the references of optimizers hold. Tensors on the meta device, and
    lazy ones, are given memory on the CPU, parts on the device of their mesh. Sparse and quantized ones, and those of
    a class that holds others as torchao's do, are copied whole; for the last the file must have one of the same class
    with the same attributes.

    Of a model that ranks hold together (DTensors of FSDP2, HSDP and tensor parallelism; DDP) each rank that runs this
    line reads its part from the same file, whatever number of ranks wrote it, and checks what it reads; all of them
    load, or none does. They wait for each other as `init` does, and longer for one that is at work. For a checksum all
    is read that was saved in one piece: of a file of ``torch.save`` the whole tensor, of a distributed checkpoint the
    pieces that reach into the part; most safetensors files have none.

    What it does to a model is what ``load_state_dict`` would do. A module with code of its own for that (overrides of
    ``_load_from_state_dict`` and its like, hooks, extra state) gets what the file has for it, and for all below it,
    through that very code, run by torch; should it raise, all it did is taken back. Whether it took the file's values
    is then seen by what ``state_dict()`` gives of it.

    Args:
        module: The model.
        path: A checkpoint of any format that `peek` knows.
        rename: As for `plan`: names in the file to paths in the model.
        entry: As for `plan`: which state dict of the file, where it isn't the one that fits best.
        strict: Refuse where either side has a tensor that the other hasn't, or shapes differ. Otherwise load what fits.
            A batch norm's counter that the file lacks is let pass, as torch does.
        optimizer: Gets the optimizer's state that is in the file, or in ``optimizer.pt`` of a trainer's folder, matched
            by name where it has names, else by order, and by shape; of several states, the one that fits.
        undo: Whether the old values are kept. Without them the load can't be undone, takes no memory beside the model
            (but for modules with code of their own, while it runs), and is all or nothing only until the copying
            begins: all that can be checked is checked before, checksums too. Should the disk fail after that, the
            error's ``tensors`` says of each tensor whether it is ``"new"``, ``"old"`` or ``"mixed"``. Ranks agree
            before it begins then, and once more when all is written.
        progress: Told bytes done and in all; what it raises cancels the load.

    Returns:
        What was loaded: tensor by tensor, and how much.

    Raises:
        PathNotFoundError: There is no such file; or ``entry`` or a rename names nothing in it.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged, or changes while it is read.
        CheckpointMismatchError: It doesn't fit the model; the message says where, and suggests renames. Or several
            state dicts in it fit equally.
        InvalidTargetError: A tensor of the model can't be written in place.
        RankMissingError: Of a model that ranks hold together, one didn't come, or can't; it is named, and why.
        RanksDisagreeError: They read different files, or load different things.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> net, other = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> file = tempfile.mkdtemp() + "/linear.safetensors"
        >>> save_file(net.state_dict(), file)
        >>> load(other, file).n_loaded, torch.equal(net.weight, other.weight)
        (2, True)
    """
    with open_checkpoint(path) as held:
        try:
            scope = ChangeScope(module)
            found = state_dict_in(held, lambda: forms_of(scope.tree), entry)
            parts = own_code_in(scope.live.scan)
            plan = make_plan(scope, held, found, rename, parts)
            entries = loaded_entries(scope, held, found, plan, rename, strict=strict)
        except NNWidgetsError:
            # What doesn't fit may do so for being damaged.
            held.verify_files(tick_of(progress, held.n_bytes_to_hash))
            raise
        names = names_in_model(found, rename, parts, saved_entries(scope.tree)) if parts else {}
        own = given_to(parts, scope, held, found, names, strict=strict)
        place = check_path(path)
        folder = place if place.is_dir() else None
        return _Load(
            scope,
            held,
            found,
            plan,
            entries,
            own=own,
            strict=strict,
            optimizer=optimizer,
            folder=folder,
            undo=undo,
            progress=progress,
        ).carry_out()


class _Load:
    """One load."""

    def __init__(
        self,
        scope: ChangeScope,
        held: CheckpointReader,
        found: StateDictLocation,
        plan: LoadPlan,
        entries: Sequence[PlanEntry],
        *,
        own: Given,
        strict: bool,
        optimizer: Any,
        folder: Path | None,
        undo: bool,
        progress: Progress | None,
    ) -> None:
        self.own, self.strict, self.undo = own, strict, undo
        self.held, self.found, self.plan, self.entries = held, found, plan, entries
        self.scope, self.optimizer, self.folder = scope, optimizer, folder
        self.warnings = [*plan.warnings, *(text for each in held.expected_sums for text in each.unclear)]
        self._paths = {entry.path for entry in plan.entries}
        self._progress = progress
        self._tick = tick_of(None, 0)
        self._agreement = current()

    def carry_out(self) -> LoadReport:
        """Do it."""
        model = self.scope
        by_source = loadable_tensors(self.found)
        with gc_paused():
            sourced = [
                (entry, tensor, *self._here(entry, tensor, by_source[entry.source]))
                for entry in self.entries
                if entry.path is not None and entry.source is not None and entry.status != "own_code"
                for tensor in (model.tensor(entry.path),)
            ]
        n_bytes = sum(size(described) for _, _, described, _ in sourced)
        of_own = (each if isinstance(each, Wrapped) else self.held.located(each) for each in self.own.tensors)
        storages = distinct_storages(chain((described for _, _, described, _ in sourced), of_own))
        n_summed = sum(each.n_bytes for each in storages.values() if each.crc32 is not None)
        self._tick = self._beating(tick_of(self._progress, self.held.n_bytes_to_hash + n_summed + 2 * n_bytes))
        self.held.verify_files(self._tick)
        self._refuse_half(model)
        states = optimizer_states(self.held, self.found, self.optimizer, model, self.plan, folder=self.folder)
        self.held.verify(storages.values(), self._tick)
        _check_parts(self.held, [described for _, _, described, _ in sourced])
        materialized, whole = Materialized(), WholeTensors()
        pairs: list[Pair] = []
        with gc_paused():
            for entry, tensor, described, part in sourced:
                path = str(entry.path)
                target = tensor
                if isinstance(described, Wrapped) or (not has_no_data(tensor) and is_whole(tensor)):
                    whole.prepare(path, tensor, described, self.held.tensor)
                    self._tick(2 * size(described))
                    continue
                if has_no_data(tensor):
                    shape = described.shape if entry.conversion is None else entry.conversion.shape
                    target = materialized.prepare(path, tensor, shape, described.dtype)
                pairs.append(Pair(path, str(entry.source), target, described, part))
        return self._commit(model, pairs, states, materialized, whole)

    def _here(self, entry: PlanEntry, tensor: Any, described: Described | Wrapped) -> tuple[Any, Part | None]:
        """What the file has for what is here of a tensor."""
        wanted = as_wanted(described, entry.conversion)  # type: ignore[arg-type] # a wrapped one is never converted
        if self._agreement is not None:
            self._agreement.beat()
        return stored_here(self.held, wanted, tensor, str(entry.path))

    def _beating(self, tick: Tick) -> Tick:
        """A tick that others that wait for this rank hear too."""
        agreement = self._agreement
        if agreement is None:
            return tick

        def told(n_bytes: int) -> None:
            agreement.beat()
            tick(n_bytes)

        return told

    def _refuse_half(self, model: ChangeScope) -> None:
        """Make sure that no tensor is written over in part by one that overlaps it.

        Raises:
            CheckpointMismatchError: One would be.
        """
        loaded = {entry.path for entry in self.entries}
        for group in model.tree.ties:
            inside = [path for path in group.members if path in loaded]
            outside = [path for path in group.members if path not in loaded and path in self._paths]
            if group.kind == "overlap" and inside and outside:
                raise CheckpointMismatchError(
                    f"Loading {inside[0]} from {self.held.path.name} would write over a part of {outside[0]}, which "
                    "isn't loaded: they overlap in memory.",
                    path=outside[0],
                    hint="Load both, or neither.",
                )

    def _commit(
        self,
        model: ChangeScope,
        pairs: Sequence[Pair],
        states: LoadedState | None,
        materialized: Materialized,
        whole: WholeTensors,
    ) -> LoadReport:
        fresh = set(materialized.paths)
        live = {pair.path: pair for pair in pairs if pair.path not in fresh}
        with gc_paused():
            named = [TensorTarget(model.tree.find(path), pair.tensor) for path, pair in live.items()]  # type: ignore[arg-type] # tensors
            plain = dict(zip(live, check_writable(named, parts=True), strict=True))
            places, _ = distinct_memory(named)
        first = {id(pair.tensor): pair for pair in reversed(pairs) if pair.path in fresh}
        written = [*(live[place.path] for place in places), *first.values()]
        own = self._torch_load(model)
        state = (
            None
            if own is None
            else ModuleState([part.path or "The model" for part in self.own.values], own.modules, own.run)
        )
        changes: list[Exchangeable] = [each for each in (materialized if fresh else None, state) if each is not None]
        changes += [whole] if whole.paths else []
        is_kept, said = self.undo, b""
        if self._agreement is not None:
            said = digest_of(self.held, loadable_tensors(self.found))
        if not is_kept:
            self._refuse_unlike(model, pairs, written)
            is_kept = self._agreement is not None and not self._agreement.begin(
                f"load {self.held.path.name} ({said.hex()})"
            )
        transfer = Transfer(self.held, pairs, self._tick, is_kept=is_kept)

        def write(guard: WriteGuard) -> None:
            if (others := within()) is not None:
                others.note(said)
            if state is not None:
                guard.before()
                state.exchange()
            with self._told(transfer):
                transfer.write(written, guard)
            whole.exchange()

        def verify(guard: WriteGuard) -> None:
            self._compare(transfer.differing(guard), model, whole.foreign())
            if own is not None:
                own.compare()

        final = "it was loaded with undo=False, which keeps no old values." if not self.undo else ""
        plan = Plan(
            kind="load",
            label=f"load {self.held.path.name}",
            places=places,
            plains=[*(plain[place.path] for place in places if is_kept), *(state.plains if state else [])],
            ties=model.ties_of(places),
            write=write,
            verify=verify,
            code=lambda: self._recipe(model, own, states),
            warnings=self.warnings,
            states=changes if states is None else [*changes, states],
            others=tuple(
                entry.path for entry in self.entries if entry.path and _is_other(model, entry, fresh | set(whole.paths))
            ),
            may_exceed_budget=True,
            final="a lazy tensor got its shape with it." if materialized.has_lazy else final,
        )
        change = commit(model, plan) if written or plan.states else None
        loaded = [entry for entry in self.entries if entry.status != "own_code" or entry.source is not None]
        if own is not None:
            plan.warnings += own.warnings()
            own_left = set(own.left)
            loaded = [entry for entry in loaded if entry.source not in own_left]
        of_own_code = sum(entry.n_elements for entry in loaded if entry.status == "own_code")
        left = [entry for entry in self._left if entry.path is not None]
        return LoadReport(
            plan=self.plan,
            n_loaded=len(loaded),
            n_elements=sum(pair.tensor.numel() for pair in written) + of_own_code + whole.n_elements,
            verified=own is None or not own.wrong,
            change=change,
            warnings=tuple(plan.warnings),
            left=tuple(str(entry.path) for entry in left),
            n_left_elements=sum(_own_elements(model, left).values()),
            optimizer=None if states is None else states.summary,
            ranks=() if self._agreement is None else self._agreement.ranks,
            world_size=world_size(),
        )

    def _torch_load(self, model: ChangeScope) -> TorchLoad | None:
        """What torch loads into modules with code of their own, where there are such."""
        if not self.own.values:
            return None
        loaded = {entry.path for entry in self.entries if entry.source is not None}.union(self.own.sources)
        group_of = {path: group for group in model.tree.ties if group.kind != "overlap" for path in group.members}

        def is_tied(name: str) -> bool:
            return name in group_of and any(each in loaded for each in group_of[name].members if each != name)

        reader = partial(ContentReader, self.held, distinct_storages(self.own.tensors), as_arrays=True)
        return TorchLoad(
            self.held.path.name, self.own.values, reader, self.own.versions, strict=self.strict, tied=is_tied
        )

    @contextmanager
    def _told(self, transfer: Transfer) -> Iterator[None]:
        """Say what became of each tensor where copying fails and nothing is put back."""
        try:
            yield
        except BaseException as error:
            if not transfer.is_kept:
                by_path = transfer.progress_by_path()
                told = "; ".join(
                    f"{word}: {some([path for path, state in by_path.items() if state == key], _MOST_TOLD)}"
                    for key, word in _STATES.items()
                    if key in by_path.values()
                )
                said = f"It was loaded with undo=False, so nothing is put back. {told}."
                if isinstance(error, CorruptCheckpointError):
                    raise CorruptCheckpointError(
                        f"{error.message} {said}", path=error.path, tensors=by_path,
                        hint="The error's tensors says it of each. Load the file again when it can be read.",
                    ) from error  # fmt: skip
                error.add_note(said)
            raise

    def _refuse_unlike(self, model: ChangeScope, pairs: Sequence[Pair], written: Sequence[Pair]) -> None:
        """Make sure that names of one tensor have one value in the file, since nothing could be put back."""
        by_group: dict[str, Pair] = {}
        for pair in written:
            by_group.setdefault(model.by_path[pair.path].tie or "" if pair.path in model.by_path else "", pair)
        are_written = {id(pair) for pair in written}
        for pair in pairs:
            entry = model.tree.find(pair.path)
            other = by_group.get(getattr(entry, "tie", None) or "")
            if id(pair) in are_written or other is None or pair.described == other.described:
                continue
            one, two = (
                as_contiguous_cpu(self.held.tensor(each.described).to(pair.tensor.dtype)) for each in (pair, other)
            )
            if one.numel() != two.numel() or not is_same(one, two):
                self._compare([pair], model)

    @cached_property
    def _left(self) -> list[PlanEntry]:
        return [entry for entry in self.plan.entries if not entry.is_loaded]

    def _recipe(self, model: ChangeScope, own: TorchLoad | None, optimizer: LoadedState | None) -> Recipe:
        given = None
        if self.own.values:
            others = [entry for entry in self.entries if entry.path and part_of(entry.path, self.own.parts) is None]
            given = {str(entry.path): entry.source for entry in others if entry.source} | self.own.sources
            given |= {str(entry.path): given[entry.tied_to] for entry in others if entry.tied_to in given}
        is_left = any(entry.path not in self.plan.kept for entry in self._left)
        is_strict = not is_left and not (own and (own.left or own.has_ties))
        return recipe(
            model, self.held, self.found, self.plan, self.entries, given=given, versions=self.own.versions,
            is_strict=is_strict, optimizer=optimizer,
        )  # fmt: skip

    def _compare(self, wrong: Sequence[Pair], model: ChangeScope, others: Sequence[str] = ()) -> None:
        """See to it that what is live now is what the file has.

        Raises:
            CheckpointMismatchError: Names of the same memory have different values in the file.
            CorruptCheckpointError: The file has changed on the way.
        """
        if not all(file.is_as_opened for file in self.held.files):
            raise CorruptCheckpointError(
                f"{self.held.path.name} was changed while it was being loaded; the model is as it was.",
                path=str(self.held.path),
                hint="Load it again when nothing writes it.",
            )
        named = [*((pair.path, pair.source) for pair in wrong), *zip(others, others, strict=True)]
        if not named:
            return
        tied = {path: group for group in model.tree.ties for path in group.members}
        path, source = named[0]
        if path in tied:
            names = " and ".join(tied[path].members[:_FEW])
            members = set(tied[path].members)
            sources = [
                str(entry.source) for entry in self.entries if entry.path in members and entry.source is not None
            ]
            pattern = f"^{re.escape(sources[-1])}$"
            raise CheckpointMismatchError(
                f"{names} share memory in the model and have different values in {self.held.path.name}; the model is "
                "as it was.",
                path=path,
                hint=AdvisedText(
                    "Untie them first, or leave one name of them out: ",
                    Advice.LOAD_PARTLY,
                    f" with rename={{re.compile({pattern!r}): 'left out'}}.",
                ),
            )
        raise CorruptCheckpointError(
            f"{path} isn't what {self.held.path.name} has under {source} after loading it: something else "
            "wrote it meanwhile. The model is as it was.",
            path=path,
            hint="Stop the training cell and load again.",
        )


def _check_parts(held: CheckpointReader, tensors: Sequence[Described]) -> None:
    """Put together once what can fail to be: a sparse tensor whose indices reach beyond its shape."""
    for each in tensors:
        if isinstance(each, Composed) and each.layout != "strided":
            held.tensor(each)


def _own_elements(model: ChangeScope, entries: Sequence[PlanEntry]) -> dict[str, int]:
    """How many elements some tensors have, by the first name of each."""
    group_of = {path: group.id for group in model.tree.ties for path in group.members}
    made: dict[str, int] = {}
    for entry in entries:
        made.setdefault(group_of.get(str(entry.path), str(entry.path)), entry.n_elements)
    return made


def _is_other(model: ChangeScope, entry: PlanEntry, fresh: set[str]) -> bool:
    """Whether an entry is one of those without data, under whatever name, or one that code of its own loads."""
    if entry.status == "own_code":
        return entry.path in model.by_path
    return entry.path in fresh or (entry.tied_to or "") in fresh or has_no_data(model.tensor(str(entry.path)))
