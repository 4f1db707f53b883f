"""One rank's part of a save: what it was asked for, what it has, and files that another rank has begun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from nnwidgets.checkpoint.progress import Tick, tick_of
from nnwidgets.checkpoint.saving.here import Gathered, Request
from nnwidgets.checkpoint.saving.over_ranks.report_json import recipes_to_json
from nnwidgets.checkpoint.saving.over_ranks.steps import Steps
from nnwidgets.checkpoint.saving.save_code import RecipeFacts
from nnwidgets.checkpoint.saving.target import Target
from nnwidgets.checkpoint.writing.tensors_to_save import Contents, Versions
from nnwidgets.edit.code import Recipe
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted

_EXISTING = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a rank has to know and to give back at the end.

    Attributes:
        asked: What is to be saved.
        target: Where to.
        given: What that is.
        contents: It, made plain.
        facts: For the report's code.
        steps: To talk to the others.
        stack: Closes what was opened.
    """

    asked: Request
    target: Target
    given: Gathered
    contents: Contents
    facts: RecipeFacts
    steps: Steps
    stack: ExitStack

    def tick(self, n_bytes: int) -> Tick:
        """Told of bytes, of so many in all, that are written and perhaps read back; says that this rank works."""
        told = tick_of(self.asked.progress, n_bytes * (2 if self.asked.verify else 1))

        def tick(n: int) -> None:
            self.steps.beat()
            self.steps.call(told, n)

        return tick

    def versions(self) -> Versions:
        """Of the tensors, as they are now."""
        return Versions(self.contents.named)

    @contextmanager
    def open(self, name: str) -> Iterator[int]:
        """A file that the first rank has begun in the folder, open inside.

        Raises:
            RankMissingError: Another rank has called the save off.
            SaveError: It isn't there.
            OSError: It can't be opened.
        """
        folder = self.target.path if self.target.format == "sharded" else self.target.path.parent
        try:
            fd = os.open(folder / os.path.basename(name), _EXISTING)  # noqa: PTH119 - of text from the store
        except FileNotFoundError:
            self.steps.check_on()
            raise SaveError(
                f"Rank {self.steps.me} doesn't see in {str(folder)!r} the file that rank {self.steps.first} has begun "
                "there: they have different folders of that name.",
                path=str(self.target.path),
                hint="Save to a file system that all of them share. Nothing was changed.",
            ) from None
        try:
            yield fd
        finally:
            os.close(fd)

    def by_rank(self, warnings: dict[int, list[str]]) -> list[str]:
        """What ranks have to tell, each with who does where not all do."""
        made: dict[str, list[int]] = {}
        for rank, each in warnings.items():
            for text in each:
                made.setdefault(text, []).append(rank)
        n = len(self.steps.ranks)
        return [text if len(ranks) == n else f"{counted(len(ranks), 'rank')}: {text}" for text, ranks in made.items()]

    def told(self, recipes: tuple[Recipe, Recipe], **about: Any) -> dict[str, Any]:
        """A report as JSON, for all ranks."""
        return {
            "n_tensors": self.contents.n_tensors,
            "verified": self.asked.verify,
            "recipes": recipes_to_json(recipes),
            **about,
        }
