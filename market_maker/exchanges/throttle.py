"""How many requests we may still make: the exchange's token bucket, kept on our side too."""

import math
import threading
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from market_maker.clock import Clock

_TELLING = 10  # tokens that must be missing before whole seconds tell how fast they return


class RateBudget:
    """A token bucket of *capacity* tokens that regains *refill_per_s*, corrected by answers.

    The last *reserve* tokens are for urgent calls only: cancels must never wait for quotes.
    A call that costs more than the bucket holds may go when the bucket is full.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: float,
        refill_per_s: float,
        reserve: float = 0.0,
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._believable = (refill_per_s / 10, refill_per_s * 10)
        self._reserve = reserve
        self._tokens = capacity
        self._counted_s = clock.monotonic()
        self._blocked_until = -math.inf  # monotonic
        self._lock = threading.Lock()

    def take(self, cost: float = 1.0, urgent: bool = False) -> bool:
        """Pay for a call now, or change nothing and answer False."""
        with self._lock:
            if self._wait_s(cost, urgent) > 0.0:
                return False
            self._tokens -= cost
            return True

    def wait_s(self, cost: float = 1.0, urgent: bool = False) -> float:
        """Seconds until `take` will succeed, if nobody else takes."""
        with self._lock:
            return self._wait_s(cost, urgent)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Correct the bucket by an answer's headers (lower-case names)."""
        limit = _number(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        wait_s = retry_after_s(headers)
        with self._lock:
            self._refill()
            if limit:
                self._capacity = limit
            if remaining is not None:
                # Only ever down: what we took since that answer was given is not in it.
                self._tokens = min(self._tokens, remaining)
            if limit and remaining is not None and limit - remaining >= _TELLING:
                self._measure_refill(limit - remaining, headers)
        if wait_s is not None:
            self.block_until(self._clock.now() + wait_s)

    def block_until(self, unix_s: float) -> None:
        """Let `take` say no before *unix_s*, as the exchange has asked; cancels go all the same."""
        with self._lock:
            wait_s = unix_s - self._clock.now()  # kept on the clock that never jumps
            self._blocked_until = max(self._blocked_until, self._clock.monotonic() + wait_s)

    def _wait_s(self, cost: float, urgent: bool) -> float:
        self._refill()
        blocked_s = self._blocked_until - self._clock.monotonic()
        floor = 0.0 if urgent else min(self._reserve, self._capacity)
        missing = min(cost + floor, self._capacity) - self._tokens
        return max(0.0, blocked_s, missing / self._refill_per_s)

    def _measure_refill(self, used: float, headers: Mapping[str, str]) -> None:
        """The exchange says when its bucket will be full, in whole seconds of its own clock."""
        full_s = _number(headers.get("x-ratelimit-reset"))
        try:
            told_s = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return
        if full_s is not None and full_s > told_s:
            per_s = used / (full_s - told_s)
            if self._believable[0] <= per_s <= self._believable[1]:
                self._refill_per_s = per_s

    def _refill(self) -> None:
        now_s = self._clock.monotonic()
        gained = (now_s - self._counted_s) * self._refill_per_s
        self._tokens = min(self._capacity, self._tokens + gained)
        self._counted_s = now_s


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long an answer asks to wait: in seconds, or until a date by the exchange's clock."""
    asked = headers.get("retry-after")
    seconds = _number(asked)
    if seconds is not None or not asked:
        return seconds
    try:
        until, told = parsedate_to_datetime(asked), parsedate_to_datetime(headers["date"])
        return max(0.0, (until - told).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    """A header's number; None where it is missing or none (retry-after may be a date)."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
