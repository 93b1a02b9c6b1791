"""What can be read of the built-in exchange beside money: markets, orders, executions."""

from collections.abc import Sequence

from market_maker.model.contracts import Contract
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.events import Order, OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.matching import Level
from market_maker.simulator.tape import QuoteCount
from market_maker.simulator.treasury import Treasury


class Records(Treasury):
    """The reading half of the engine."""

    def now(self) -> float:
        """The exchange's time (Unix seconds); it never goes back."""
        return self._tape.now()

    def symbols(self) -> list[str]:
        """What is traded, or closed for a while; not what has expired."""
        return [s for s, desk in self._desks.items() if desk.display.state != "Settled"]

    def instrument(self, symbol: str) -> Instrument:
        """The fixed part of an instrument; raises Refused for an unknown symbol."""
        return self._desk(symbol).spec

    def grid(self, symbol: str) -> PriceGrid:
        return self._desk(symbol).grid

    def contract(self, symbol: str) -> Contract:
        return self._desk(symbol).contract

    def orders(self, account_no: int) -> list[Order]:
        """Open and recently finished orders, oldest first."""
        return list(self._tape.shelf(account_no).orders.values())

    def open_order_count(self) -> int:
        """How many orders of all accounts are open."""
        return sum(len(shelf.open) for shelf in self._tape.shelves())

    def executions(self, account_no: int) -> list[OrderEvent]:
        """Recent order events, oldest first."""
        return list(self._tape.shelf(account_no).executions)

    def quote_counts(self, account_no: int) -> list[QuoteCount]:
        """Quotes submitted and dealt, for each UTC day that had any, oldest first."""
        return list(self._tape.shelf(account_no).quotes)

    def trades(self, symbol: str) -> Sequence[TradeEvent]:
        """Recent public prints, oldest first."""
        return self._desk(symbol).display.trades

    def book(self, symbol: str, depth: int = 0) -> tuple[list[Level], list[Level]]:
        """(bids, asks), best first, at most *depth* levels each; 0 is all."""
        book = self._desk(symbol).book
        return book.levels("Buy", depth), book.levels("Sell", depth)

    def quote(self, symbol: str) -> QuoteEvent:
        """The touch as it is now."""
        return self._desk(symbol).display.quote()
