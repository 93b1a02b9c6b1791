"""The market maker: it reads, checks, decides and acts, round by round."""

import math
import random
import sys
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import requests

from market_maker import ending, options, runner, status
from market_maker.clock import Clock
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges.base import ExchangeError
from market_maker.model.contracts import XBt_to_XBT, cost, margin
from market_maker.model.rows import LATE_AMEND, Row, Ticker
from market_maker.model.ticks import LotGrid, PriceGrid
from market_maker.quoting import ladder, limits
from market_maker.quoting.converge import Plan, Rules, converge
from market_maker.quoting.sanity import find_nonsense
from market_maker.quoting.touch import best_prices
from market_maker.settings import check, or_exit, warnings
from market_maker.settings import settings as global_settings
from market_maker.strategy_loader import load_strategy
from market_maker.utils import constants, errors, log

__all__ = ["ExchangeInterface", "OrderManager", "XBt_to_XBT", "cost", "margin", "run"]
logger = log.setup_custom_logger("root")
_CROSSED_AT_MOST_S = 0.5
watched_files_mtimes: list[tuple[str, float]] = []


class Snapshot(NamedTuple):
    """Prices and orders that one round decides on, of one moment; the position is read fresh."""

    version: int
    ticker: Ticker
    orders: list[Row]
    others: Ticker  # the market without our orders


