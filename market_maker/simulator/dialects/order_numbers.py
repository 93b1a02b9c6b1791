"""A venue's own numbers for the engine's orders.

A number is kept with its order, so that it goes when the engine forgets the order, and survives
a restart with it.
"""

from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Engine

_NUMBER = "number"  # in an order's `extra`


class OrderNumbers:
    """Counts on from *first*, or from the last number that an order of *engine* has."""

    def __init__(self, engine: Engine, first: int) -> None:
        accounts = {account.number for account in engine.accounts()}
        given = [
            number
            for account_no in accounts
            for order in engine.orders(account_no)
            if isinstance(number := order.extra.get(_NUMBER), int)
        ]
        self._last = max([first - 1, *given])

    def new(self) -> int:
        """A number that nothing has."""
        self._last += 1
        return self._last

    def of(self, order: Order) -> int:
        """The number of an order; a first look gives it one."""
        number = order.extra.get(_NUMBER)
        if not isinstance(number, int):
            number = order.extra[_NUMBER] = self.new()
        return number
