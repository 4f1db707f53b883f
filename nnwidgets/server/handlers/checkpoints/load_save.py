"""Answers to `load` and `save`: all or nothing, with progress, and cancelled without a trace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer

from nnwidgets.checkpoint import load, save
from nnwidgets.checkpoint.formats.folder_files import is_checkpoint
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted, inert
from nnwidgets.server.handlers.checkpoints.plan import chosen_renames, plan_for
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.folder import errors_named_from_here, name_from_here, relative, resolve_in_folder
from nnwidgets.server.notebook.variables import optimizer_name
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import number
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.checkpoints import LoadReply, SaveReply

_MOST_TEXT = 400
_MOST_WARNINGS = 50


@handles("load", long=True, over_ranks=True)
def answer_load(session: Session, body: Mapping[str, Any], job: Job) -> LoadReply:
    """Load, and tell every view of the model.

    Raises:
        RequestError: `outside-folder`; `cancelled`, and then nothing was changed.
        CheckpointMismatchError: It does not fit; nothing was changed.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged.
    """
    job.hold()
    file = resolve_in_folder(body["path"])
    entry = body.get("entry")
    rename = chosen_renames(file, plan_for(session, file, {}, entry), body)
    with errors_named_from_here():
        found = session.ask(
            partial(
                load,
                path=file,
                rename=rename or None,
                entry=entry,
                strict=body["strict"],
                optimizer=session.optimizers() if body["optimizer"] else None,
                progress=partial(_report, job),
            )
        )
    job.after_reply(partial(session.report_change, structure=True))
    return {
        "path": body["path"],
        "label": inert(found.change.label if found.change is not None else f"load {file.name}", _MOST_TEXT),
        "n_loaded": found.n_loaded,
        "n_elements": found.n_elements,
        "verified": found.verified,
        "warnings": [inert(each, _MOST_TEXT) for each in found.warnings[:_MOST_WARNINGS]],
    }


@handles("save", long=True, over_ranks=True)
def answer_save(session: Session, body: Mapping[str, Any], job: Job) -> SaveReply:
    """Save the model.

    Raises:
        RequestError: `outside-folder`; `file-exists`; `cancelled`, and then what was there is as it was.
        SaveError: Nothing was saved, and what was there is as it was.
    """
    job.hold()
    file = resolve_in_folder(body["path"])
    if not body["overwrite"] and (file.is_file() or (file.is_dir() and is_checkpoint(file))):
        raise RequestError(
            "file-exists",
            f"{inert(body['path'], _MOST_TEXT)} is there already.",
            path=body["path"],
            hint="Choose another name, or replace it.",
        )
    shard_size = body.get("shard_size")
    with errors_named_from_here():
        found = session.ask(
            partial(
                save,
                path=f"{file}{os.sep}" if body["path"].endswith("/") else file,
                optimizer=_optimizer(session) if body["optimizer"] else None,
                overwrite=body["overwrite"],
                shard_size=None if shard_size is None else int(number(shard_size)),
                verify=body["verify"],
                progress=partial(_report, job),
            )
        )
    return {
        "path": body["path"],
        "paths": [relative(each) for each in found.paths],
        "n_tensors": found.n_tensors,
        "size_bytes": found.size_bytes,
        "digest": found.digest,
        "verified": found.verified,
        "seconds": found.seconds,
        "warnings": [inert(each, _MOST_TEXT) for each in found.warnings[:_MOST_WARNINGS]],
        "code": name_from_here(found.to_code(session.code_name, optimizer_name(session.optimizers()))),
    }


def _optimizer(session: Session) -> Optimizer | list[Optimizer]:
    """Return the model's optimizer; over ranks what is refused there.

    Raises:
        SaveError: There is none, or more than one.
    """
    live = session.optimizers()
    if session.over_ranks is not None:
        return live
    if len(live) == 1:
        return live[0]
    found = "No live optimizer" if not live else counted(len(live), "live optimizer")
    raise SaveError(f"{found} of the model found, expected one.", hint="Use nnw.save(net, path, optimizer=…).")


def _report(job: Job, done: int, total: int) -> None:
    """Say how far a load or save is.

    Raises:
        RequestError: `cancelled`; both then leave everything as it was.
    """
    job.check()
    job.progress(done, total)