class OrderManager:
    """Quotes a ladder of orders. Override `place_orders()`, or any other method."""

    options_used: Collection[str] = options.ALL  # which options its orders can follow

    def __init__(
        self,
        exchange: ExchangeInterface | None = None,
        settings: Any = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = global_settings if settings is None else settings
        or_exit(lambda: check(self.settings))
        or_exit(lambda: runner.begin_log(self.settings))
        for line in warnings(self.settings):
            logger.warning("%s", line)
        self.is_running, self.exit_code, self.is_in_on_stop = False, 0, False
        try:
            self.exchange = exchange or ExchangeInterface(
                bool(self.settings.DRY_RUN), settings=settings, clock=clock, rng=rng
            )
        except errors.StopTrading as reason:
            for line in str(reason).splitlines():
                logger.error("%s", line)
            raise SystemExit(reason.exit_code) from reason
        # A loop of the strategy's own has no rounds of ours: its reads show that it is alive.
        self.exchange.beats_on_read = type(self).run_loop is not OrderManager.run_loop
        self.clock, self.rng = self.exchange.clock, self.exchange.rng
        status.log_start(self.exchange)
        self.start_time = datetime.fromtimestamp(self.clock.now())
        self.instrument = self.exchange.get_instrument()
        self.starting_qty = self.running_qty = self.exchange.get_delta()
        self.start_XBt = self.exchange.get_margin().get("marginBalance")
        self.start_position_buy = self.start_position_sell = self.start_position_mid = 0.0
        self._snapshot: Snapshot | None = None
        self.quote_options = options.Options(self)
        self._pace, self._end = runner.Pace(self.clock), ending.End(self)
        self.interrupts = self._end.interrupts
        self.fills_this_run, self._lines = 0, status.Lines()
        self._said: dict[str, object] = {}
        self._crossed_s = math.inf  # since when the book has been crossed
        self._refused_amends: Counter[str] = Counter()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A strategy's own `run_loop` starts and ends like ours."""
        super().__init_subclass__(**kwargs)
        if "run_loop" in cls.__dict__:
            cls.run_loop = runner.managed(cls.__dict__["run_loop"])  # type: ignore[method-assign]

    # -- hooks for strategies -----------------------------------------------------------

    def on_start(self) -> None:
        """Called once, connected and before the first order."""

    def on_stop(self) -> None:
        """Called once at the end, before the orders are cancelled."""

    def on_fill(self, fill: Row) -> None:
        """Called with the execution row of each fill of ours."""

    def on_trade(self, trade: Row) -> None:
        """Called with each public trade."""

    def on_book(self, row: Row) -> None:
        """Called when the touch or the followed order book changes."""

    # -- the loop -----------------------------------------------------------------------

    @runner.managed
    def run_loop(self) -> None:
        while True:
            if sys.stdout.isatty():
                print("-----", flush=True)
            self.interrupts.raise_swallowed()
            self.check_file_change()
            self.wait_for_change()
            self.run_once()

    def wait_for_change(self) -> None:
        """Until something relevant changes, within MIN_REQUOTE_INTERVAL and LOOP_INTERVAL."""
        self._pace.wait(self.exchange.desk, self.settings, self._call_hooks)

    def run_once(self) -> None:
        """One round: hear what happened, check, decide, act. A failed request only skips it."""
        desk = self.exchange.desk
        desk.state.drain()
        desk.state.take_relevance()
        self._lines.hold()
        try:
            self._call_hooks()
            if not self.check_connection():
                raise desk.why_ended()
            self.exchange.check()
            self.quote_options.check()
            self.sanity_check()
            self._crossed_s = math.inf
            desk.gateway.release()
            if self._pace.is_status_due(self.settings.LOOP_INTERVAL):
                self.print_status()
            self.place_orders()
            desk.gateway.settle_unknown()
            desk.gateway.beat()
            self._is_news("skipped", False)
        except errors.SkipRound as reason:
            self._skip_round(reason)
        except requests.exceptions.HTTPError as error:
            if self._is_news("skipped", str(error)):
                logger.warning("This round is skipped: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever a strategy raises
            self._contain(error)
        finally:
            self._lines.let_go()

    def _contain(self, error: Exception) -> None:
        """A strategy has failed: end the run, or pull the quotes and look again."""
        if isinstance(error, errors.BotError) or self.settings.ON_STRATEGY_ERROR != "pull":
            raise error
        self._skip_round(errors.StrategyFault(runner.describe(error)))

    def _skip_round(self, reason: errors.SkipRound) -> None:
        gateway = self.exchange.desk.gateway
        if isinstance(reason, errors.CrossedBook):
            # Between two messages a frame may be crossed; one that stays so is not the market.
            self._crossed_s = min(self._crossed_s, self.clock.monotonic())
            self.exchange.desk.state.want_round()
            if self.clock.monotonic() - self._crossed_s <= _CROSSED_AT_MOST_S:
                return
        gateway.pull(str(reason))
        try:
            gateway.settle_unknown()
            gateway.pull(str(reason))  # what was in doubt and is found goes too
        except requests.exceptions.HTTPError as error:
            logger.debug("Orders in doubt are not settled yet: %s", error)

    def _call_hooks(self) -> None:
        self.quote_options.listen()
        for kind, row in self.exchange.desk.state.take_notices():
            try:
                self._call_hook(kind, row)
            except errors.SkipRound as reason:
                self._skip_round(reason)
            except requests.exceptions.HTTPError as error:
                logger.warning("on_%s failed: %s", kind, error)
            except Exception as error:  # noqa: BLE001 - whatever a strategy raises
                self._contain(error)

    def _call_hook(self, kind: str, row: Row) -> None:
        if kind == "fill":
            self.fills_this_run += 1
            status.log_fill(row, self.instrument["tickLog"])
            self.quote_options.note_fill(row)
            self.on_fill(row)
        elif kind == "trade":
            self.on_trade(row)
        elif kind == "book":
            self.on_book(row)

    # -- status and prices --------------------------------------------------------------

    def print_status(self) -> None:
        """Log balance, position and limits."""
        self.running_qty = self.exchange.get_delta()
        self._pace.note_status()
        status.log_status(self)
        self.quote_options.log_status()

    def get_ticker(self) -> Ticker:
        """Read the market once for this round, and set where the ladder starts."""
        exchange = self.exchange
        for _ in range(3):  # until nothing has come between the two reads
            ticker, version = exchange.get_ticker(), exchange.desk.state.version
            orders = exchange.get_orders()
            others = exchange.get_ticker_of_others(ticker, orders)
            if version == exchange.desk.state.version:
                break
        self._snapshot = Snapshot(version, ticker, orders, others)
        self.instrument = exchange.get_instrument()
        own = best_prices(orders)
        starts = ladder.start_positions(others, self._grid(), self._shape(), *own)
        self.start_position_buy, self.start_position_sell, self.start_position_mid = starts
        if self._is_news("ticker", (ticker["buy"], ticker["sell"])):
            self._lines.say(status.log_ticker, self.instrument, ticker, starts)
        return ticker

    def get_price_offset(self, index: int) -> float:
        """The price of level *index*: negative numbers buy, positive ones sell."""
        ticker = self._ticker()
        starts = ladder.Starts(
            self.start_position_buy, self.start_position_sell, self.start_position_mid
        )
        return ladder.level_price(index, starts, ticker, self._grid(), self._shape())

    def reference_price(self) -> float:
        """The price that the wanted orders lie around: FAIR_PRICE moves them from there."""
        return self._mid_of_others()

    def _mid_of_others(self) -> float:
        ticker = self._snapshot.others if self._snapshot else self.get_ticker()
        return (ticker["buy"] + ticker["sell"]) / 2  # `mid` is rounded to the tick

    def _ticker(self) -> Ticker:
        return self._snapshot.ticker if self._snapshot else self.get_ticker()

    # -- orders -------------------------------------------------------------------------

    def place_orders(self) -> None:
        """Say which orders we want, and converge to them. The method a strategy overrides."""
        buy_orders, sell_orders = [], []
        # Outermost first: the order in which strategies that override `converge_orders` know them.
        is_long = self.long_position_limit_exceeded()
        is_short = self.short_position_limit_exceeded()
        for i in reversed(range(1, self.settings.ORDER_PAIRS + 1)):
            if not is_long:
                buy_orders.append(self.prepare_order(-i))
            if not is_short:
                sell_orders.append(self.prepare_order(i))
        self.converge_orders(self._fit("Buy", buy_orders), self._fit("Sell", sell_orders))

    def prepare_order(self, index: int) -> Row:
        """The order of level *index*: price, size and side."""
        settings = self.settings
        if settings.RANDOM_ORDER_SIZE is True:
            quantity = ladder.random_qty(self.rng, settings.MIN_ORDER_SIZE, settings.MAX_ORDER_SIZE)
        else:
            quantity = ladder.level_qty(index, settings.ORDER_START_SIZE, settings.ORDER_STEP_SIZE)
        lots = LotGrid.of(self.instrument.get("lotSize") or 1)
        quantity = max(lots.nearest(quantity), lots.qty(1))
        side = "Buy" if index < 0 else "Sell"
        return {"price": self.get_price_offset(index), "orderQty": quantity, "side": side}

    def converge_orders(self, buy_orders: list[Row], sell_orders: list[Row]) -> None:
        """Turn the orders we have into those we want, with as few changes as possible."""
        wanted = self._checked(self.quote_options.apply([*buy_orders, *sell_orders]))
        if self.exchange.dry_run:
            fees = status.fees(self.settings, self.exchange, self.instrument)
            status.show_plan(wanted, self._ticker(), self.instrument, fees)
            return
        working = self._working_orders()
        self._carry_out(converge(working, wanted, self._rules()), working)

    def _carry_out(self, plan: Plan, working: list[Row]) -> None:
        digits = self.instrument["tickLog"]
        if plan.cancel:
            self._lines.say(status.log_orders, "Canceling %d orders:", plan.cancel, digits)
            self.exchange.cancel_bulk_orders(plan.cancel)
        if plan.amend:
            self._lines.say(status.log_amends, plan.amend, working, digits)
            self._amend(plan.amend)
        if plan.create:
            self._lines.say(status.log_orders, "Creating %d orders:", plan.create, digits)
            self.exchange.create_bulk_orders(plan.create)

    def _checked(self, orders: list[Row]) -> list[Row]:
        """What is wanted, if it can be meant, behind prices that have just proved to take."""
        gateway = self.exchange.desk.gateway
        lots, most = LotGrid.of(self.instrument.get("lotSize") or 1), self.settings.MAX_OPEN_ORDERS
        nonsense = find_nonsense(orders, self._grid(), lots, most)
        if nonsense:
            reason = f"the strategy asks for {nonsense}"
            gateway.pull(reason)  # at once: a strategy may catch what we raise
            raise errors.StrategyFault(reason)
        return gateway.hold.step_back(orders, self._grid(), self.clock.monotonic())

    def _amend(self, changes: list[Row]) -> None:
        """Send amends; an order that is refused twice cannot follow the market, and goes."""
        try:
            self.exchange.amend_bulk_orders(changes)
            self._refused_amends.clear()
            self._is_news("amend", False)
        except ExchangeError as error:
            self.exchange.desk.state.want_round()
            if error.message == LATE_AMEND:
                logger.warning("Amending failed. Waiting for order data to converge and retrying.")
                return
            if self._is_news("amend", error.message):
                logger.warning("Amending failed: %s", error.message)
            self._refused_amends.update(change["orderID"] for change in changes)
            stuck = [c for c in changes if self._refused_amends[c["orderID"]] > 1]
            self.exchange.cancel_bulk_orders(stuck)

    def _working_orders(self) -> list[Row]:
        """Our orders as of this round's snapshot, or fresher if the strategy has read since."""
        state = self.exchange.desk.state
        if self._snapshot is None or self._snapshot.version != state.version:
            return [*self.exchange.get_orders(), *state.orders.unproven()]
        return [*self._snapshot.orders, *state.orders.unproven()]

    # -- limits -------------------------------------------------------------------------

    def short_position_limit_exceeded(self) -> bool:
        """Whether nothing more may be sold."""
        checks, least = self.settings.CHECK_POSITION_LIMITS, self.settings.MIN_POSITION
        return bool(checks and self.exchange.get_delta() <= least)

    def long_position_limit_exceeded(self) -> bool:
        """Whether nothing more may be bought."""
        checks, most = self.settings.CHECK_POSITION_LIMITS, self.settings.MAX_POSITION
        return bool(checks and self.exchange.get_delta() >= most)

    def _fit(self, side: str, orders: list[Row], stage: str = "") -> list[Row]:
        """What limits and funds allow of a side; each *stage* of a round tells once what not."""
        fitting = ladder.fit(orders, self._room(side), lambda o: float(abs(o["orderQty"])))
        if self._is_news(f"{stage}{side} room", bool(orders and not fitting)):
            logger.info("The position limits leave no room for a %s order.", side)
        margin, held = self.exchange.get_margin(), self.exchange.get_position()
        room = limits.margin_room(side, margin, held, self.instrument)
        funded = ladder.fit(fitting, room, limits.margin_of(self.instrument))
        if self._is_news(f"{stage}{side} funds", len(funded) < len(fitting)):
            logger.warning("Funds allow %d of %d %s levels.", len(funded), len(fitting), side)
        return funded

    def _room(self, side: str) -> float | None:
        s, (low, high) = self.settings, self.exchange.desk.state.position_range()
        if not s.CHECK_POSITION_LIMITS:
            return None
        return float(s.MAX_POSITION - high if side == "Buy" else low - s.MIN_POSITION)

    # -- checks and ends ----------------------------------------------------------------

    def sanity_check(self) -> None:
        """Refuse to decide on an empty book or a closed market; log limits that are reached."""
        self.exchange.check_if_orderbook_empty()
        self.exchange.check_market_open()
        self.get_ticker()
        for side, reached in (
            ("Long", self.long_position_limit_exceeded()),
            ("Short", self.short_position_limit_exceeded()),
        ):
            if self._is_news(side, reached):
                status.log_limit(side, self.exchange.get_delta(), self.settings)

    def check_file_change(self) -> None:
        """Restart if any of the watched files has changed."""
        changed = runner.changed_file(watched_files_mtimes)
        if changed is not None:
            logger.info("%s has changed.", changed)
            self.restart()

    def check_connection(self) -> bool:
        """Whether the exchange still deals with us."""
        return self.exchange.is_open() and not self.exchange.desk.gateway.outbox.fatal

    def reset(self) -> None:
        """Cancel what is left from before and quote anew."""
        self.exchange.cancel_all_orders()
        self.sanity_check()
        self.print_status()
        self.place_orders()

    def start(self) -> None:
        """Begin the run: `run_loop`, ours or a strategy's own, has called this already."""
        runner.begin(self)
        watched_files_mtimes[:] = runner.modified_times(runner.files_in_use(self.settings))
        status.warn_of_odd_sizes(self.settings, self.instrument.get("lotSize") or 1)
        self.quote_options.warn_of_unused()
        self.on_start()
        try:
            self.exchange.check()  # what is lost from the first order on counts for MAX_LOSS
            self.reset()
        except errors.SkipRound as reason:
            self.exchange.desk.gateway.pull(str(reason))

    def report(self, error: Exception) -> None:
        """Say why the run ends."""
        if isinstance(error, errors.BotError | requests.exceptions.HTTPError):
            logger.error("Stopping: %s", error)
        else:
            logger.error("Stopping after an unexpected error.", exc_info=error)

    def exit(self) -> None:
        """Cancel everything, verify, and leave by SystemExit."""
        self.shut_down()
        raise SystemExit(self.exit_code)

    def shut_down(self) -> None:
        """Cancel all orders of ours, verify that none is left, say the last words, disconnect."""
        self._end.come()

    def restart(self) -> None:
        """Start anew in this process, with the orders cancelled so that none is unmanaged."""
        ending.restart(self)

    # -- within -------------------------------------------------------------------------

    def _grid(self) -> PriceGrid:
        return PriceGrid.of(self.instrument.get("tickSize") or 0.01)

    def _rules(self) -> Rules:
        """When a resting order is good enough to stay."""
        s, keep_sizes = self.settings, self.settings.RANDOM_ORDER_SIZE is True
        return Rules(self._grid(), s.RELIST_INTERVAL, s.TOPUP_BELOW, keep_sizes)

    def _shape(self) -> ladder.LadderShape:
        s = self.settings
        return ladder.LadderShape(s.INTERVAL, s.MIN_SPREAD, bool(s.MAINTAIN_SPREADS))

    def _is_news(self, name: str, value: object) -> bool:
        """Whether *value* is not what was last said under *name*; that all is well is no news."""
        is_new, self._said[name] = self._said.get(name) != value, value
        return is_new and value is not False


def run() -> None:
    """Trade with the settings until interrupted."""
    logger.info("BitMEX Market Maker Version: %s", constants.VERSION)
    load_strategy(global_settings, OrderManager)().run_loop()
