"""Asks a source for decisions, whatever the rounds of the bot do, and keeps what it heard.

The source is asked from a thread of its own: however long it takes, no round waits for it. On a
manual clock it is asked as the clock moves, always in the same order.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from market_maker.clock import Clock
from market_maker.decisions.sources import NoDecision, Source, told_at
from market_maker.quoting.stakes import Standing


class Decision(NamedTuple):
    """A word, and when it was decided: Unix seconds, and on the clock that never jumps."""

    word: str
    key: str
    decided_at: float
    decided_s: float


class Asker:
    """Asks *source*, waits *every_s*, asks again; an answer later than *timeout_s* is none.

    What is asked about is `standing`, which the rounds renew; *news* is called after each answer.
    """

    def __init__(
        self,
        source: Source,
        standing: Standing,
        *,
        every_s: float,
        timeout_s: float,
        clock: Clock,
        news: Callable[[], None],
    ) -> None:
        self.standing = standing
        self.fault = ""  # why the last answer was none
        self._source = source
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._news = news
        self._lock = threading.Lock()
        self._heard: deque[Decision] = deque(maxlen=100)
        self._alive_s = clock.monotonic()  # when the source was last heard of
        self._is_stopped = False

    def start(self) -> None:
        """Begin to ask."""
        self._clock.repeat(self._turn, "decision")

    def stop(self) -> None:
        """Ask no more; what is under way is not waited for."""
        self._is_stopped = True

    def heard(self) -> list[Decision]:
        """What was decided and is not done with, the oldest first."""
        with self._lock:
            return list(self._heard)

    def forget(self, decision: Decision) -> None:
        """It is done with."""
        with self._lock, contextlib.suppress(ValueError):
            self._heard.remove(decision)  # gone where a hundred have come since

    def silence_s(self) -> float:
        """How long ago the source gave its latest sign of life, whatever it was."""
        return self._clock.monotonic() - self._alive_s

    def _turn(self) -> float | None:
        if self._is_stopped:
            return None
        asked_s, asked_at = self._clock.monotonic(), self._clock.now()
        try:
            heard = self._source(self.standing._replace(now=asked_at))
            if self._clock.monotonic() - asked_s > self._timeout_s:
                raise NoDecision(f"no answer within {self._timeout_s:g} s")
        except NoDecision as reason:
            self.fault = str(reason)
        else:
            self.fault = ""
            age_s = max(heard.age_s, asked_at - told_at(heard.key, asked_at))
            # Another word is another decision, also where file or endpoint gives it the same time.
            key = f"{heard.key or f'{asked_at:.6f}'} {heard.word}"
            with self._lock:
                self._heard.append(Decision(heard.word, key, asked_at - age_s, asked_s - age_s))
            self._alive_s = max(self._alive_s, asked_s - heard.age_s)
        if not self._is_stopped:
            self._news()
        return self._every_s
