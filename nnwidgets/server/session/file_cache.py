"""What was last read of files for a view, so that scrolling through it reads none again. It holds no tensor."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")

_MOST_KEPT = 12
_MOST_FILES = 2_000


class FileCache:
    """The last few results by what they were made from; what was made from other bytes is not given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Found], *, fresh: bool = False) -> Found:
        """Return what ``key`` gave before, or what ``make`` gives now.

        Args:
            key: Everything that the result depends on.
            make: Makes it; what it raises is not kept.
            fresh: Make it in any case.
        """
        with self._lock:
            if not fresh and key in self._kept:
                self._kept.move_to_end(key)
                found: Found = self._kept[key]
                return found
        made = make()
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


def signature(file: Path) -> Hashable:
    """Return what tells a file, or a folder of files, from what it was before: names, sizes, times of change."""
    try:
        found = file.stat()
        own = (str(file), found.st_dev, found.st_ino, *_state_of(found))
        if not file.is_dir():
            return own
        with os.scandir(file) as entries:
            inside = [(each.name, *_state_of(each.stat())) for each in islice(entries, _MOST_FILES)]
        return (*own, *sorted(inside))
    except OSError:
        return (str(file),)


def _state_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
