"""How many requests we may still make: the exchange's token bucket, kept on our side too."""

import contextlib
import logging
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from market_maker.clock import Clock
from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.buckets import Bucket, OwnBucket, SharedBucket, Store
from market_maker.lockfile import LockHeld

logger = logging.getLogger("root")

_TELLING = 10  # tokens that must be missing before whole seconds tell how fast they return
_BUSY_S = 0.05
_NOISE = 1e-4  # of a token: a sleep until it is due ends that near to it


class RateBudget:
    """A token bucket of *capacity* tokens that regains *refill_per_s*, corrected by answers.

    The last *reserve* tokens are for urgent calls only: cancels must never wait for quotes.
    A call that costs more than the bucket holds may go when the bucket is full. The bucket
    belongs to this process, or is in a *store* that several share.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: float,
        refill_per_s: float,
        reserve: float = 0.0,
        store: Store | None = None,
    ) -> None:
        self._clock = clock
        self._believable = (refill_per_s / 10, refill_per_s * 10)
        self._reserve = reserve
        self._store = store or OwnBucket(fresh_bucket(clock, capacity, refill_per_s))

    def take(self, cost: float = 1.0, urgent: bool = False) -> bool:
        """Pay for a call now, or change nothing and answer False."""
        try:
            with self._store.held() as bucket:
                if self._wait_s(bucket, cost, urgent) > 0.0:
                    return False
                bucket.tokens -= cost
                return True
        except LockHeld:  # by a process that hangs: no reason to leave orders in the book
            return urgent

    def wait_s(self, cost: float = 1.0, urgent: bool = False) -> float:
        """Seconds until `take` will succeed, if nobody else takes."""
        try:
            with self._store.held() as bucket:
                return self._wait_s(bucket, cost, urgent)
        except LockHeld:
            return 0.0 if urgent else _BUSY_S

    def learn(self, headers: Mapping[str, str]) -> None:
        """Correct the bucket by an answer's headers (lower-case names)."""
        limit = _number(headers.get("x-ratelimit-limit"))
        remaining = _number(headers.get("x-ratelimit-remaining"))
        wait_s = retry_after_s(headers)
        if limit or remaining is not None:
            with contextlib.suppress(LockHeld), self._store.held() as bucket:
                self._refill(bucket)
                bucket.capacity = limit or bucket.capacity
                if remaining is not None:
                    # Only ever down: what we took since that answer was given is not in it.
                    bucket.tokens = min(bucket.tokens, remaining)
                if limit and remaining is not None and limit - remaining >= _TELLING:
                    self._measure_refill(bucket, limit - remaining, headers)
        if wait_s is not None:
            self.block_until(self._clock.now() + wait_s)

    def block_until(self, unix_s: float) -> None:
        """Let `take` say no before *unix_s*, as the exchange has asked; cancels go all the same."""
        with contextlib.suppress(LockHeld), self._store.held() as bucket:
            wait_s = unix_s - self._clock.now()  # kept on the clock that never jumps
            bucket.blocked_until = max(bucket.blocked_until, self._clock.monotonic() + wait_s)

    def _wait_s(self, bucket: Bucket, cost: float, urgent: bool) -> float:
        self._refill(bucket)
        blocked_s = bucket.blocked_until - self._clock.monotonic()
        floor = 0.0 if urgent else min(self._reserve, bucket.capacity)
        missing = min(cost + floor, bucket.capacity) - bucket.tokens
        if missing < _NOISE:
            missing = 0.0
        return max(0.0, blocked_s, missing / bucket.refill_per_s)

    def _measure_refill(self, bucket: Bucket, used: float, headers: Mapping[str, str]) -> None:
        """The exchange says when its bucket will be full, in whole seconds of its own clock."""
        full_s = _number(headers.get("x-ratelimit-reset"))
        try:
            told_s = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            return
        if full_s is not None and full_s > told_s:
            per_s = used / (full_s - told_s)
            if self._believable[0] <= per_s <= self._believable[1]:
                bucket.refill_per_s = per_s

    def _refill(self, bucket: Bucket) -> None:
        now_s = self._clock.monotonic()
        gained = (now_s - bucket.counted_s) * bucket.refill_per_s
        bucket.tokens = min(bucket.capacity, bucket.tokens + gained)
        bucket.counted_s = now_s


def fresh_bucket(clock: Clock, capacity: float, refill_per_s: float) -> Bucket:
    """A full bucket."""
    return Bucket(capacity, refill_per_s, capacity, clock.monotonic())


def account_budgets(
    account: Path | None, caps: Capabilities, clock: Clock
) -> tuple[RateBudget, RateBudget]:
    """What an account may still ask for in the long run, and within a second.

    All bots whose files are called *account* share them; None: nobody does.
    """
    burst = (caps.requests_per_s, caps.requests_per_s, 0.0)
    long, short = [
        RateBudget(clock, *limits, _store(account, ending, fresh_bucket(clock, *limits[:2]), clock))
        for ending, limits in ((".rate", caps.budget), (".burst", burst))
    ]
    return long, short


def _store(account: Path | None, ending: str, fresh: Bucket, clock: Clock) -> Store | None:
    if account is None:
        return None
    try:
        return SharedBucket(account.with_name(account.name + ending), fresh, clock)
    except OSError as error:
        logger.warning("The rate budget is not shared with other bots: %s", error)
        return None


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
