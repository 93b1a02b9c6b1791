"""One process at a time on a file. The operating system lets go when the process ends, however."""

import os
import sys
from os.path import samestat
from pathlib import Path

_LEAVING = "leaving"


class LockHeld(Exception):
    """Another process has the lock; `pid` is its number, 0 while it has not written it yet."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class FileLock:
    """An exclusive lock on the file *path*, held until `release` or the end of the process.

    The file stays behind, since removing it would let two processes lock two files of one name.
    Raises LockHeld, or OSError where the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._number)
        except OSError:
            pid, _ = _read(self._number)
            os.close(self._number)
            raise LockHeld(pid) from None
        self._write(str(os.getpid()))

    def is_in_place(self) -> bool:
        """Whether the next process would find this very file, and so the lock."""
        try:
            return self._number is None or samestat(os.fstat(self._number), self._path.stat())
        except FileNotFoundError:
            return False

    def say_leaving(self) -> None:
        """Let others know that this process is about to end."""
        self._write(f"{os.getpid()} {_LEAVING}")

    def release(self) -> None:
        """Let go. May be called twice."""
        if self._number is not None:
            os.close(self._number)
            self._number = None

    def _write(self, text: str) -> None:
        if self._number is not None:
            os.ftruncate(self._number, 0)
            os.lseek(self._number, 0, os.SEEK_SET)
            os.write(self._number, text.encode())


def is_at_work(path: Path) -> bool:
    """Whether a process holds the lock on *path* and has not said that it is leaving."""
    try:
        number = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(number) and not _read(number)[1]
    finally:
        os.close(number)


def _read(number: int) -> tuple[int, bool]:
    """Who holds the lock, and whether it is leaving."""
    os.lseek(number, 0, os.SEEK_SET)
    words = os.read(number, 64).decode("ascii", "replace").split()
    return (int(words[0]) if words and words[0].isdigit() else 0), _LEAVING in words


def try_lock(number: int) -> bool:
    """Lock the open file *number*; False if another has it."""
    try:
        _lock(number)
    except OSError:
        return False
    return True


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows lets nobody read what is locked: lock what nobody reads

    def _lock(number: int) -> None:
        os.lseek(number, _FAR, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)

    def unlock(number: int) -> None:
        """Let go of the open file *number*."""
        os.lseek(number, _FAR, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(number: int) -> None:
        """Let go of the open file *number*."""
        fcntl.flock(number, fcntl.LOCK_UN)
