"""OKX's rate limits, each over 2 seconds of a user, order calls by instrument and kind.

300 orders by a batch call, 60 by single ones, creates, amends and cancels apart; 1,000 creates
and amends of an account together (OKX v5 API guide, as NautilusTrader records it).
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from market_maker.model.wire import Request
from market_maker.simulator.limits import Charge

_WINDOW_S = 2.0
_SUB_ACCOUNT = 1_000
_CONNECTS = 3  # a second, of an address
_GETS = {  # below /api/v5; what is not here has the last of these
    "/trade/order": 60, "/trade/orders-pending": 60, "/trade/fills": 60,
    "/trade/fills-history": 10, "/account/balance": 10, "/account/positions": 10,
    "/market/books": 40, "/market/trades": 100, "": 20,
}  # fmt: skip
_POSTS = {
    "/trade/order": 60, "/trade/amend-order": 60, "/trade/cancel-order": 60,
    "/trade/batch-orders": 300, "/trade/amend-batch-orders": 300,
    "/trade/cancel-batch-orders": 300, "/trade/cancel-all-after": 2, "": 20,
}  # fmt: skip
_COUNTED_TOGETHER = (
    "/trade/order", "/trade/amend-order", "/trade/batch-orders", "/trade/amend-batch-orders",
)  # fmt: skip


class Window:
    """At most *size* within any *window_s* seconds."""

    def __init__(self, size: int, window_s: float = _WINDOW_S) -> None:
        self.size, self._window_s = size, window_s
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def has(self, cost: int, now_s: float) -> bool:
        while self._taken and self._taken[0][0] <= now_s - self._window_s:
            self._sum -= self._taken.popleft()[1]
        return self._sum + cost <= self.size

    def take(self, cost: int, now_s: float) -> None:
        self._taken.append((now_s, cost))
        self._sum += cost


class OkxLimits:
    """All limits over all clients. Not thread-safe: call under the engine's lock."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, ...], Window] = {}
        self.refused = 0  # calls answered with 429 so far

    def charge(self, client: str, has_key: bool, request: Request, now_s: float) -> Charge:
        """Count one call of *client* (an account or an address)."""
        del has_key
        path = request.path.removeprefix("/api/v5")
        is_get = request.verb.upper() == "GET"
        sizes = _GETS if is_get else _POSTS
        items = request.body if isinstance(request.body, list) else [request.body]
        cost = 1 if is_get else max(1, len(items))
        kind = (client, request.verb, path, "" if is_get else _instrument(items[:1]))
        windows = [self._window(kind, sizes.get(path, sizes[""]))]
        if not is_get and path in _COUNTED_TOGETHER:
            windows.append(self._window((client,), _SUB_ACCOUNT))
        if not all(window.has(cost, now_s) for window in windows):
            self.refused += 1
            return Charge({}, 1)
        for window in windows:
            window.take(cost, now_s)
        return Charge({}, 0)

    def connect(self, address: str, now_s: float) -> Charge:
        """Count one connection to the stream."""
        window = self._window((address, "connect"), _CONNECTS, 1.0)
        if not window.has(1, now_s):
            return Charge({}, 1)
        window.take(1, now_s)
        return Charge({}, 0)

    def _window(self, kind: tuple[str, ...], size: int, window_s: float = _WINDOW_S) -> Window:
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= 4096:
                del self._windows[next(iter(self._windows))]
            window = self._windows[kind] = Window(size, window_s)
        return window


def _instrument(items: list[Any]) -> str:
    first = items[0] if items and isinstance(items[0], Mapping) else {}
    return str(first.get("instId") or first.get("instIdCode") or "")
