"""Files put into a folder whole or not at all.

A file is written under another name beside its target, synced, and renamed over it. Its writer holds a lock on it, so
that one which nobody holds is that of a writer who died: the next save removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from nnwidgets.checkpoint.formats.file import Closing
from nnwidgets.errors import Advice, AdvisedText, SaveError
from nnwidgets.formatting import counted, short_bytes

try:
    import fcntl
except ImportError:  # Windows, where reading works all the same
    fcntl = None  # type: ignore[assignment] # asked for before a folder is opened

TEMP_NAME = re.compile(r"\.nnw-[0-9a-f]{16}\.part")
"""Names of files that are being written."""

_TRIES = 100
_NOT_LOCKED = {errno.EWOULDBLOCK, errno.EACCES}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS, errno.EACCES}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EOPNOTSUPP}


class TargetDirectory(Closing):
    """A folder that files are put into, held open so that it is the same one to the end.

    Attributes:
        path: Its absolute path, symbolic links followed.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: It isn't there, or no folder.
            SaveError: This system can't lock and rename as safe saving needs it.
        """
        if fcntl is None or os.open not in os.supports_dir_fd:
            raise SaveError(
                f"Saving isn't safe on {sys.platform} yet: it needs POSIX file locks and renames.",
                path=str(path),
                hint="Use torch.save(net.state_dict(), file) or safetensors' save_file; %nn load and diff read them.",
            )
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))

    def create_temp(self, mode: int | None = None, suffix: str = "part") -> TempFile:
        """Begin a file in it.

        Args:
            mode: Its permissions; as any new file's where None.
            suffix: What its name ends in.

        Raises:
            OSError: It can't be written.
        """
        for _ in range(_TRIES):
            name = f".nnw-{secrets.token_hex(8)}.{suffix}"
            fd = os.open(name, _NEW, 0o666, dir_fd=self._fd)
            # A sweep that came between the two calls holds the lock, or has removed the file.
            if try_lock(fd, where_unknown=True) and os.fstat(fd).st_nlink:
                return TempFile(self, name, fd, mode)
            os.close(fd)
        raise OSError(errno.EEXIST, "no file could be begun", str(self.path))

    def sweep(self, names: re.Pattern[str] = TEMP_NAME) -> Iterator[tuple[str, int]]:
        """Remove the files of dead writers, each once it was given, open, to whom it concerns.

        Args:
            names: Whole names of such files.
        """
        try:
            found = [each for each in self.names() if names.fullmatch(each)]
        except OSError:
            return
        for name in found:
            try:
                fd = os.open(name, _OLD, dir_fd=self._fd)
            except OSError:
                continue
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode) and try_lock(fd, where_unknown=False):
                    yield name, fd
                    self.remove(name)
            finally:
                os.close(fd)

    def remove(self, name: str) -> bool:
        """Remove a file; whether it is gone."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def names(self) -> list[str]:
        """What is in it.

        Raises:
            OSError: It can't be listed.
        """
        return os.listdir(self._fd)  # noqa: PTH208 - of the folder that is open, whatever its name is now

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let one writer at a time change several of its files; where it can't be locked, hope for the best."""
        with contextlib.suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def sync(self) -> str | None:
        """Make renames last through a power failure; why not, where that failed."""
        try:
            sync(self._fd)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                return f"The folder couldn't be synced ({error.strerror}): a power failure now may undo the save."
        return None

    def free_bytes(self) -> int | None:
        """What may still be written in it; None where its file system doesn't say."""
        try:
            found = os.fstatvfs(self._fd)
        except (OSError, AttributeError):
            return None
        is_root = getattr(os, "geteuid", lambda: 1)() == 0
        blocks = found.f_bfree if is_root else found.f_bavail
        return blocks * found.f_frsize if found.f_blocks else None

    def close(self) -> None:
        """Close it; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sync(fd: int) -> None:
    """Make what was written last through a power failure: macOS's fsync alone leaves it in the drive's cache.

    Raises:
        OSError: It can't be.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):  # not every file system can
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


