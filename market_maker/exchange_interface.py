"""The exchange as a strategy sees it: reads that are fresh, and actions that are guarded."""

import logging
import random
from collections.abc import Sequence
from typing import Any

from market_maker import status, venue
from market_maker.bitmex import BitMEX
from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.desk import Desk
from market_maker.model.coins import coin_of
from market_maker.model.latency import Latency
from market_maker.model.order_book import OrderBook
from market_maker.model.rows import NO_BUY, NO_SELL, Row, Ticker
from market_maker.model.ticks import PriceGrid, plain
from market_maker.quoting.limits import is_spot
from market_maker.quoting.loss import LossLimits
from market_maker.quoting.queue_estimate import MODELS, QueueEstimate
from market_maker.quoting.touch import Touch, best_prices, touch_of_others
from market_maker.settings import settings as global_settings
from market_maker.utils import constants, errors

logger = logging.getLogger("root")


class ExchangeInterface:
    """The exchange as a strategy sees it. Usable alone and from several threads.

    Every read is fresh: it folds in what has arrived, and what our own actions were answered.
    """

    def __init__(
        self,
        dry_run: bool = False,
        *,
        desk: Desk | None = None,
        settings: Any = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.dry_run = dry_run
        self.beats_on_read = False
        self.settings = global_settings if settings is None else settings
        self.clock, self.rng = clock or Clock(), rng or random.Random()
        self.desk = desk or venue.open_desk(
            self.settings, str(self.settings.SYMBOL), self.clock, self.rng, dry_run
        )
        self.symbol = self.desk.connector.symbol
        self.is_play_money = venue.is_play_money(self.settings)
        self.stakes = venue.stakes(self.settings)
        self.bitmex = BitMEX(
            symbol=self.symbol,
            apiKey=self.settings.BITMEX_API_KEY or None,
            orderIDPrefix=self.settings.ORDERID_PREFIX,
            postOnly=bool(self.settings.POST_ONLY),
            timeout=self.settings.TIMEOUT,
            desk=self.desk,
        )
        if not self.desk.is_open:
            if self.settings.LATENCY:
                self.desk.measure(Latency(self.clock.monotonic))
            self.desk.open()

    # -- orders -------------------------------------------------------------------------

    def cancel_order(self, order: Row) -> None:
        digits = self.get_instrument()["tickLog"]
        status.log_orders("Canceling %d order:", [order], digits)
        self.bitmex.cancel(order["orderID"])

    def cancel_all_orders(self) -> None:
        """Cancel every order of ours, and verify with the exchange that none is left."""
        if self.dry_run:
            return
        logger.info("Resetting current position. Canceling all existing orders.")
        digits = self.get_instrument()["tickLog"]
        for order in self.desk.gateway.cancel_own():
            logger.info(
                "Canceling: %s %s @ %.*f",
                order["side"],
                plain(order.get("leavesQty") or 0),
                digits,
                order.get("price") or 0,
            )

    def amend_bulk_orders(self, orders: Sequence[Row]) -> list[Row]:
        return list(orders) if self.dry_run else self.bitmex.amend_bulk_orders(orders)

    def create_bulk_orders(self, orders: Sequence[Row]) -> list[Row]:
        return list(orders) if self.dry_run else self.bitmex.create_bulk_orders(orders)

    def cancel_bulk_orders(self, orders: Sequence[Row]) -> list[Row]:
        if self.dry_run:
            return list(orders)
        return self.bitmex.cancel([order["orderID"] for order in orders])

    amend_orders, create_orders, cancel_orders = (
        amend_bulk_orders,
        create_bulk_orders,
        cancel_bulk_orders,
    )

    def check(self) -> None:
        """What every round does first: raises StaleData, or LossLimitReached."""
        self.desk.check_data(self.settings.STALE_AFTER)
        limits = LossLimits(self.settings.MAX_LOSS, self.settings.MAX_DRAWDOWN)
        self.desk.check_losses(limits)

    def _guard_quotes(self) -> None:
        """The same for a loop of the strategy's own."""
        gateway = self.desk.gateway
        try:
            self.desk.state.drain()
            self.check()
        except errors.StaleData as reason:
            gateway.pull(str(reason))
        else:
            gateway.release()
            gateway.beat()

    # -- the account --------------------------------------------------------------------

    def get_portfolio(self) -> dict[str, Row]:
        """What CONTRACTS hold: `{symbol: {currentQty, futureType, multiplier, ...}}`."""
        portfolio = {}
        for symbol in dict.fromkeys([*(self.settings.CONTRACTS or []), self.symbol]):
            try:
                row = self.get_instrument(symbol)
            except (KeyError, ExchangeError):
                continue  # CONTRACTS may name what this exchange does not list
            kind = "Quanto" if row.get("isQuanto") else "Inverse"
            kind = kind if row.get("isQuanto") or row.get("isInverse") else "Linear"
            to_settle = row.get("underlyingToSettleMultiplier") or row.get(
                "quoteToSettleMultiplier"
            )
            portfolio[symbol] = {
                "currentQty": float(self.get_position(symbol).get("currentQty") or 0),
                "futureType": kind,
                "multiplier": float(row.get("multiplier") or 1) / float(to_settle or 1),
                "markPrice": float(row.get("markPrice") or 0),
                "spot": float(row.get("indicativeSettlePrice") or row.get("markPrice") or 0),
            }
        return portfolio

    def calc_delta(self) -> dict[str, float]:
        """The portfolio's delta at the index (`spot`), at the mark, and their difference. In XBT
        where all it holds is; `delta_by_coin` tells others apart."""
        items = self.get_portfolio().values()
        spot = sum((_delta(item, item["spot"]) for item in items), 0.0)
        mark = sum((_delta(item, item["markPrice"]) for item in items), 0.0)
        return {"spot": spot, "mark_price": mark, "basis": mark - spot}

    def delta_by_coin(self) -> dict[str, float]:
        """The portfolio's delta at the index in each coin, that of our own symbol first: the one a
        contract is settled in, or the underlying where the contract is linear."""
        deltas = {_coin_of_delta(self.get_instrument()): 0.0}
        for symbol, item in self.get_portfolio().items():
            if item["currentQty"]:
                coin = _coin_of_delta(self.get_instrument(symbol))
                deltas[coin] = deltas.get(coin, 0.0) + _delta(item, item["spot"])
        return deltas

    def get_delta(self, symbol: str | None = None) -> float:
        return self.get_position(symbol).get("currentQty") or 0

    def get_margin(self) -> Row:
        if not self.desk.has_account:
            balance = round((self.settings.DRY_BTC or 0) * constants.XBt_TO_XBT)
            return {"marginBalance": balance, "walletBalance": balance, "availableMargin": balance}
        margin, instrument = self.bitmex.funds(), self.get_instrument()
        if not is_spot(instrument):
            return margin
        worth = self.get_delta() * (instrument.get("markPrice") or 0)  # a purchase is no loss
        balance = margin.get("walletBalance") or 0
        unit = coin_of(margin.get("currency")).unit
        return {**margin, "marginBalance": balance + round(worth * unit)}

    def get_orders(self) -> list[Row]:
        if self.beats_on_read:
            self._guard_quotes()
        return [] if self.dry_run else self.bitmex.open_orders()

    def get_highest_buy(self) -> Row:
        buys = [o for o in self.get_orders() if o.get("side") == "Buy" and o.get("price")]
        return max(buys, key=lambda o: o["price"], default=NO_BUY.copy())

    def get_lowest_sell(self) -> Row:
        sells = [o for o in self.get_orders() if o.get("side") == "Sell" and o.get("price")]
        return min(sells, key=lambda o: o["price"], default=NO_SELL.copy())

    def get_position(self, symbol: str | None = None) -> Row:
        return self.bitmex.ws.position(symbol or self.symbol)

    # -- the market ---------------------------------------------------------------------

    def get_instrument(self, symbol: str | None = None) -> Row:
        return self.bitmex.instrument(symbol or self.symbol)

    def get_ticker(self, symbol: str | None = None) -> Ticker:
        return self.bitmex.ticker_data(symbol or self.symbol)  # type: ignore[return-value]

    def get_order_book(self) -> OrderBook:
        """The order book, in integer ticks, followed from the first call on and always current.

        Empty until its image has come, when `has_image` is True. Where the exchange is polled, it
        is the levels near the touch, as they were at the last turn.
        """
        book = self.desk.follow_book()
        self.desk.state.drain()
        return book

    def get_queue_estimate(
        self, model: str = MODELS[0], shown_within_s: float = 0.5
    ) -> QueueEstimate:
        """Where our orders stand in the queues at their prices, followed from the first call on.

        *model*: "pessimistic", never better than the truth, or "proportional".
        """
        self.desk.state.drain()
        return self.desk.follow_queue(model, shown_within_s)

    def get_touch(self) -> Touch:
        """The best prices of the others: the order book with our own orders taken out.

        Until it is there, the ticker's.
        """
        orders, book = self.get_orders(), self.get_order_book()
        # Of so many levels one at least is not ours alone.
        rows = book.rows(len(orders) + 1) if book.has_image else self.desk.ask_levels(self.symbol)
        touch = touch_of_others(rows, orders)
        if touch.mid is None and not rows:
            ticker = self.get_ticker()
            return Touch(ticker["buy"], 0.0, ticker["sell"], 0.0)
        return touch

    def get_ticker_of_others(self, ticker: Ticker, orders: Sequence[Row]) -> Ticker:
        """*ticker* with our *orders* taken out. The book is asked only where one may be the touch;
        where nobody else is there our own price stands."""
        grid = PriceGrid.of(self.get_instrument().get("tickSize") or 0.01)
        own = {grid.nearest(price) for price in best_prices(orders) if price is not None}
        if own.isdisjoint((grid.nearest(ticker["buy"]), grid.nearest(ticker["sell"]))):
            return ticker
        touch = self.get_touch()
        buy, sell = touch.bid or ticker["buy"], touch.ask or ticker["sell"]
        mid = grid.price(grid.nearest((buy + sell) / 2))
        return {**ticker, "buy": buy, "sell": sell, "mid": mid}

    def is_open(self) -> bool:
        """Whether the connection has not ended for good."""
        return not self.bitmex.ws.exited

    def check_market_open(self) -> None:
        state = self.get_instrument().get("state")
        if state not in ("Open", "Closed"):
            raise errors.MarketClosedError(f"The instrument {self.symbol} is not open: {state}")

    def check_if_orderbook_empty(self) -> None:
        self.desk.state.drain()
        empty = [name for name, price in self.desk.state.touch.items() if price is None]
        bid, ask = self.desk.state.touch.values()
        if bid is not None and ask is not None and bid >= ask:
            raise errors.CrossedBook(f"The book is crossed: bid {bid}, ask {ask}")
        if empty:
            side = "bids" if empty == ["bidPrice"] else "asks" if len(empty) == 1 else "orders"
            raise errors.MarketEmptyError(f"The order book has no {side}, cannot quote")


def _delta(item: Row, price: float) -> float:
    """What an item of the portfolio gains for each unit that its price rises, in coins."""
    worth: float = item["currentQty"] * item["multiplier"]
    if item["futureType"] == "Linear":
        return worth
    if item["futureType"] == "Quanto":
        return worth * price
    return worth / price if item["spot"] and item["markPrice"] else 0.0


def _coin_of_delta(instrument: Row) -> str:
    is_linear = not (instrument.get("isInverse") or instrument.get("isQuanto"))
    if is_linear and instrument.get("underlying"):
        coin = str(instrument["underlying"])
        return "XBT" if coin == "BTC" else coin
    return coin_of(instrument.get("settlCurrency")).name
