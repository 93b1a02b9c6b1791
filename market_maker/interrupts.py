"""Ctrl-C and its like: how a run is asked to end, and made to."""

import contextlib
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from market_maker.clock import Clock

logger = logging.getLogger("root")

_ONE_WISH_S = 0.3
_SWALLOWED_AT_MOST = 2  # signals that a strategy may ignore
_UNHEARD_S = 0.1  # so long after it came a signal must have been handled
_FRAGILE = frozenset({"__enter__", "__exit__", "_acquire_restore", "_release_save"})
_JUST_BEFORE_S = 0.05  # ... or so shortly before its byte was read


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP end the run by an exception on the main thread.

    While an order's answer is awaited the exception waits too, so that no order is left whose
    fate nobody has read. A strategy may swallow the exception: then it is raised again, and in the
    end the run is ended without asking it.
    """

    def __init__(
        self,
        busy_thread: Callable[[], int | None],
        hurry: Callable[[], bool],  # True: what runs now is not worth waiting for
        force: Callable[[], None],  # ends the run whatever the main thread does
        clock: Clock,
    ) -> None:
        self._busy_thread = busy_thread
        self._hurry = hurry
        self._force = force
        self._clock = clock
        self._old: dict[int, Any] = {}
        self._is_ending = False
        self._asked: int | None = None  # the last signal
        self._is_pending = False
        self._raised = 0
        self._raised_s = -math.inf
        self._heard_s = -math.inf  # when a handler ran last, by the system's clock
        self._alarm: _Alarm | None = None

    def install(self) -> None:
        """Take the signals over, on the main thread; elsewhere Python does not allow it."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None:
                self._old[number] = signal.signal(number, self._handle)
        if hasattr(signal, "pthread_kill"):
            self._alarm = _Alarm(lambda: self._heard_s)

    def restore(self) -> None:
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old.clear()

    def begin_ending(self) -> None:
        """From here on further signals only hurry the clean-up that is under way."""
        if not self._is_ending:
            self._is_ending, self._raised, self._raised_s = True, 0, -math.inf

    def raise_pending(self) -> None:
        """Raise what arrived while an answer was awaited, on the thread it arrived for."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and self._is_pending and not self._is_ending:
            self._is_pending = False
            self._raise()

    def raise_swallowed(self) -> None:
        """Raise what arrived before and did not end the run."""
        if self._asked is not None and not self._is_ending:
            self._raise()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._alarm is not None and _is_fragile(frame):
            return  # not now: the alarm comes again
        self._heard_s = time.monotonic()
        is_busy = self._busy_thread() == threading.get_ident()  # handlers run on the main thread
        if self._is_ending:
            logger.warning("Ending already; this takes a few seconds at most.")
            if not self._hurry():
                return
        else:
            self._asked = number
        if is_busy:
            self._is_pending = True
            return
        now_s = self._clock.monotonic()
        if now_s - self._raised_s <= _ONE_WISH_S:
            return  # several signals of one moment, as a closed terminal sends them, are one wish
        self._raised += 1
        self._raised_s = now_s
        if self._raised > _SWALLOWED_AT_MOST:
            self._force()
        else:
            self._raise()

    def _raise(self) -> None:
        if self._is_ending or self._asked == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(0)


def _is_fragile(frame: FrameType | None) -> bool:
    """Whether a lock is being taken or given back by Python's own code: raised there, an exception
    would leave it taken for ever, and whoever waits for news with it."""
    code = frame.f_code if frame is not None else None
    return code is not None and code.co_filename == threading.__file__ and code.co_name in _FRAGILE


class _Alarm:
    """Wakes a main thread that sleeps through a signal.

    The system may hand a signal to another thread, or to the main one on its very way into a sleep:
    then the handler, which Python runs on the main thread alone, would wait for the sleep's end.
    """

    def __init__(self, heard_s: Callable[[], float]) -> None:
        self._heard_s = heard_s
        self._main = threading.main_thread()
        self._read, write = socket.socketpair()
        self._write = write
        write.setblocking(False)
        self._old = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Called on the main thread."""
        signal.set_wakeup_fd(self._old, warn_on_full_buffer=False)
        self._closed.set()
        with contextlib.suppress(OSError):
            self._write.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._read.close()
        self._write.close()

    def _watch(self) -> None:
        while numbers := self._read.recv(64):
            since_s, is_ours = time.monotonic() - _JUST_BEFORE_S, False
            while not self._closed.wait(_UNHEARD_S) and self._heard_s() < since_s:
                signal.pthread_kill(int(self._main.ident or 0), numbers[-1])
                is_ours = True
            if is_ours:
                self._forget()

    def _forget(self) -> None:
        """What we have sent ourselves is no news."""
        with contextlib.suppress(BlockingIOError):
            self._read.recv(4096, socket.MSG_DONTWAIT)
