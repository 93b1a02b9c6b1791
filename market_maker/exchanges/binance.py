"""Binance spot over its WebSocket API, or REST in its place.

Everything above sees BitMEX's rows: the position is what is held of the base currency beyond the
user's inventory, and an order keeps its `orderID` through every replace. Client ids are unique
among open orders only, so none is ever used twice, and nothing is sent again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from market_maker.auth.binance import RECV_WINDOW_MS
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Sink, Status, no_start
from market_maker.exchanges.binance_calls import Call, FrameCalls, Limits, RestCalls
from market_maker.exchanges.binance_feed import BinanceFeed
from market_maker.exchanges.binance_orders import (
    CLOCK,
    FILTER,
    code_of,
    is_yes,
    order_params,
    refusal,
)
from market_maker.exchanges.binance_reads import BinanceReads, ServerTime
from market_maker.exchanges.binance_replace import Replacer
from market_maker.exchanges.binance_rows import SpotMarket, bar, quote_row, trade_row
from market_maker.exchanges.binance_tables import BinanceTables, Table
from market_maker.exchanges.chains import BINANCE, SUFFIX, Chains
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.public_reads import PublicReads
from market_maker.model.latency import Latency, measure_all
from market_maker.model.rows import NO_FUNDS, Row
from market_maker.model.wire import Answer, Message, Stream
from market_maker.utils.errors import (
    AuthenticationError,
    NotSupported,
    SettingsError,
)

logger = logging.getLogger("root")

_ID_MAX = 36


def public_topics(symbol: str) -> list[str]:
    """What the bot follows of the market."""
    return [f"{symbol.lower()}@bookTicker", f"{symbol.lower()}@trade"]


class BinanceConnector:
    """One account and one symbol at Binance spot."""

    name = "binance"

    def __init__(
        self,
        rest: RestCalls,
        frames: FrameCalls | None,
        streams: Mapping[str, Stream],
        symbol: str,
        *,
        limits: Limits,
        time: ServerTime,
        prefix: str,
        account_key: str = "public",
        order_entry: str = "ws",
        spot_inventory: float = 0.0,
        will_trade: bool = True,
    ) -> None:
        self.symbol = symbol
        self.account_key = account_key
        self.on_answer: Callable[[Answer], None] = lambda _: None
        self._rest, self._frames, self._streams = rest, frames, streams
        self._is_framed = frames is not None and order_entry == "ws"
        self._time, self._inventory, self._will_trade = time, spot_inventory, will_trade
        self._has_account = account_key != "public"
        self._chains = Chains(ClientIds(prefix, _ID_MAX - SUFFIX), time.now, BINANCE)
        self._reads = reads = BinanceReads(self._send, symbol, limits, time)
        self._public = PublicReads(
            "Binance",
            symbol,
            time.now,
            self.fetch_rows,
            lambda size, count: [bar(raw) for raw in reads.bars(size, count)],
        )
        self._images_reads = BinanceReads(self._send_rest, symbol, limits, time)
        self._known_tables: BinanceTables | None = None
        self._feed: BinanceFeed | None = None
        self._sink: Sink = lambda _: None
        self._began_ms = 0
        self._missed: set[str] = set()  # orders whose new id was not found once

    @property
    def caps(self) -> Capabilities:
        return Capabilities(
            client_id_max=_ID_MAX,
            atomic_batch=False,
            max_batch=1,
            post_only="reject",
            events="stream",
            request_expiry_s=RECV_WINDOW_MS / 1000,
            dead_man_s=None,
            positions=False,
            every_kind=False,
            reduce_only=False,
            budget=(25.0, 2.5, 5.0),  # the bucket and its refill are 50 orders in 10 s at most
            requests_per_s=25.0,
            order_cost=1.0,
        )

    @property
    def market(self) -> SpotMarket:
        """The symbol, read at first use; raises SettingsError for one that is not there."""
        return self._tables.market

    @property
    def _tables(self) -> BinanceTables:
        if self._known_tables is None:
            market = self._images_reads.market()
            account = self.account_key
            self._known_tables = BinanceTables(market, self._chains, account, self._inventory)
        return self._known_tables

    # -- the stream ----------------------------------------------------------------------------

    def measure(self, latency: Latency) -> None:
        measure_all(latency, *self._streams.values())

    def start(self, sink: Sink) -> None:
        """Begin streaming; raises StopTrading for a symbol or an account that does not fit."""
        self._sink = sink
        try:
            self._images_reads.measure_time()
            tables = self._tables
            if self._has_account:
                self._check_account()
        except ExchangeError as error:
            raise no_start(error) from None
        self._began_ms = int(self._time.now() * 1000)
        self._feed = BinanceFeed(self._streams, tables, self._images, self._frames)
        logger.info("Connecting to Binance spot for %s.", self.symbol)
        self._feed.start(sink)

    def _check_account(self) -> None:
        """The key must be good for trading, and should be for nothing else."""
        account = self._images_reads.account()
        if account.get("canTrade") is False and self._will_trade:
            raise AuthenticationError("the key may not trade: its rights are read_only")
        if self.market.state != "Open" and self._will_trade:
            raise SettingsError([f"Binance has closed {self.symbol}"])

    def stop_stream(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def stop(self) -> None:
        self.stop_stream()
        self._rest.close()

    def reconnect(self) -> None:
        if self._feed is not None:
            self._feed.reconnect()

    def follow(self, topic: str) -> None:
        """Only the book has a topic of its own here: its best twenty levels."""
        if topic.startswith("orderBook"):
            self._streams["public"].subscribe(f"{self.symbol.lower()}@depth20@100ms")

    def account_label(self) -> str:
        return f"uid {self._reads.account().get('uid')}"

    def server_offset_s(self) -> float:
        return self._time.offset_s

    def _images(self) -> list[Table]:
        """Read over REST: the thread that hears the socket cannot wait for it."""
        reads, tables = self._images_reads, self._tables
        reads.measure_time()
        tables.take_market(reads.market())
        account: dict[str, Any] = {}
        if self._has_account:
            orders = reads.open_orders()  # before the fills, so that one between them is seen
            account = {"orders": orders, "balances": reads.account().get("balances") or ()}
            account["fills"] = self._missed_fills(reads)
        last = next(iter(reads.trades(1)[-1:]), {})
        return tables.images(touch=reads.touch(), last=last, **account)

    def _missed_fills(self, reads: BinanceReads) -> list[Row]:
        """What was traded while nobody listened."""
        last = self._tables.last_fill
        if last is not None:
            return reads.fills(fromId=str(last + 1))
        return reads.fills(startTime=str(self._began_ms))

    # -- orders --------------------------------------------------------------------------------

    def place(self, orders: Sequence[Row]) -> list[Result]:
        """Create orders; asks are no larger than the base currency that is free."""
        calls: list[tuple[int, Call]] = []
        done: dict[int, Result] = {}
        free = self._free_base()
        for number, order in enumerate(orders):
            try:
                params = self._params(order, free)
            except ValueError as error:
                done[number] = Result(Status.REJECTED, {}, str(error))
                continue
            if params["side"] == "SELL" and free is not None:
                free -= Decimal(params["quantity"])
            calls.append((number, Call("order.place", params)))
        answers = self._act([call for _, call in calls])
        for (number, _), answer in zip(calls, answers, strict=True):
            done[number] = self._placed(orders[number], answer)
        return [done[number] for number in range(len(orders))]

    def _params(self, order: Row, free: Decimal | None) -> dict[str, str]:
        market, size = self.market, float(order["orderQty"])
        qty = market.qty(size)
        is_sell = order.get("side") == "Sell" or (not order.get("side") and size < 0)
        if is_sell and free is not None and qty > free:
            qty = market.whole_steps(free)
            if market.objection(qty, Decimal(str(order.get("price") or "Infinity"))):
                raise ValueError(NO_FUNDS)
        return order_params(order, market, self._chains.first_id(str(order["clOrdID"])), qty)

    def _free_base(self) -> Decimal | None:
        """What may be offered; None before the account was read."""
        held = self._tables.held
        return held.get(self.market.base, (Decimal(0), Decimal(0)))[0] if held else None

    def _placed(self, order: Row, answer: Answer) -> Result:
        if not is_yes(answer):
            return refusal(answer, {**order, "leavesQty": 0, "cumQty": 0})
        row = self._tables.order_row(answer.body)
        if row is None:
            return Result(Status.UNKNOWN, {}, "an answer that tells of another order", answer)
        return Result(Status.OK, {**order, **row}, "", answer)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        return Replacer(self._act, self._tables, self._chains).amend(changes)

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        tables = self._tables
        calls = [
            Call("order.cancel", {"symbol": self.symbol, "origClientOrderId": wire_id})
            for order_id in order_ids
            for wire_id in self._chains.ids(order_id)[-1:]
        ]
        results = []
        for answer in self._act(calls):
            row = tables.order_row(answer.body) if is_yes(answer) else None
            results.append(refusal(answer) if row is None else Result(Status.OK, row, "", answer))
        return results

    def dead_man(self, timeout_s: float | None) -> bool:  # noqa: ARG002
        """Binance spot has no dead man's switch."""
        return False

    def _act(self, calls: Sequence[Call]) -> list[Answer]:
        """Send orders, and look again at what a refusal says that we have wrong."""
        answers = self._send(calls) if calls else []
        codes = {code_of(answer) for answer in answers}
        try:
            if CLOCK in codes:
                self._images_reads.measure_time()
            if FILTER in codes:
                self._read_market()
        except ExchangeError as error:
            logger.warning("The exchange cannot be asked: %s", error)
        return answers

    def _read_market(self) -> None:
        """Read the symbol anew and tell of it: tick, lot and state may have changed."""
        self._sink(Message(0, self._tables.take_market(self._images_reads.market())))

    # -- queries -------------------------------------------------------------------------------

    def fetch_open_orders(self) -> list[Row]:
        found = (self._tables.order_row(raw) for raw in self._reads.open_orders())
        return [row for row in found if row is not None]

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        """An order under any of its ids; what is not found may be known under a later one."""
        order_id = order_id or self._chains.order_id_of(cl_ord_id)
        tables = self._tables
        if self._chains.last(order_id) is None:
            for listed in self._reads.open_orders():
                tables.order_row(listed)
        newest, *older = self._chains.ids(order_id)
        raw = self._reads.order(newest)
        if raw is None and older:  # the request is past its time: twice is proof
            if order_id not in self._missed:
                self._missed.add(order_id)
                return None
            self._missed.discard(order_id)
            reading = self._chains.end_replace(order_id)
            raw = self._reads.order(older[0])
            if raw is None:
                return None if reading is None else tables.row_of(reading)
        return None if raw is None else tables.order_row(raw)

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        """Rows of a BitMEX table, as far as this venue has them."""
        if params.get("symbol", self.symbol) != self.symbol:
            return []  # this connection trades one symbol
        reads, tables = self._reads, self._tables
        match table:
            case "quote":
                return [quote_row(reads.touch(), self.market)]
            case "instrument":
                last = next(iter(reads.trades(1)[-1:]), {})
                self._read_market()
                return [tables.instrument_image(reads.touch(), last)]
            case "margin" | "position":
                tables.balances_changed(reads.account().get("balances") or ())
                return [tables.margin_row() if table == "margin" else tables.position_row()]
            case "execution" | "execution/tradeHistory":
                return [tables.fill_row(raw) for raw in reads.fills()]
            case "trade":
                count = min(1000, int(params.get("count") or 100))
                return [trade_row(raw, self.market) for raw in reads.trades(count)]
        raise NotSupported(f"Binance has no {table} for this bot")

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """BitMEX's public GETs that have a like here; everything else raises NotSupported."""
        return self._public.answer(verb, path, query, body)

    # -- both ways -----------------------------------------------------------------------------

    def _send(self, calls: Sequence[Call]) -> list[Answer]:
        """Over the WebSocket API where it is up, else over REST."""
        answers = None
        is_live = self._feed is not None and self._feed.is_live
        if self._frames is not None and self._is_framed and is_live:
            answers = self._frames.send(calls)
        if answers is None:
            return self._send_rest(calls)
        for answer in answers:
            self.on_answer(answer)
        return answers

    def _send_rest(self, calls: Sequence[Call]) -> list[Answer]:
        answers = self._rest.send(calls)
        for answer in answers:
            self.on_answer(answer)
        return answers
