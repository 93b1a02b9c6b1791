"""Where the state of a rate budget is kept: within one process, or in a file for several.

All bots of an account share one file beside their journals, so that together they keep to its
rate limit. Reading and writing it costs a few system calls and no disk: microseconds.
"""

import math
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Protocol

from market_maker.clock import Clock
from market_maker.lockfile import LockHeld, try_lock, unlock

_RECORD = struct.Struct("<8s7d")
_SUM = struct.Struct("<I")
_MAGIC = b"mmrate01"
_LONGEST_BLOCK_S = 86_400.0
_PATIENCE_S = 0.05  # who holds the lock longer than that is stopped, not at work
_PAUSE_S = 0.0005


@dataclass(slots=True)
class Bucket:
    """A token bucket; its times are monotonic, which the processes of one machine share."""

    capacity: float
    refill_per_s: float
    tokens: float
    counted_s: float  # when `tokens` was right
    blocked_until: float = -math.inf


class Store(Protocol):
    """Lends the bucket out, to one thread of one process at a time."""

    def held(self) -> AbstractContextManager[Bucket]:
        """The bucket, to be read and changed. Raises LockHeld where it cannot be had in time."""


class OwnBucket(AbstractContextManager[Bucket]):
    """The bucket of one process."""

    def __init__(self, fresh: Bucket) -> None:
        self._bucket = fresh
        self._lock = threading.Lock()

    def held(self) -> AbstractContextManager[Bucket]:
        return self

    def __enter__(self) -> Bucket:
        self._lock.acquire()
        return self._bucket

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class SharedBucket:
    """The bucket in the file *path*, for every process that opens it.

    What is in the file counts, and *fresh* where there is nothing that can be: no file, a broken
    one, one for other limits, or one from before the machine was started. The operating system
    lets go of the lock of a process that dies. Raises OSError where the file cannot be made.
    """

    def __init__(self, path: Path, fresh: Bucket, clock: Clock) -> None:
        self._number = -1
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._fresh = fresh
        self._clock = clock
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[Bucket]:
        with self._lock:
            self._take_lock()
            try:
                bucket = self._read()
                yield bucket
                self._write(bucket)
            except OSError as error:  # a full disk: what cannot be counted is not spent
                raise LockHeld(0) from error
            finally:
                unlock(self._number)

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)

    def _take_lock(self) -> None:
        deadline_s = None
        while not try_lock(self._number):
            now_s = self._clock.monotonic()
            deadline_s = deadline_s or now_s + _PATIENCE_S
            if now_s > deadline_s:
                raise LockHeld(0)
            self._clock.sleep(_PAUSE_S)

    def _read(self) -> Bucket:
        os.lseek(self._number, 0, os.SEEK_SET)
        data = os.read(self._number, _RECORD.size + _SUM.size)
        found = _decode(data, self._fresh, self._clock.monotonic())
        return found or replace(self._fresh, counted_s=self._clock.monotonic())

    def _write(self, bucket: Bucket) -> None:
        limits = (self._fresh.capacity, self._fresh.refill_per_s)
        data = _RECORD.pack(_MAGIC, *limits, *astuple(bucket))
        os.lseek(self._number, 0, os.SEEK_SET)
        os.write(self._number, data + _SUM.pack(zlib.crc32(data)))


def _decode(data: bytes, fresh: Bucket, now_s: float) -> Bucket | None:
    """The bucket that was written, if it can still be true."""
    if len(data) != _RECORD.size + _SUM.size:
        return None
    record = data[: _RECORD.size]
    magic, capacity, refill_per_s, *state = _RECORD.unpack(record)
    is_whole = magic == _MAGIC and _SUM.unpack(data[_RECORD.size :])[0] == zlib.crc32(record)
    if not is_whole or (capacity, refill_per_s) != (fresh.capacity, fresh.refill_per_s):
        return None
    bucket = Bucket(*state)
    is_of_today = bucket.counted_s <= now_s and bucket.blocked_until <= now_s + _LONGEST_BLOCK_S
    return bucket if is_of_today else None
