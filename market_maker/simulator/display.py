"""What the public sees of one instrument: levels, the touch, prints and the instrument row."""

from collections import deque

from market_maker.model.rows import Row
from market_maker.simulator.accounts import Ledger
from market_maker.simulator.columns import (
    fixed_columns,
    mark_columns,
    price_columns,
    trade_columns,
)
from market_maker.simulator.events import BookEvent, InstrumentEvent, QuoteEvent, TradeEvent
from market_maker.simulator.instruments import Instrument, iso_time
from market_maker.simulator.market_state import MarketState
from market_maker.simulator.matching import Book
from market_maker.simulator.tape import Tape
from market_maker.simulator.triggers import Price

_TRADES_KEPT = 20_000


class Display:
    """Collects what changes during an operation and reports it once, at its end."""

    def __init__(self, spec: Instrument, book: Book, ledger: Ledger, tape: Tape) -> None:
        self.trades: deque[TradeEvent] = deque(maxlen=_TRADES_KEPT)
        self._spec, self._book, self._ledger, self._tape = spec, book, ledger, tape
        self._state = MarketState.opening(spec, tape.now())
        self._ledger.set_mark(spec.symbol, self._state.mark_price)
        self._touch: tuple[int | None, int, int | None, int] = (None, 0, None, 0)
        self._shown: Row = {}  # the moving instrument columns as last reported
        self._traded = self._index_moved = False
        self._market_state = "Open"
        self.settled_price: float | None = None  # where it expired
        self._changed: Row = {}  # fixed columns that changed after all

    @property
    def state(self) -> str:
        """Open, Closed, Settled ...: BitMEX's word for whether it trades."""
        return self._market_state

    def set_state(self, state: str) -> None:
        """Change the state; it is told at the next flush."""
        self._market_state = state
        self._changed["state"] = state

    def respec(self, spec: Instrument) -> None:
        """Show the instrument with another tick and lot. The book must be empty meanwhile."""
        before, after = self._spec.grid(), spec.grid()
        self._spec = spec
        self._state.rescale(before, after)
        self.trades = deque(
            (
                t._replace(price_ticks=after.nearest(before.price(t.price_ticks)))
                for t in self.trades
            ),
            maxlen=_TRADES_KEPT,
        )
        self._changed.update(tickSize=spec.tick_size, lotSize=spec.lot_size)

    @property
    def mark_price(self) -> float:
        return self._state.mark_price

    @property
    def last_price(self) -> float:
        return self._spec.grid().price(self._state.last_ticks)

    def price_named(self, name: str) -> float:
        """The price that an execInst of MarkPrice, IndexPrice or LastPrice names."""
        if name == "LastPrice":
            return self.last_price
        return self._state.index_price if name == "IndexPrice" else self._state.mark_price

    def trigger_prices(self) -> dict[str, Price]:
        """The prices that trigger orders, by the execInst that names them."""
        grid, state = self._spec.grid(), self._state
        mark, index = state.mark_price, state.index_price
        return {
            "MarkPrice": Price(grid.bid_ticks(mark), grid.ask_ticks(mark)),
            "IndexPrice": Price(grid.bid_ticks(index), grid.ask_ticks(index)),
            "LastPrice": Price(state.last_ticks, state.last_ticks),
        }

    @property
    def index_price(self) -> float:
        return self._state.index_price

    @property
    def mark_decimals(self) -> int:
        return self._spec.mark_decimals()

    def start_funding(self) -> float:
        """Begin the next funding interval; the rate of the one that ends."""
        rate = self._state.rate
        self._state.start_interval()
        self._index_moved = True
        now_s = self._tape.now()
        self._changed["fundingTimestamp"] = iso_time(now_s + self._spec.seconds_to_funding(now_s))
        return rate

    def settle(self, price: float) -> None:
        """Show that the contract expired at *price*."""
        self.set_state("Settled")
        self.settled_price = self._changed["settledPrice"] = price

    def print_trade(self, taker_side: str, qty: int, price_ticks: int, match_id: str) -> None:
        """Put a trade on the public tape."""
        self._state.trade(self._spec, qty, price_ticks)
        self._traded = True
        event = TradeEvent(
            self._tape.now(), self._spec.symbol, taker_side, qty, price_ticks, match_id,
            self._state.tick_direction,
        )  # fmt: skip
        self.trades.append(event)
        self._tape.emit(event)

    def set_index(self, index_price: float) -> None:
        """Follow the index, and the mark price with it; positions are revalued."""
        bid, _, ask, _ = self._current_touch()
        grid = self._spec.grid()
        touch = None if bid is None or ask is None else (grid.price(bid), grid.price(ask))
        self._state.move(self._spec, index_price, touch, self._tape.now())
        self._index_moved = True
        for account_no in self._ledger.set_mark(self._spec.symbol, self._state.mark_price):
            self._tape.touch(account_no, self._spec.symbol)

    def quote(self) -> QuoteEvent:
        """The touch as it is now."""
        bid, bid_size, ask, ask_size = self._current_touch()
        return QuoteEvent(self._tape.now(), self._spec.symbol, bid, bid_size, ask, ask_size)

    def instrument_row(self) -> Row:
        """The full instrument row as it is now."""
        now_s = self._tape.now()
        row = fixed_columns(self._spec, now_s)
        bid, _, ask, _ = self._current_touch()
        row.update(price_columns(self._spec, bid, ask))
        row.update(self._trade_columns())
        row.update(mark_columns(self._spec, self._state))
        row.update(state=self._market_state, settledPrice=self.settled_price)
        row["timestamp"] = iso_time(now_s)
        return row

    def flush(self) -> None:
        """Report what changed since the last flush."""
        columns: Row = {}
        if (self._book.bids.changed or self._book.asks.changed) and self._flush_book():
            columns.update(price_columns(self._spec, self._touch[0], self._touch[2]))
        if self._traded:
            columns.update(self._trade_columns())
        if self._index_moved:
            columns.update(mark_columns(self._spec, self._state))
        if self._changed:
            columns, self._changed = {**columns, **self._changed}, {}
        if columns:
            self._traded = self._index_moved = False
            self._report(columns)

    def _flush_book(self) -> bool:
        """Report levels and the touch; whether a price of the touch moved."""
        now_s, symbol = self._tape.now(), self._spec.symbol
        events = []
        for side in (self._book.bids, self._book.asks):
            if side.changed:
                for price, was, size in side.drain_changes():
                    level_id = side.level_id(price)
                    events.append(BookEvent(now_s, symbol, side.side, price, level_id, was, size))
        # what goes is told before what comes, so that no step of it shows a crossed book
        if len(events) > 1:
            events.sort(key=_comes)
        for event in events:
            self._tape.emit(event)
        before, touch = self._touch, self._current_touch()
        if touch == before:
            return False
        self._touch = touch
        self._tape.emit(QuoteEvent(now_s, symbol, *touch))
        return touch[0] != before[0] or touch[2] != before[2]

    def _report(self, columns: Row) -> None:
        shown = self._shown
        changes = {name: v for name, v in columns.items() if shown.get(name, self) != v}
        if not changes:
            return
        shown.update(changes)
        now_s = self._tape.now()
        changes["timestamp"] = iso_time(now_s)
        self._tape.emit(InstrumentEvent(now_s, self._spec.symbol, changes))

    def _trade_columns(self) -> Row:
        interest = self._ledger.open_interest(self._spec.symbol)
        return trade_columns(self._spec, self._state, interest)

    def _current_touch(self) -> tuple[int | None, int, int | None, int]:
        return *self._book.bids.touch(), *self._book.asks.touch()


def _comes(event: BookEvent) -> bool:
    return event.size > 0
