"""What can be read of the built-in exchange: markets, orders, executions, positions, margin."""

from collections.abc import Iterable, Sequence

from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import PriceGrid
from market_maker.simulator.accounts import Ledger
from market_maker.simulator.desk import Desk
from market_maker.simulator.entry import Refused
from market_maker.simulator.events import Order, OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.matching import Level
from market_maker.simulator.statements import margin_row, position_row
from market_maker.simulator.tape import QuoteCount, Tape


class Records:
    """The reading half of the engine."""

    def __init__(self, tape: Tape, ledger: Ledger, desks: Iterable[Desk]) -> None:
        self._tape, self._ledger = tape, ledger
        self._desks = {desk.spec.symbol: desk for desk in desks}

    def now(self) -> float:
        """The exchange's time (Unix seconds); it never goes back."""
        return self._tape.now()

    def symbols(self) -> list[str]:
        return list(self._desks)

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

    def instrument_row(self, symbol: str) -> Row:
        return self._desk(symbol).display.instrument_row()

    def position_symbols(self, account_no: int) -> list[str]:
        """Symbols in which the account ever had an order or a fill."""
        return list(self._ledger.positions(account_no))

    def position_row(self, account_no: int, symbol: str) -> Row:
        desk = self._desk(symbol)
        return position_row(self._ledger, account_no, desk.spec, self.now())

    def margin_row(self, account_no: int) -> Row:
        return margin_row(self._ledger, account_no, self.now())

    def imbalance_sat(self) -> int:
        """The sum of all postings of all accounts, market and house included: always 0."""
        return self._ledger.total()

    def _desk(self, symbol: str) -> Desk:
        desk = self._desks.get(str(symbol).upper())
        if desk is None:
            raise Refused("Invalid symbol")
        return desk