class TempFile(Closing):
    """A file that is being written; gone at the end unless it was placed.

    Attributes:
        fd: To write to.
        path: Where it is now.
    """

    def __init__(self, folder: TargetDirectory, name: str, fd: int, mode: int | None) -> None:
        """Take a new file; its permissions become ``mode``."""
        self._folder, self._name, self.fd = folder, name, fd
        self.path = folder.path / name
        self._is_placed = False
        if mode is not None:
            try:
                os.fchmod(fd, mode)
            except BaseException:
                self.close()
                raise

    def place(self, target: Path, *, replace: bool) -> None:
        """Give it, synced, its name; what was there is replaced in one step, or there is an error.

        Raises:
            FileExistsError: Something is there, and ``replace`` is false.
            OSError: The folder is gone, or can't be written.
        """
        sync(self.fd)
        if replace:
            self.path.replace(target)
        else:
            self._link(target)
        self._is_placed = True

    def _link(self, target: Path) -> None:
        """Rename would replace what another saver has just put there; a link won't."""
        try:
            os.link(self.path, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            self.path.rename(target)
            return
        self._folder.remove(self._name)

    def close(self) -> None:
        """Close it, and remove it where it wasn't placed; may be called again."""
        if self.fd >= 0:
            if not self._is_placed:
                self._folder.remove(self._name)
            os.close(self.fd)
            self.fd = -1


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of some bytes: the system may take a part at a time.

    Raises:
        OSError: They can't be written.
    """
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])


def try_lock(fd: int, *, where_unknown: bool) -> bool:
    """Take the lock on an open file: whether nobody else has it; ``where_unknown`` on a file system without locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NOT_LOCKED and where_unknown
    return True


@contextlib.contextmanager
def as_save_error(target: Path) -> Iterator[None]:
    """What the system refuses inside becomes a `SaveError` that says what to do."""
    try:
        yield
    except FileExistsError as error:
        raise exists_error(target) from error
    except OSError as error:
        raise SaveError(
            f"{target.name} couldn't be saved in {str(target.parent)!r}: {_reason(error)}.",
            path=str(target),
            hint=f"{_HINTS.get(error.errno or 0, _HINT)} {_UNTOUCHED}",
        ) from error


def exists_error(target: Path) -> SaveError:
    """The error for a target that is there already."""
    return SaveError(
        f"{target.name} is there already, in {str(target.parent)!r}.",
        path=str(target),
        hint=AdvisedText("Pass ", Advice.OVERWRITE, " to replace it, or choose another name."),
    )


def check_space(folder: TargetDirectory, n_bytes: int, target: Path) -> None:
    """Make sure that so many bytes can be written, as far as the file system says.

    Raises:
        SaveError: They can't.
    """
    free = folder.free_bytes()
    if free is not None and n_bytes > free:
        raise SaveError(
            f"{target.name} needs {short_bytes(n_bytes)} ({counted(n_bytes, 'byte')}), and {str(folder.path)!r} has "
            f"{short_bytes(free)} free.",
            path=str(target),
            hint=f"{_HINTS[errno.ENOSPC]} {_UNTOUCHED}",
        )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".").lower()


_FULL = "Make room, or choose another disk; the old file stays until the new one is whole, so both must fit."
_CLOSED = "Choose a folder that can be written, or change its permissions."
_HINT = "Check the folder, or choose another one."
_HINTS = {
    errno.ENOSPC: _FULL,
    getattr(errno, "EDQUOT", -1): _FULL,
    errno.EFBIG: "The system allows no file that large; pass shard_size for several smaller ones.",
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.ENOENT: "Make the folder first.",
    errno.ENOTDIR: "A part of the path is a file; name a folder.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Its symbolic links lead in a circle.",
    errno.EMFILE: "Too many files are open; pass a larger shard_size.",
}
_UNTOUCHED = "Nothing was changed."

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS
# A pipe under such a name would block in open.
_OLD = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
