"""Time as an argument: the real clock, and one that moves only when told."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger("root")

_sleep = time.sleep  # the machine's own, whatever a rehearsal puts in its place for a strategy

Step = Callable[[], float | None]  # does something; seconds until its next turn, None: no more


class World(Protocol):
    """Something that lives on a manual clock, such as the in-process exchange."""

    def next_event_time(self) -> float | None:
        """When it wants to act next (Unix seconds), or None if never."""

    def advance_to(self, now_s: float) -> None:
        """Act out everything due up to and including *now_s*."""


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump; for intervals only."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        _sleep(max(0.0, seconds))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until *event* is set, at most *timeout_s*. True if it was set."""
        return event.wait(max(0.0, timeout_s))

    def beside(self, job: Callable[[], None], name: str) -> None:
        """Do *job* once while the caller goes on: in a thread called *name*."""
        threading.Thread(target=job, name=name, daemon=True).start()

    def repeat(self, step: Step, name: str) -> None:
        """Call *step* from now on, whatever the caller does: from a thread called *name*."""
        threading.Thread(target=self._repeat, args=(step,), name=name, daemon=True).start()

    def _repeat(self, step: Step) -> None:
        wait_s: float | None = 0.0
        while wait_s is not None:
            self.sleep(wait_s)
            try:
                wait_s = step()
            except Exception:  # the top of a thread: nobody else would ever say it
                logger.exception("%s failed; trying again.", threading.current_thread().name)
                wait_s = 1.0


class _Turns:
    """A step that is repeated as a manual clock moves."""

    def __init__(self, step: Step, now_s: float) -> None:
        self._step = step
        self._due_s: float | None = now_s

    def next_event_time(self) -> float | None:
        return self._due_s

    def advance_to(self, now_s: float) -> None:
        if self._due_s is not None and self._due_s <= now_s:
            self._due_s = None  # a step may move the clock; it has no second turn meanwhile
            wait_s = self._step()
            self._due_s = None if wait_s is None else now_s + wait_s


class ManualClock(Clock):
    """A clock that moves only when told, taking the attached worlds with it.

    `sleep` and `wait` let each world act at its own event times in order, so that a bot, an
    exchange and a market run in one thread and always in the same order.
    """

    def __init__(self, now_s: float = 1_600_000_000.0) -> None:
        self.now_s = now_s
        self.worlds: list[World] = []

    def attach(self, world: World) -> None:
        self.worlds.append(world)

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self._move(self.now_s + max(0.0, seconds), None)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self._move(self.now_s + max(0.0, timeout_s), event)
        return event.is_set()

    def beside(self, job: Callable[[], None], name: str) -> None:
        """Do *job* at once: there is one thread."""
        del name
        job()

    def repeat(self, step: Step, name: str) -> None:
        """Call *step* at its times, as the clock moves."""
        del name
        self.worlds = [world for world in self.worlds if world.next_event_time() is not None]
        self.attach(_Turns(step, self.now_s))

    def _move(self, until_s: float, event: threading.Event | None) -> None:
        while event is None or not event.is_set():
            due = [t for t in (world.next_event_time() for world in self.worlds) if t is not None]
            step = min(due, default=until_s)
            if step > until_s:
                break
            self.now_s = max(self.now_s, step)
            for world in self.worlds:
                world.advance_to(self.now_s)
            if not due:
                break
        if event is None or not event.is_set():
            self.now_s = max(self.now_s, until_s)
