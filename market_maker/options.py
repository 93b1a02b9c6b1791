"""The options of every strategy: what the settings change between its wish and our orders.

All are off by default, and then nothing is computed. The arithmetic is in `market_maker/quoting/`:
`fair_price`, `skew`, `volatility`, `shape`, `places` and `brake`.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.model.times import seconds_of
from market_maker.quoting import fair_price, skew
from market_maker.quoting.brake import TradeBrake
from market_maker.quoting.places import Rests, is_worth_keeping, keep_places
from market_maker.quoting.shape import Shift, is_quote, move_quotes, resize_quotes
from market_maker.quoting.touch import Touch
from market_maker.quoting.volatility import Volatility
from market_maker.reference import Reference
from market_maker.utils.errors import MarketEmptyError, SkipRound, StaleData

logger = logging.getLogger("root")

MOVES = ("FAIR_PRICE", "SKEW_PRICE", "SKEW_FUNDING", "VOLATILITY_SPREAD")
SIZES = ("SKEW_SIZE",)
STAYS = ("QUEUE_WORTH", "MIN_REST")
BRAKE = ("TRADE_BRAKE",)
ALL = (*MOVES, *SIZES, *STAYS, *BRAKE)

_LEAST_SAMPLES = 10  # of the mid, before a spread can be widened by what it does
_WINDOW = 300
_SIDES = ("Buy", "Sell")
_T = TypeVar("_T")


class Leans(NamedTuple):
    """What moves the quotes, in price; for the status."""

    fair: float = 0.0  # the fair price less the strategy's reference
    inventory: float = 0.0
    funding: float = 0.0
    wider: float = 0.0  # on each side

    @property
    def shift(self) -> Shift:
        """What becomes of each side."""
        both = self.fair + self.inventory + self.funding
        return Shift(both - self.wider, both + self.wider)


class Options:
    """Applies them to the wanted orders of one bot."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._brake = TradeBrake()
        self._rests = Rests()
        self._basis = fair_price.Basis()
        self._volatility = Volatility(1.0, _WINDOW, manager.settings.LOOP_INTERVAL)
        self._reference: Reference | None = None
        self._leans: Leans | None = None

    def in_use(self) -> list[str]:
        """The settings that change anything now."""
        settings = self._manager.settings
        return [name for name in ALL if settings[name]]

    def warn_of_unused(self) -> None:
        """A setting that this strategy cannot follow must not seem to protect anybody."""
        manager = self._manager
        idle = [name for name in self.in_use() if name not in manager.options_used]
        if idle:
            name = type(manager).__name__
            logger.warning("%s: no effect on strategy %s.", ", ".join(idle), name)

    # -- while the bot trades -----------------------------------------------------------

    def note_fill(self, fill: Row) -> None:
        """Count a fill of ours for the brake."""
        if self._manager.settings.TRADE_BRAKE and fill.get("side") in _SIDES:
            qty, now_s = fill.get("lastQty") or 0, self._manager.clock.monotonic()
            order_qty, price = fill.get("orderQty") or qty, fill.get("lastPx") or 0.0
            self._brake.add(fill["side"], price, qty, order_qty, now_s)

    def listen(self) -> None:
        """Let a move of the reference begin a round, as one of our own market does."""
        if self._reference is not None and self._reference.has_moved():
            state = self._manager.exchange.desk.state
            state.want_round()
            state.wake.set()

    def close(self) -> None:
        """Let go of the reference."""
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def check(self) -> None:
        """Raise StaleData where the external reference is not known: no quote without it."""
        settings = self._manager.settings
        if settings.FAIR_PRICE == "external" and "FAIR_PRICE" in self._manager.options_used:
            self._external().mid(settings.FAIR_PRICE_MAX_AGE)

    # -- the wanted orders --------------------------------------------------------------

    def apply(self, orders: list[Row]) -> list[Row]:
        """The wanted *orders* as the settings have them; raises SkipRound, with quotes pulled."""
        used = self._manager.options_used
        names = [name for name in self.in_use() if name in used]
        if not names:
            self._leans = None
            return orders
        try:
            return self._apply(orders, names)
        except SkipRound as reason:
            self._manager.exchange.desk.gateway.pull(str(reason))  # a strategy may catch it
            raise

    def _apply(self, orders: list[Row], names: list[str]) -> list[Row]:
        manager = self._manager
        ticker = manager._ticker()
        bid, ask = ticker["buy"], ticker["sell"]
        mid = manager._mid_of_others()  # with our own in it, it would follow our quotes
        grid = PriceGrid.of(manager.instrument.get("tickSize") or 0.01)
        # Stops, orders that close and those meant to take are the strategy's own business.
        others = [order for order in orders if not is_quote(order, bid, ask)]
        quotes = [order for order in orders if is_quote(order, bid, ask)]
        if any(name in MOVES for name in names):
            self._leans = self._read_leans(names, mid, grid)
            quotes = move_quotes(quotes, self._leans.shift, bid, ask, grid)
        if "SKEW_SIZE" in names:
            quotes = self._resized(quotes, mid)
        if "TRADE_BRAKE" in names:
            quotes = [o for side in _SIDES for o in self.within_brake(side, _of(side, quotes))]
        if any(name in STAYS for name in names) and not manager.exchange.dry_run:
            quotes = self._kept(quotes, grid)
        return [*others, *quotes]

    def _read_leans(self, names: list[str], mid: float, grid: PriceGrid) -> Leans:
        settings, fair, inventory, funding, wider = self._manager.settings, 0.0, 0.0, 0.0, 0.0
        if "FAIR_PRICE" in names:
            fair = self._fair_price(mid) - self._manager.reference_price()
        if "SKEW_PRICE" in names:
            inventory = skew.price_lean(self._place(mid), settings.SKEW_PRICE, mid)
        if "SKEW_FUNDING" in names:
            funding = self._funding(mid)
        if "VOLATILITY_SPREAD" in names:
            now_s, tick = self._manager.clock.monotonic(), grid.price(1)
            self._volatility.sample(now_s, mid / tick)
            if len(self._volatility) < _LEAST_SAMPLES:
                raise StaleData("VOLATILITY_SPREAD: how much the mid moves is not known yet")
            wider = settings.VOLATILITY_SPREAD * self._volatility.sigma * tick
        return Leans(fair, inventory + 0.0, funding + 0.0, wider)  # no -0.0

    def _fair_price(self, mid: float) -> float:
        settings, exchange = self._manager.settings, self._manager.exchange
        if settings.FAIR_PRICE == "external":
            told = self._external().mid(settings.FAIR_PRICE_MAX_AGE)
            now_s = self._manager.clock.monotonic()
            return told + self._basis.add(mid - told, settings.FAIR_PRICE_BASIS, now_s)
        touch: Touch = exchange.get_touch()
        if touch.mid is None:
            raise MarketEmptyError("The order book has no orders of others, cannot quote")
        return fair_price.OF_THE_TOUCH[settings.FAIR_PRICE](touch)

    def _external(self) -> Reference:
        source = self._manager.settings.FAIR_PRICE_SOURCE
        if self._reference is None or self._reference.source != source:
            self.close()
            self._basis = fair_price.Basis()
            self._reference = Reference(source, self._manager.exchange)
        return self._reference

    def _place(self, mid: float) -> float:
        settings, exchange = self._manager.settings, self._manager.exchange
        contract = Contract.from_instrument(self._manager.instrument)
        each, margin = contract.value(1_000_000, mid) / 1_000_000, exchange.get_margin()
        balance = margin.get("marginBalance")
        worth = balance / each if balance and each else math.inf
        half_range, target = settings.SKEW_RANGE, settings.SKEW_TARGET
        return skew.place_in_band(exchange.get_delta(), target, half_range, worth)

    def _funding(self, mid: float) -> float:
        settings, row = self._manager.settings, self._manager.instrument
        due_s = seconds_of(row.get("fundingTimestamp"))
        if due_s is None:
            return 0.0
        now_s = self._manager.clock.now()
        left_s = due_s - now_s - self._manager.exchange.desk.connector.server_offset_s()
        rate, window_s = row.get("fundingRate") or 0.0, settings.SKEW_FUNDING_WINDOW
        return skew.funding_lean(rate, left_s, window_s, settings.SKEW_FUNDING, mid)

    def _resized(self, quotes: list[Row], mid: float) -> list[Row]:
        """Sizes by the inventory; what the limits and the funds do not allow is left out."""
        manager, settings, place = self._manager, self._manager.settings, self._place(mid)
        lots, most = LotGrid.of(manager.instrument.get("lotSize") or 1), settings.MAX_ORDER_SIZE
        resized = resize_quotes(quotes, lambda side: skew.size_factor(side, place), lots, most)
        # Outermost first, as the fit expects them.
        return [o for side in _SIDES for o in manager._fit(side, _of(side, resized), "resized ")]

    def within_brake(self, side: str, orders: list[_T]) -> list[_T]:
        """Of the *orders* of one side, outermost first, so many as may trade now."""
        settings, now_s = self._manager.settings, self._manager.clock.monotonic()
        if not settings.TRADE_BRAKE:
            return orders
        done = self._brake.trades(side, settings.TRADE_BRAKE_SECONDS, now_s)
        # An order that is partly filled may come to its end.
        room = max(0, math.ceil(settings.TRADE_BRAKE - done - 1e-9))
        return orders[-room:] if room else []

    def _kept(self, orders: list[Row], grid: PriceGrid) -> list[Row]:
        """The quotes, but those that are too young to move or have too good a place stay."""
        manager, settings = self._manager, self._manager.settings
        working, now_s = manager._working_orders(), manager.clock.monotonic()
        rested_s = self._rests.look(working, now_s)
        queue = manager.exchange.get_queue_estimate() if settings.QUEUE_WORTH else None

        def stays(order: Row, ticks: float) -> bool:
            if rested_s.get(order["orderID"], 0.0) < settings.MIN_REST:
                return True
            ratio = queue.place(order, now_s).ratio if queue else 1.0
            return is_worth_keeping(ratio, ticks, settings.QUEUE_WORTH)

        return keep_places(orders, working, stays, grid)

    # -- for people ---------------------------------------------------------------------

    def log_status(self) -> None:
        """One line on what moves the quotes, one on a brake that holds."""
        if self._leans is not None:
            logger.info(
                "Quotes lean: fair %+.4g, inventory %+.4g, funding %+.4g, wider by %.4g",
                *self._leans,
            )
        settings = self._manager.settings
        if settings.TRADE_BRAKE:
            now_s, per_s = self._manager.clock.monotonic(), settings.TRADE_BRAKE_SECONDS
            done = [self._brake.trades(side, per_s, now_s) for side in _SIDES]
            logger.info(
                "Trade brake: bought %.4g, sold %.4g of %s in %g s",
                *(*done, settings.TRADE_BRAKE, per_s),
            )


def _of(side: str, orders: Sequence[Row]) -> list[Row]:
    """The orders of *side*, outermost first."""
    ours = [order for order in orders if order.get("side") == side]
    return sorted(ours, key=_closeness)


def _closeness(order: Row) -> float:
    price = float(order.get("price") or order.get("stopPx") or 0.0)
    return price if order.get("side") == "Buy" else -price
