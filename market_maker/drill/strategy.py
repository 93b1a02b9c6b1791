"""Which strategy is rehearsed, and how it comes to trade on our stage instead of an exchange."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from market_maker.clock import Clock
from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.settings import Settings
from market_maker.strategy_loader import load_strategy

_LASTS_S = 30.0  # an order that came late may still be of what was wanted so long ago


class _Starts(BaseException):
    """A file has begun to trade while it was read."""

    def __init__(self, manager: OrderManager) -> None:
        self.strategy = type(manager)


def load(settings: Settings) -> type[OrderManager]:
    """The class that STRATEGY names, read anew; raises SettingsError.

    A file that begins to trade when it is read is stopped there and tells its class by that: it
    needs no `if __name__ == "__main__"`.
    """
    try:
        with _beginning(_refuse_to_start):
            return load_strategy(settings, OrderManager)
    except _Starts as start:
        return start.strategy


def put_on(cls: type[OrderManager], *args: Any, **kwargs: Any) -> OrderManager:
    """A manager made with these arguments, whatever those of the strategy's own `__init__`."""
    begin = OrderManager.__init__
    with _beginning(lambda self: begin(self, *args, **kwargs)):
        return cls()


def _refuse_to_start(manager: OrderManager) -> None:
    raise _Starts(manager)


@contextmanager
def _beginning(step: Callable[[OrderManager], None]) -> Iterator[None]:
    def instead(self: OrderManager, *_: Any, **__: Any) -> None:
        step(self)

    was = OrderManager.__init__
    OrderManager.__init__ = instead  # type: ignore[method-assign]
    try:
        yield
    finally:
        OrderManager.__init__ = was  # type: ignore[method-assign]


class Wants:
    """Which orders the strategy has asked for lately."""

    def __init__(self, manager: OrderManager, clock: Clock) -> None:
        self._clock = clock
        # when; orders of each side; the most of a side at one price
        self._asked: deque[tuple[float, Counter[str], Counter[str]]] = deque(maxlen=1_000)
        self._pairs, self._most = manager.settings.ORDER_PAIRS, manager.settings.MAX_OPEN_ORDERS
        self._is_ladder = type(manager).place_orders is OrderManager.place_orders
        converge = manager.converge_orders

        def heard(buy_orders: list[Row], sell_orders: list[Row]) -> Any:
            self._note({"Buy": buy_orders, "Sell": sell_orders})
            return converge(buy_orders, sell_orders)

        manager.converge_orders = heard  # type: ignore[method-assign]

    def _note(self, asked: dict[str, list[Row]]) -> None:
        now_s = self._clock.now()
        numbers = Counter({side: len(orders) for side, orders in asked.items()})
        stacks: Counter[str] = Counter()
        for side, orders in asked.items():
            prices = Counter(str(order.get("price")) for order in orders)
            stacks[side] = max(prices.values(), default=0)
        while self._asked and self._asked[0][0] < now_s - _LASTS_S:
            self._asked.popleft()
        self._asked.append((now_s, numbers, stacks))

    def most(self, side: str) -> int:
        """How many orders of *side* may rest."""
        if self._is_ladder:
            return int(self._pairs)
        if not self._asked:
            return int(self._most or 10_000)
        return max(numbers[side] for _, numbers, _ in self._asked)

    def stacked(self, side: str) -> int:
        """How many of them at one price."""
        return max([1, *(stacks[side] for _, _, stacks in self._asked)])

    def now(self, side: str) -> int | None:
        """How many are wanted now; None where the strategy does not say."""
        return self._asked[-1][1][side] if self._asked else None
