"""What the bot's requests show from outside: which are under way, and which have no clear end."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request

_FREED_AFTER_S = 10.0  # by then an order in doubt is found or proven absent, and its level quoted
_OVERLOADED = "overloaded"
_KEPT = 11  # requests that a bot may keep for its cancels before it quotes again


class _Doubt(NamedTuple):
    since_s: float
    until_s: float
    orders: int


class Tap:
    """A transport that looks at what passes."""

    def __init__(self, transport: Any, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._doubts: list[_Doubt] = []
        self._busy: list[tuple[float, int]] = []  # requests under way: since when, their orders
        self.free_s = 0.0  # when the latest requests were answered or given up
        self.doubted_s = 0.0  # when the latest order was left in doubt
        self.starved_until_s = 0.0  # the exchange has said that no requests are left

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        mine = (self._clock.now(), sum(map(_order_count, requests)))
        self._busy.append(mine)
        try:
            answers: list[Answer] = self._transport.send(requests)
        finally:
            self._busy.remove(mine)
            self.free_s = now_s = self._clock.now()
        for answer in answers:
            left = answer.headers.get("x-ratelimit-remaining", "")
            if left.isdigit() and int(left) < _KEPT:  # it gives one back each second
                self.starved_until_s = now_s + _KEPT - int(left)
        open_orders = sum(
            _order_count(request)
            for request, answer in zip(requests, answers, strict=True)
            if _is_unclear(answer)
        )
        self._doubts = [doubt for doubt in self._doubts if doubt.until_s > now_s]
        if open_orders:
            self.doubted_s = now_s
            self._doubts.append(_Doubt(mine[0], now_s + _FREED_AFTER_S, open_orders))
        return answers

    def close(self) -> None:
        self._transport.close()

    @property
    def is_busy(self) -> bool:
        return bool(self._busy)

    def held(self) -> int:
        """How many orders have an outcome that the bot cannot know yet."""
        now_s = self._clock.now()
        waiting = sum(orders for _, orders in self._busy)
        return waiting + sum(d.orders for d in self._doubts if d.until_s > now_s)


def _order_count(request: Request) -> int:
    """How many orders a request is about."""
    if request.verb == "GET" or not request.path.startswith("/order"):
        return 0
    if request.path.endswith("cancelAllAfter"):
        return 0
    body = request.body if isinstance(request.body, dict) else {}
    ids = body.get("orderID")
    return len(body.get("orders") or (ids if isinstance(ids, list) else [1]))


def _is_unclear(answer: Answer) -> bool:
    if answer.status == 503 and _OVERLOADED in str(answer.body):
        return False
    return answer.sent and (answer.status == 0 or answer.status >= 500)
