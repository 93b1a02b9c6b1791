"""Index prices, one for each underlying, and who follows them."""

from market_maker.model.rows import Row
from market_maker.simulator.columns import index_row
from market_maker.simulator.display import Display
from market_maker.simulator.events import InstrumentEvent
from market_maker.simulator.instruments import iso_time
from market_maker.simulator.tape import Tape


class Index:
    """The price of an underlying outside this exchange; the market source moves it."""

    def __init__(self, underlying: str, price: float, tape: Tape) -> None:
        self.price = price
        self.symbols: list[str] = []  # the names under which it is listed, such as .BXBT
        self._underlying, self._tape = underlying, tape
        self._displays: list[Display] = []
        self._decimals = 2
        self._shown = self._rounded()

    def follow(self, display: Display, symbol: str) -> None:
        """From now on *display* follows this index, which it knows as *symbol*."""
        if symbol not in self.symbols:
            self.symbols.append(symbol)
        self._displays.append(display)
        self._decimals = max(self._decimals, display.mark_decimals)
        self._shown = self._rounded()
        if display.index_price != self.price:
            display.set_index(self.price)

    def leave(self, display: Display) -> None:
        """*display* follows no more: its contract expired."""
        self._displays.remove(display)

    def move(self, price: float, by: Display) -> None:
        """A new price; only the first that follows may say so."""
        if by is self._displays[0]:
            self.price = price
            for display in self._displays:
                display.set_index(price)

    def row(self, symbol: str) -> Row:
        """The instrument row of the index under one of its names."""
        now_s = self._tape.now()
        return index_row(symbol, self._underlying, self.price, self._decimals, now_s)

    def flush(self) -> None:
        """Report the price if it changed."""
        price = self._rounded()
        if price == self._shown:
            return
        self._shown = price
        now_s = self._tape.now()
        for symbol in self.symbols:
            changes = {"lastPrice": price, "markPrice": price, "timestamp": iso_time(now_s)}
            self._tape.emit(InstrumentEvent(now_s, symbol, changes))

    def _rounded(self) -> float:
        return round(self.price, self._decimals)
