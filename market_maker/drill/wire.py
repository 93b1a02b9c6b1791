"""What the bot's calls show from outside: which are under way, and which have no clear end."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from market_maker.clock import Clock
from market_maker.exchanges.base import Connector, Result, Status
from market_maker.model.wire import Answer

_PROOF_S = 5.0  # after a request has expired its order is found or proven absent, and quoted anew
_EXPIRY_S = 5.0  # where a venue does not say
_KEPT = 11  # requests that a bot may keep for its cancels before it quotes again
_MOVES_S = (
    3.0  # an order whose cancel is only promised may be gone so long before it is quoted anew
)
_ORDERS = ("place", "amend", "cancel")
_QUESTIONS = ("fetch_open_orders", "fetch_order", "fetch_rows", "call", "dead_man")


class _Doubt(NamedTuple):
    since_s: float
    until_s: float
    orders: int


class Tap:
    """Looks at what passes through a connector, whatever language that speaks."""

    def __init__(
        self, connector: Connector, clock: Clock, acted: Callable[[], object] = lambda: None
    ) -> None:
        """*acted* is called when an action of the bot has been answered."""
        self._clock = clock
        self._acted = acted
        self.freed_after_s = (connector.caps.request_expiry_s or _EXPIRY_S) + _PROOF_S
        self._doubts: list[_Doubt] = []
        self._moving: list[tuple[float, int]] = []  # until when, orders with a promised cancel
        self._busy: list[tuple[float, int]] = []  # calls under way: since when, their orders
        self.doubted_s = 0.0  # when the latest order was left in doubt
        self.starved_until_s = 0.0  # the exchange has said that no requests are left
        for name in _ORDERS:
            setattr(connector, name, partial(self._act, name, getattr(connector, name)))
        for name in _QUESTIONS:
            setattr(connector, name, partial(self._wait_for, getattr(connector, name)))
        connector.on_answer = partial(self._hear, connector.on_answer)

    @property
    def is_busy(self) -> bool:
        return bool(self._busy)

    def held(self) -> int:
        """How many orders have an outcome that the bot cannot know yet."""
        now_s = self._clock.now()
        waiting = sum(orders for _, orders in self._busy)
        return waiting + sum(d.orders for d in self._doubts if d.until_s > now_s)

    def moving(self) -> int:
        """How many orders are on their way to another place, where that takes two steps."""
        now_s = self._clock.now()
        self._moving = [(until_s, orders) for until_s, orders in self._moving if until_s > now_s]
        return sum(orders for _, orders in self._moving)

    def _act(
        self, name: str, act: Callable[..., list[Result]], orders: Sequence[Any]
    ) -> list[Result]:
        since_s = self._clock.now()
        results: list[Result] = self._wait_for(act, orders, orders=len(orders))
        now_s = self._clock.now()
        self._doubts = [doubt for doubt in self._doubts if doubt.until_s > now_s]
        unclear = sum(result.status is Status.UNKNOWN for result in results)
        if unclear:
            self.doubted_s = now_s
            self._doubts.append(_Doubt(since_s, now_s + self.freed_after_s, unclear))
        promised = sum(result.status is Status.ACCEPTED for result in results)
        if name == "cancel" and promised:
            self._moving.append((now_s + _MOVES_S, promised))
        self._acted()
        return results

    def _wait_for(self, call: Callable[..., Any], *args: Any, orders: int = 0, **more: Any) -> Any:
        mine = (self._clock.now(), orders)
        self._busy.append(mine)
        try:
            return call(*args, **more)
        finally:
            self._busy.remove(mine)

    def _hear(self, heard: Callable[[Answer], None], answer: Answer) -> None:
        heard(answer)
        left = answer.headers.get("x-ratelimit-remaining", "")
        if left.isdigit() and int(left) < _KEPT:  # it gives one back each second
            self.starved_until_s = self._clock.now() + _KEPT - int(left)
