"""A job that serves: a door for each rank of a process group, and one token for all.

Nothing secret is put into the group's store, which whoever reaches its port can read: a token that is drawn goes to the
other ranks in a file that only this user can read.
"""

from __future__ import annotations

import os
import platform
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch.distributed as dist

from nnwidgets.distributed.serving.door import Door, handled
from nnwidgets.distributed.sources.process_group import ProcessGroupSource
from nnwidgets.distributed.sources.source import Missing
from nnwidgets.errors import InvalidTargetError, RankMissingError

_SHORTEST_TOKEN = 16
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - told apart here, used only where the user asks for it


class Served(NamedTuple):
    """Where a job can be asked: ``str`` of it is the line for a notebook.

    Attributes:
        address: Of this rank's door: ``"127.0.0.1:29500"``. Any rank's leads to all.
        token: What opens the doors. Whoever has it can look at the job's models.
    """

    address: str
    token: str

    def __str__(self) -> str:
        return f'nnw.ranks("{self.address}", token="{self.token}")'


def served_at(door: Door, rank: int) -> Served:
    """Where a job is asked by the door of one of its ranks."""
    host, port = door.doors[rank]
    return Served(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", door.token)


def checked_token(token: str | None) -> str | None:
    """The token, if it is one.

    Raises:
        InvalidTargetError: It is too short to be a secret, or no text.
    """
    if token is not None and (type(token) is not str or len(token) < _SHORTEST_TOKEN):
        raise InvalidTargetError(
            f"A token is a text of {_SHORTEST_TOKEN} characters or more.",
            hint="secrets.token_urlsafe() draws one; without token=, serve() does.",
        )
    return token


def open_doors(group: ProcessGroupSource, token: str | None, host: str, port: int, timeout: float) -> Door:
    """Open this rank's door, as every rank does, and tell each where the others' are.

    Args:
        group: What takes answers from rank to rank.
        token: The same on all ranks; None to draw one.
        host: Where to listen.
        port: Rank 0's; those of the others follow it. 0 for any that are free.
        timeout: Seconds to wait for the others.

    Raises:
        RankMissingError: A rank doesn't come, or can't listen; no rank listens then.
        RanksDisagreeError: A rank wants something else.
    """
    wanted = f"serve {host} {port} {'with a token' if token else 'draws a token'}"
    drawn = secrets.token_urlsafe(24) if token is None and group.rank == 0 else None
    with _handed_over(drawn) as file:
        said = _all(group, f"{wanted}: token", {"file": file, "host": platform.node()}, timeout)
        door, problem = None, ""
        try:
            token = token or _read(said[0]["file"])
            door = Door(_answer_of(group.world_size), token, (host, port + group.rank if port else 0))
        except (OSError, OverflowError) as error:
            problem = str(error)
        here = {"problem": problem, "door": door.address if door else None, "host": platform.node()}
        try:
            said = _all(group, f"{wanted}: door", here, timeout)
            _check_all_listen({rank: each["problem"] for rank, each in said.items() if each["problem"]})
        except BaseException:
            if door is not None:
                door.close()
            raise
    assert door is not None  # noqa: S101 - else there was a problem
    door.doors = {rank: (each["host"] if host in _ANYWHERE else host, each["door"][1]) for rank, each in said.items()}
    return door


def _check_all_listen(problems: Mapping[int, str]) -> None:
    if problems:
        why = "; ".join(f"rank {rank}: {problem}" for rank, problem in problems.items())
        raise RankMissingError(
            f"Not every rank can serve. {why}.",
            ranks=tuple(problems),
            hint="On several machines, give all ranks the same token=.",
        )


def _all(group: ProcessGroupSource, question: str, mine: Mapping[str, Any], timeout: float) -> dict[int, Any]:
    answers = group.exchange(question, mine, time.monotonic() + timeout, "serve()")
    for rank, answer in answers.items():
        if isinstance(answer, Missing):
            came = [other for other, each in answers.items() if not isinstance(each, Missing)]
            raise RankMissingError(answer.told(rank, came), ranks=(rank,), hint="Every rank calls serve().")
    return dict(answers)


@contextmanager
def _handed_over(token: str | None) -> Iterator[str | None]:
    """A file that this user alone can read, with the token in it, as long as the others may read it."""
    if token is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="nnwidgets-") as folder:
        file = Path(folder, "token")
        file.touch(mode=0o600)
        file.write_text(token, encoding="utf-8")
        yield str(file)


def _read(file: str) -> str:
    """The token in a file of this user's.

    Raises:
        OSError: There is none, or it is somebody else's.
    """
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, encoding="utf-8") as opened:
        about = os.fstat(descriptor)
        if hasattr(os, "getuid") and (about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077):
            raise PermissionError(f"{file} isn't this user's alone")
        return opened.read()


def _answer_of(world_size: int) -> Any:
    def answer(request: dict[str, Any]) -> Mapping[str, Any]:
        if not dist.is_initialized() and world_size > 1:
            message = "its process group is gone: destroy_process_group was called"
            return {"ok": False, "error": {"code": "rank-missing", "message": message}}
        return handled(request)

    return answer
