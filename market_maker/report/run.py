"""One run of a strategy on the built-in exchange, within the process and faster than life."""

from collections.abc import Callable
from typing import NamedTuple

from market_maker.drill.place import START_S, Home
from market_maker.drill.seat import LastWords, seat, silence
from market_maker.report.figures import Figures, Tally
from market_maker.settings import Settings
from market_maker.simulator.events import Event, OrderEvent, QuoteEvent
from market_maker.simulator.market.recorded import RecordedMarket

_FUNDING_S = 27_200.0  # after START_S funding is exchanged
_BEFORE_S = 300.0  # a run begins so long before it, so that it has its part in the figures


class Run(NamedTuple):
    """What came of it. Amounts are satoshi, or the like of another settlement currency."""

    figures: Figures
    seconds: float  # of the exchange's time
    balance: int  # what the exchange says was won
    currency: str
    usd: float | None  # what a unit of the currency was worth at the end; None if unknown
    ended: str  # why it ended before its time, or nothing
    is_touch_fill: bool = False  # prices only were recorded: kinder than a queue would be

    @property
    def is_exact(self) -> bool:
        """Whether the figures come to what the exchange says."""
        return self.figures.total == self.balance


def trade(
    settings: Settings,
    seconds: float,
    seed: int,
    recorded: RecordedMarket | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Run:
    """Let the bot of the *settings* trade for so long, or to the end of what is *recorded*.

    *progress* hears which part of the time is over. Raises SettingsError.
    """
    place = Home(seed, settings, recorded, START_S + _FUNDING_S - _BEFORE_S)
    last_words = LastWords()
    with silence(place.clock, last_words):
        watch = _Watch(place, seconds, recorded, progress)
        bot = seat(place, settings, seed)
        busy = bot.exchange.desk.gateway.outbox
        place.clock.is_busy = lambda: busy.busy_thread is not None
        place.clock.curtain_s = watch.end_s
        try:
            bot.run_loop()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        place.clock.curtain_s = float("inf")
    return watch.result(last_words.text if code else "")


class _Watch:
    """Follows the account by the exchange's own events."""

    def __init__(
        self,
        place: Home,
        seconds: float,
        recorded: RecordedMarket | None,
        progress: Callable[[float], None],
    ) -> None:
        self._place, self._recorded, self._progress = place, recorded, progress
        self._engine, self._symbol = place.engine, place.symbol
        self._start_s = place.clock.now()
        self.end_s = self._start_s + seconds
        self._account = place.account.number
        self._grid = self._engine.grid(self._symbol)
        quote = self._engine.quote(self._symbol)
        self._currency = str(self._engine.instrument_row(self._symbol)["settlCurrency"])
        self._tally = Tally(self._engine.contract(self._symbol), self._mid_of(quote) or 0.0)
        self._balance = self._margin()
        self._told = 0
        self._engine.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if self._recorded is not None and self._recorded.next_time() is None:
            self._place.clock.curtain_s = min(self._place.clock.curtain_s, self._engine.now())
        if isinstance(event, QuoteEvent) and event.symbol == self._symbol:
            mid = self._mid_of(event)
            if mid is not None:
                self._tally.note_mid(event.time_s, mid)
            self._look_at_the_clock(event.time_s)
        elif isinstance(event, OrderEvent) and event.order.account == self._account:
            fill = event.fill
            if fill is None:
                return
            if event.exec_type == "Funding":
                self._tally.note_funding(fill.comm_sat)
            else:
                qty = fill.qty if event.order.side == "Buy" else -fill.qty
                self._tally.note_fill(event.time_s, qty, fill.cost_sat, fill.comm_sat)

    def _look_at_the_clock(self, now_s: float) -> None:
        part = int(100 * (now_s - self._start_s) / (self.end_s - self._start_s))
        if part > self._told:
            self._told = part
            self._progress(part / 100)

    def result(self, ended: str) -> Run:
        """The figures at the end of the run, orders cancelled."""
        row = self._engine.instrument_row(self._symbol)
        now_s, mark = self._place.clock.now(), float(row["markPrice"] or 0.0)
        figures = self._tally.close(now_s, mark)
        gained = self._margin() - self._balance
        by_touch = self._recorded is not None and self._recorded.is_touch_fill
        seconds, usd = now_s - self._start_s, self._usd(row)
        return Run(figures, seconds, gained, self._currency, usd, ended, by_touch)

    def _usd(self, row: dict[str, object]) -> float | None:
        if self._currency != "XBt":
            return 1.0 if self._currency.startswith("USD") else None
        if row["isInverse"]:
            return float(row["markPrice"])  # type: ignore[arg-type]
        if "XBTUSD" in self._engine.symbols():
            return float(self._engine.instrument_row("XBTUSD")["markPrice"])
        return None

    def _margin(self) -> int:
        return int(self._engine.margin_row(self._account, self._currency)["marginBalance"])

    def _mid_of(self, quote: QuoteEvent) -> float | None:
        if quote.bid_ticks is None or quote.ask_ticks is None:
            return None
        return (self._grid.price(quote.bid_ticks) + self._grid.price(quote.ask_ticks)) / 2
