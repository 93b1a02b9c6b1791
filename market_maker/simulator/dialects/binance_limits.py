"""Binance's limits: request weight a minute for each client, orders in ten seconds for each
account; who goes on after a 429 is banned with a 418 for a while."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from market_maker.model.rows import Row
from market_maker.simulator.dialects.binance_desk import BinanceError

WEIGHT, ORDERS = 6000, 50
_MINUTE_S, _TEN_S = 60.0, 10.0
_BAN_S = 120.0
_PATIENCE = 20  # requests after a 429 until the ban

RATE_LIMITS: list[Row] = [
    {
        "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT,
    },
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160_000},
]  # fmt: skip


class Counts(NamedTuple):
    """What has been used of the limits."""

    weight: int
    orders: int | None

    def headers(self) -> dict[str, str]:
        told = {"x-mbx-used-weight": str(self.weight), "x-mbx-used-weight-1m": str(self.weight)}
        if self.orders is not None:
            told["x-mbx-order-count-10s"] = str(self.orders)
        return told


def rows_of(headers: Mapping[str, str]) -> list[Row]:
    """The same as the WebSocket API tells it."""
    told = [(RATE_LIMITS[0], "x-mbx-used-weight-1m"), (RATE_LIMITS[1], "x-mbx-order-count-10s")]
    return [{**row, "count": int(headers[name])} for row, name in told if name in headers]


class Weights:
    """Counts for all clients; turned off with *is_on* False."""

    def __init__(self, is_on: bool = True) -> None:
        self.is_on = is_on
        self._weight: dict[str, tuple[float, int]] = {}  # client -> window, used
        self._orders: dict[int, tuple[float, int]] = {}  # account -> window, placed
        self._over: dict[str, int] = {}  # client -> requests since its first 429
        self._banned: dict[str, float] = {}

    def charge(
        self, client: str, weight: int, account_no: int | None, orders: int, now_s: float
    ) -> Counts:
        """Count a request; raises BinanceError where there are too many."""
        used = _add(self._weight, client, weight, now_s, _MINUTE_S)
        placed = None
        if account_no is not None and orders:
            placed = _add(self._orders, account_no, orders, now_s, _TEN_S)
        if self.is_on:
            self._check(client, used, now_s)
            if placed is not None and placed > ORDERS:
                text = f"Too many new orders; current limit is {ORDERS} orders per 10 SECOND."
                raise _turned_away(-1015, text, 429, _TEN_S - now_s % _TEN_S, now_s)
        return Counts(used, placed)

    def _check(self, client: str, used: int, now_s: float) -> None:
        banned_s = self._banned.get(client, 0.0)
        text = f"Way too much request weight used; current limit is {WEIGHT} per 1 MINUTE."
        if now_s < banned_s:
            text = f"Way too much request weight used; IP banned until {round(banned_s * 1000)}."
            raise _turned_away(-1003, text, 418, banned_s - now_s, now_s)
        if used <= WEIGHT:
            self._over.pop(client, None)
            return
        self._over[client] = self._over.get(client, 0) + 1
        if self._over[client] > _PATIENCE:
            self._banned[client] = now_s + _BAN_S
        raise _turned_away(-1003, text, 429, _MINUTE_S - now_s % _MINUTE_S, now_s)


def _turned_away(code: int, text: str, status: int, wait_s: float, now_s: float) -> BinanceError:
    data = {"serverTime": round(now_s * 1000), "retryAfter": round((now_s + wait_s) * 1000)}
    return BinanceError(code, text, status, data)


def _add(
    counts: dict[Any, tuple[float, int]], who: Any, more: int, now_s: float, length_s: float
) -> int:
    window = now_s // length_s
    before, used = counts.get(who, (window, 0))
    used = (used if before == window else 0) + more
    counts[who] = (window, used)
    return used
