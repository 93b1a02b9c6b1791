"""The request limits BitMEX had, as token buckets with continuous refill (its REST API pages).

`classic`: 300 requests per 5 minutes, a bulk call costs a tenth of its orders. `last`: 120 a
minute, and 10 a second on the order routes. Cancels are counted but never refused by the
first layer.
"""

import math
from dataclasses import dataclass
from typing import Any

from market_maker.model.wire import Request
from market_maker.simulator.dialects.bitmex import route_path


@dataclass(frozen=True, slots=True)
class Rule:
    """Sizes of the buckets: per *window_s* with and without a key, and per second on orders."""

    with_key: int
    without_key: int
    window_s: float
    orders_per_s: int | None = None


RULES = {"classic": Rule(300, 150, 300.0), "last": Rule(120, 30, 60.0, orders_per_s=10)}

_ORDER_ROUTES = frozenset(
    {
        ("POST", "/order"),
        ("PUT", "/order"),
        ("DELETE", "/order"),
        ("DELETE", "/order/all"),
    }
)
_NEVER_REFUSED = frozenset({("DELETE", "/order"), ("DELETE", "/order/all")})
_MAX_CLIENTS = 1024


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


class RateLimits:
    """One profile's limits over all clients. Not thread-safe: call under the engine's lock."""

    def __init__(self, profile: str) -> None:
        self._rule = RULES[profile]
        self._buckets: dict[tuple[str, bool], Bucket] = {}  # (client, is the 1 s layer) -> tokens

    def charge(self, client: str, has_key: bool, request: Request, now_s: float) -> Charge:
        """Count one request of *client* (an account or an address)."""
        route = (request.verb.upper(), route_path(request.path))
        cost = _cost(route, request.body)
        size = self._rule.with_key if has_key else self._rule.without_key
        bucket = self._bucket(client, False, size, self._rule.window_s, now_s)
        second = None
        if self._rule.orders_per_s and route in _ORDER_ROUTES:
            second = self._bucket(client, True, self._rule.orders_per_s, 1.0, now_s)
        wait_s = 0
        if bucket.refill(now_s) < cost and route not in _NEVER_REFUSED:
            wait_s = bucket.wait_s(cost)
        elif second is not None and second.refill(now_s) < cost:
            wait_s = second.wait_s(cost)
        if not wait_s:
            bucket.take(cost)
            if second is not None:
                second.take(cost)
        return Charge(_headers(bucket, second, wait_s, now_s), wait_s)

    def _bucket(
        self, client: str, is_second: bool, size: int, window_s: float, now_s: float
    ) -> Bucket:
        bucket = self._buckets.get((client, is_second))
        if bucket is None:
            if len(self._buckets) >= _MAX_CLIENTS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[client, is_second] = Bucket(size, window_s, now_s)
        return bucket


def _cost(route: tuple[str, str], body: Any) -> int:
    orders = body.get("orders") if isinstance(body, dict) else None
    if route[1] == "/order/bulk" and isinstance(orders, list):
        return max(1, math.ceil(0.1 * len(orders)))
    return 1


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
