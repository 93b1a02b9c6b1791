"""The limits BitMEX had, as token buckets with continuous refill (its REST API pages and blog).

`classic`: 300 requests per 5 minutes, a bulk call costs a tenth of its orders. `last`: 120 a
minute, and 10 a second on the routes that change orders or margin. Cancels are counted but
never refused by the first layer. Connections of the stream are counted by the hour.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

from market_maker.model.wire import Request
from market_maker.simulator.dialects.bitmex import route_path


@dataclass(frozen=True, slots=True)
class Rule:
    """Sizes of the buckets."""

    with_key: int  # requests per `window_s` of an account
    without_key: int  # ... and of an address
    window_s: float
    connects_per_hour: int  # of an address, to the stream
    orders_per_s: int | None = None  # of an account, on the routes of the second layer

    def resized(self, size: int) -> "Rule":
        """The same with *size* requests for an account, and in proportion for an address."""
        return replace(
            self, with_key=size, without_key=max(1, size * self.without_key // self.with_key)
        )


RULES = {
    "classic": Rule(300, 150, 300.0, connects_per_hour=40),
    "last": Rule(120, 30, 60.0, connects_per_hour=720, orders_per_s=10),
}
HOUR_S = 3600.0

_SECOND_LAYER = frozenset(
    {
        ("POST", "/order"),
        ("PUT", "/order"),
        ("DELETE", "/order"),
        ("DELETE", "/order/all"),
        ("POST", "/order/bulk"),
        ("PUT", "/order/bulk"),
        ("POST", "/position/isolate"),
        ("POST", "/position/leverage"),
        ("POST", "/position/transferMargin"),
    }
)
_NEVER_REFUSED = frozenset(
    {("DELETE", "/order"), ("DELETE", "/order/all"), ("POST", "/user/logout")}
)
_MAX_BUCKETS = 4096


class Bucket:
    """Tokens that come back at an even pace."""

    def __init__(self, size: int, window_s: float, now_s: float) -> None:
        self.size = size
        self.refill_per_s = size / window_s
        self._tokens = float(size)
        self._at_s = now_s

    def refill(self, now_s: float) -> float:
        """The tokens there are now."""
        gained = max(0.0, now_s - self._at_s) * self.refill_per_s
        self._tokens = min(float(self.size), self._tokens + gained)
        self._at_s = now_s
        return self._tokens

    def take(self, cost: int) -> None:
        self._tokens = max(0.0, self._tokens - cost)

    def wait_s(self, cost: int) -> int:
        """Whole seconds until *cost* tokens are there; at least 1."""
        return max(1, math.ceil((cost - self._tokens) / self.refill_per_s))


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request may do, and the headers its answer carries."""

    headers: dict[str, str]
    retry_after_s: int = 0  # above 0: refused with 429

    @property
    def message(self) -> str:
        return f"Rate limit exceeded, retry in {self.retry_after_s} seconds."


class Limits(Protocol):
    """How often clients may ask."""

    def charge(self, client: str, has_key: bool, request: Request, now_s: float) -> Charge:
        """Count one request of *client* (an account or an address)."""

    def connect(self, address: str, now_s: float) -> Charge:
        """Count one connection to the stream."""


class RateLimits:
    """One profile's limits over all clients. Not thread-safe: call under the engine's lock."""

    def __init__(
        self, profile: str, *, size: int | None = None, bulk_cost: float | Fraction = 0.1
    ) -> None:
        """*size* replaces the requests per window; an order of a bulk call costs *bulk_cost*."""
        rule = RULES[profile]
        self._rule = rule if size is None else rule.resized(size)
        self._bulk_cost = Fraction(str(bulk_cost))  # 0.1 x 70 is to be 7 and not a little more
        self._buckets: dict[tuple[str, str], Bucket] = {}  # (client, layer) -> tokens

    def charge(self, client: str, has_key: bool, request: Request, now_s: float) -> Charge:
        """Count one request of *client* (an account or an address)."""
        rule, route = self._rule, (request.verb.upper(), route_path(request.path))
        cost = self._cost(route, request.body)
        size = rule.with_key if has_key else rule.without_key
        bucket = self._bucket(client, "requests", size, rule.window_s, now_s)
        second = None
        if rule.orders_per_s and route in _SECOND_LAYER:
            second = self._bucket(client, "orders", rule.orders_per_s, 1.0, now_s)
        wait_s = 0
        if bucket.refill(now_s) < cost and route not in _NEVER_REFUSED:
            wait_s = bucket.wait_s(cost)
        elif second is not None and second.refill(now_s) < 1:
            wait_s = second.wait_s(1)
        if not wait_s:
            bucket.take(cost)
            if second is not None:
                second.take(1)
        return Charge(_headers(bucket, second, wait_s, now_s), wait_s)

    def connect(self, address: str, now_s: float) -> Charge:
        """Count one connection to the stream."""
        size = self._rule.connects_per_hour
        bucket = self._bucket(address, "connects", size, HOUR_S, now_s)
        wait_s = 0 if bucket.refill(now_s) >= 1 else bucket.wait_s(1)
        if not wait_s:
            bucket.take(1)
        return Charge(_headers(bucket, None, wait_s, now_s), wait_s)

    def _cost(self, route: tuple[str, str], body: Any) -> int:
        orders = body.get("orders") if isinstance(body, dict) else None
        if route[1] == "/order/bulk" and isinstance(orders, list):
            cost = max(1, math.ceil(self._bulk_cost * len(orders)))
            return min(cost, self._rule.with_key)  # else it could never be paid
        return 1

    def _bucket(self, client: str, layer: str, size: int, window_s: float, now_s: float) -> Bucket:
        bucket = self._buckets.get((client, layer))
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._forget(now_s)
            bucket = self._buckets[client, layer] = Bucket(size, window_s, now_s)
        return bucket

    def _forget(self, now_s: float) -> None:
        """Make room: a bucket that is full again says nothing; without one, the oldest goes."""
        full = [name for name, b in self._buckets.items() if b.refill(now_s) >= b.size]
        for name in full or [next(iter(self._buckets))]:
            del self._buckets[name]


def _headers(bucket: Bucket, second: Bucket | None, wait_s: int, now_s: float) -> dict[str, str]:
    tokens = bucket.refill(now_s)
    full_s = now_s + (bucket.size - tokens) / bucket.refill_per_s
    headers = {
        "x-ratelimit-limit": str(bucket.size),
        "x-ratelimit-remaining": str(int(tokens)),
        "x-ratelimit-reset": str(math.ceil(full_s)),
    }
    if second is not None:
        headers["x-ratelimit-remaining-1s"] = str(int(second.refill(now_s)))
    if wait_s:
        headers["retry-after"] = str(wait_s)
    return headers
