"""Time as an argument: the real clock, and one that moves only when told."""

import threading
import time
from typing import Protocol


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
        time.sleep(max(0.0, seconds))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until *event* is set, at most *timeout_s*. True if it was set."""
        return event.wait(max(0.0, timeout_s))


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
