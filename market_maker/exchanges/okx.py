"""OKX v5: swaps and spot, over REST and two WebSockets.

Everything above sees BitMEX's rows. An amend or a cancel that OKX has acknowledged is only
promised (`Status.ACCEPTED`); the `orders` channel or a query tells that it happened. The
connector never changes a setting of the account: it refuses to start where one does not fit.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Sink, Status, no_start
from market_maker.exchanges.batches import batches
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.feed import Table
from market_maker.exchanges.okx_feed import OkxFeed
from market_maker.exchanges.okx_frames import OrderFrames
from market_maker.exchanges.okx_orders import (
    MAX_BATCH,
    changed_order,
    new_order,
    placed_row,
    results,
)
from market_maker.exchanges.okx_reads import API, OkxReads, code_of, words_of
from market_maker.exchanges.okx_rows import Market, bar, quote_row, trade_row
from market_maker.exchanges.okx_tables import OkxTables
from market_maker.exchanges.public_reads import PublicReads
from market_maker.model.latency import Latency, measure_all
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request, Stream, Transport
from market_maker.utils.errors import (
    AuthenticationError,
    NotSupported,
    SettingsError,
)

logger = logging.getLogger("root")

_DEADMAN_S = (10.0, 120.0)
_SINGLE = {"order": "/trade/order", "amend": "/trade/amend-order", "cancel": "/trade/cancel-order"}
_BATCH = {
    "order": "/trade/batch-orders",
    "amend": "/trade/amend-batch-orders",
    "cancel": "/trade/cancel-batch-orders",
}


def public_topics(inst_id: str, inst_type: str) -> list[Row]:
    """What the bot follows of the market."""
    channels = ["bbo-tbt", "trades", "price-limit"]
    if inst_type != "SPOT":
        channels += ["mark-price", "funding-rate"]
    topics = [{"channel": name, "instId": inst_id} for name in channels]
    return [*topics, {"channel": "instruments", "instType": inst_type}]


def private_topics(inst_id: str, inst_type: str) -> list[Row]:
    """What the bot follows of the account."""
    topics: list[Row] = [
        {"channel": "orders", "instType": inst_type, "instId": inst_id},
        {"channel": "account"},
    ]
    if inst_type != "SPOT":
        topics.append({"channel": "positions", "instType": inst_type, "instId": inst_id})
    return topics


class OkxConnector:
    """One account and one instrument at OKX."""

    name = "okx"

    def __init__(
        self,
        transport: Transport,
        streams: Mapping[str, Stream],
        symbol: str,
        *,
        clock: Clock,
        prefix: str,
        account_key: str = "public",
        margin_mode: str = "cross",
        order_entry: str = "ws",
        spot_inventory: float = 0.0,
        timeout_s: float = 7.0,
        expires: Callable[[], str] = lambda: "",
        offset_s: Callable[[], float] = lambda: 0.0,
        will_trade: bool = True,
    ) -> None:
        self.symbol = symbol
        self.account_key = account_key
        self.on_answer: Callable[[Answer], None] = lambda _: None
        self.ids = ClientIds(prefix)
        self._transport = transport
        self._streams = streams
        self._margin_mode = margin_mode
        self._spot_inventory = spot_inventory
        self._offset_s = offset_s
        self._has_account = account_key != "public"
        self._will_trade = will_trade
        self._account_mode = ""
        self._reads = reads = OkxReads(self._send, symbol)
        self._public = PublicReads(
            "OKX",
            symbol,
            lambda: clock.now() + offset_s(),
            self.fetch_rows,
            lambda size, count: [bar(raw, self.market) for raw in reads.bars(size, count)],
        )
        self._is_spot = self._reads.inst_type == "SPOT"
        self._market: Market | None = None
        self._tables: OkxTables | None = None
        self._feed: OkxFeed | None = None
        private = streams.get("private") if order_entry == "ws" else None
        self._frames = OrderFrames(private, clock, timeout_s, expires) if private else None

    @property
    def caps(self) -> Capabilities:
        return Capabilities(
            client_id_max=32,
            atomic_batch=False,
            max_batch=MAX_BATCH,
            max_cancel=MAX_BATCH,
            events="stream",
            request_expiry_s=2.0,
            dead_man_s=_DEADMAN_S,
            dead_man_of_own=True,
            positions=not self._is_spot,
            every_kind=False,
            reduce_only=not self._is_spot,
            # 300 orders in 2 s by the batch calls and 60 by the single ones, whatever the start
            budget=(100.0, 100.0, 20.0),
            requests_per_s=20.0,
            order_cost=1.0,
        )

    @property
    def market(self) -> Market:
        """The instrument, read at first use; raises ExchangeError for one that is not there."""
        if self._tables is not None:
            return self._tables.market  # as the stream has it: tick and lot may change
        if self._market is None:
            self._market = self._reads.market(self.symbol)
        return self._market

    # -- the stream ----------------------------------------------------------------------------

    def measure(self, latency: Latency) -> None:
        measure_all(latency, *self._streams.values(), self._transport)

    def start(self, sink: Sink) -> None:
        """Check market and account and begin streaming; raises StopTrading where one is unfit."""
        try:
            self._tables = self._new_tables()
            if self.market.state != "Open":
                raise SettingsError([f"OKX has closed {self.symbol}: {self.market.state}"])
            if self._has_account:
                self._check_account()
        except ExchangeError as error:
            raise no_start(error) from None
        self._feed = OkxFeed(self._streams, self._tables, self._images, self._frames)
        logger.info("Connecting to OKX for %s (%s).", self.symbol, self._reads.inst_id)
        self._feed.start(sink)

    def stop_stream(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def stop(self) -> None:
        self.stop_stream()
        self._transport.close()

    def reconnect(self) -> None:
        if self._feed is not None:
            self._feed.reconnect()

    def follow(self, topic: str) -> None:
        """Only the book has a topic of its own here."""
        if topic.startswith("orderBook"):
            channel = {"channel": "books", "instId": self._reads.inst_id}
            self._streams["public"].subscribe(channel)  # type: ignore[arg-type]

    def server_offset_s(self) -> float:
        return self._offset_s()

    def _new_tables(self) -> OkxTables:
        return OkxTables(self.market, self.ids.decode, self.account_key, self._spot_inventory)

    def _images(self) -> list[Table]:
        assert self._tables is not None
        account: dict[str, Any] = {}
        if self._has_account:
            account = {
                "orders": self._reads.open_orders(),
                "positions": self._reads.positions(),
                "details": self._reads.details(),
                "fills": self._reads.fills(self._tables.knows_any),
                "bills": self._reads.funding(self._tables.funding.since_ms),
            }
        return self._tables.images(book=self._reads.touch(), mark=self._reads.mark(), **account)

    def _check_account(self) -> None:
        config = self._reads.config()
        self._account_mode = str(config.get("acctLv"))
        rights = str(config.get("perm") or "trade")
        if self._will_trade and "trade" not in rights:
            raise AuthenticationError(f"the key may not trade: its rights are {rights}")
        if "withdraw" in rights:
            logger.warning("The key may withdraw money: give the bot one that may only trade.")
        if self._is_spot:
            return
        if self._account_mode == "1":
            fault = f"{self.symbol} needs an OKX account in futures mode; this one is in spot mode."
            raise SettingsError([fault])
        if config.get("posMode") == "long_short_mode":
            fault = "The OKX account is in long/short position mode; this bot needs net mode."
            raise SettingsError([fault])
        levers = "/".join(self._reads.leverages(self._margin_mode))
        logger.info("Leverage: %s, margin %s.", levers, self._margin_mode)

    def account_label(self) -> str:
        config = self._reads.config()
        return f"{config.get('label') or 'key without a label'} (uid {config.get('uid')})"

    # -- orders --------------------------------------------------------------------------------

    def place(self, orders: Sequence[Row]) -> list[Result]:
        wires, done = [], {}
        for number, order in enumerate(orders):
            try:
                wires.append((number, new_order(order, self.market, self.ids, self._trade_mode)))
            except ValueError as error:
                done[number] = Result(Status.REJECTED, {}, str(error))
        answers = self._send_orders("order", [wire for _, wire in wires], Status.OK)
        for (number, _), result in zip(wires, answers, strict=True):
            if result.status is Status.OK:
                row = placed_row(orders[number], result.row["orderID"])
                result = result._replace(row=row)
            done[number] = result
        return [done[number] for number in range(len(orders))]

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        wires = [changed_order(change, self.market) for change in changes]
        return self._send_orders("amend", wires, Status.ACCEPTED)

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        wires = [{"instId": self._reads.inst_id, "ordId": order_id} for order_id in order_ids]
        return self._send_orders("cancel", wires, Status.ACCEPTED)

    def dead_man(self, timeout_s: float | None) -> bool:
        """OKX counts in whole seconds, 10 to 120; only orders with our tag are cancelled."""
        low, high = _DEADMAN_S
        seconds = 0 if timeout_s is None else round(min(high, max(low, timeout_s)))
        body = {"timeOut": str(seconds), "tag": self.ids.tag}
        answer = self._post("/trade/cancel-all-after", body)
        if answer.refuses_key:
            raise AuthenticationError(f"the exchange refuses the key: {words_of(answer)}")
        return answer.status == 200 and code_of(answer) == "0"

    @property
    def _trade_mode(self) -> str:
        if not self._is_spot:
            return self._margin_mode
        return "cross" if self._account_mode in ("3", "4") else "cash"

    def _send_orders(self, kind: str, wires: Sequence[Row], done: Status) -> list[Result]:
        found: list[Result] = []
        for batch in batches(wires, MAX_BATCH):
            answer = self._over_stream(kind, batch)
            if answer is None:
                many = len(batch) > 1
                path = (_BATCH if many else _SINGLE)[kind]
                answer = self._post(path, batch if many else batch[0])
            found += results(answer, len(batch), done)
        return found

    def _over_stream(self, kind: str, batch: list[Row]) -> Answer | None:
        """The answer of the order socket; None where REST is to be used instead."""
        is_live = self._feed is not None and self._feed.is_live
        code = self.market.inst_id_code
        if self._frames is None or not is_live or code is None:
            return None
        answer = self._frames.call(kind, batch, code)
        if self._frames.refuses_instrument(answer):
            logger.warning("OKX takes no orders over the stream here: REST from now on.")
            self._frames = None
            return None
        return answer

    # -- queries -------------------------------------------------------------------------------

    def fetch_open_orders(self) -> list[Row]:
        tables = self._tables or self._new_tables()
        return [tables.order_row(raw) for raw in self._reads.open_orders()]

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        if order_id:
            raw = self._reads.order("ordId", order_id)
        else:
            raw = self._reads.order("clOrdId", self.ids.encode(cl_ord_id))
        return None if raw is None else (self._tables or self._new_tables()).order_row(raw)

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        """Rows of a BitMEX table, as far as this venue has them."""
        tables, reads = self._tables or self._new_tables(), self._reads
        match table:
            case "quote":
                return [quote_row(reads.touch(), self.market)]
            case "instrument":
                return [tables.instrument_image(reads.touch(), reads.mark())]
            case "margin":
                return [tables.margin_row(reads.details())]
            case "position":
                details = reads.details() if self._is_spot else ()
                return [tables.position_row(reads.positions(), details)]
            case "execution" | "execution/tradeHistory":
                past = reads.past_fills(int(params.get("start") or 0))
                return [row for raw in past if (row := tables.fill_row(raw)) is not None]
            case "trade":
                count = min(500, int(params.get("count") or 100))
                return [trade_row(raw, self.market) for raw in reads.trades(count)]
        raise NotSupported(f"OKX has no {table} for this bot")

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """BitMEX's public GETs that have a like here; everything else raises NotSupported."""
        name = path.strip("/")
        if (verb.upper(), name) == ("GET", "apiKey"):
            rights = str(self._reads.config().get("perm")).split(",")
            order = ["order"] if "trade" in rights else []
            return Answer(200, [{"id": self.account_key, "permissions": order + rights}], {})
        return self._public.answer(verb, path, query, body)

    # -- REST ----------------------------------------------------------------------------------

    def _post(self, path: str, body: Any) -> Answer:
        return self._send(Request("POST", API + path, None, body))

    def _send(self, request: Request) -> Answer:
        answer = self._transport.send([request])[0]
        self.on_answer(answer)
        return answer
