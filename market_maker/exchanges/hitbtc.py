"""HitBTC v3 spot: orders and reports over the trading stream, queries over REST.

Everything above sees BitMEX's rows. An order keeps one `orderID` through every replace, although
the venue knows it under a new client order id each time (`chains`). A replace cancels
first: if the new order is refused, the old one is gone, and its last report or a query says so.
An order that is filled in part is cancelled, and what is left of it entered anew under the next
id, because it is not documented whether a replace counts what was filled before.

The venue has no dead man's switch: when the bot dies without code running, its orders stay.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Sink, Status, no_start
from market_maker.exchanges.chains import HITBTC, SUFFIX, Chains
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.feed import Table
from market_maker.exchanges.hitbtc_actions import Actions
from market_maker.exchanges.hitbtc_feed import HitbtcFeed
from market_maker.exchanges.hitbtc_orders import (
    NEW,
    OFF_GRID,
    Call,
    outcome,
)
from market_maker.exchanges.hitbtc_reads import HitbtcReads
from market_maker.exchanges.hitbtc_requests import Requests
from market_maker.exchanges.hitbtc_rows import Market, bar, quote_row, trade_row, venue_symbol
from market_maker.exchanges.hitbtc_tables import HitbtcTables
from market_maker.exchanges.public_reads import PublicReads
from market_maker.model.latency import Latency, measure_all
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request, Stream, Transport
from market_maker.utils.errors import NotSupported, SettingsError

logger = logging.getLogger("root")

_ID_MAX = 32
_QUARANTINE_S = 10.0  # requests of the stream do not expire there; later they hardly arrive


def public_topics(symbol: str) -> list[Row]:
    """The frames that follow the market."""
    channels = ("orderbook/top/100ms", "trades", "ticker/1s")
    return [_subscription(channel, symbol, n) for n, channel in enumerate(channels, 1)]


def private_topics() -> list[Row]:
    """The frames that follow the account."""
    return [
        {"method": "spot_balance_subscribe", "params": {"mode": "updates"}, "id": 11},
        {"method": "spot_subscribe", "params": {}, "id": 12},
    ]


def _subscription(channel: str, symbol: str, number: int) -> Row:
    params = {"symbols": [venue_symbol(symbol)]}
    return {"method": "subscribe", "ch": channel, "params": params, "id": number}


class HitbtcConnector:
    """One account and one symbol at HitBTC."""

    name = "hitbtc"

    def __init__(
        self,
        transport: Transport,
        streams: Mapping[str, Stream],
        symbol: str,
        *,
        clock: Clock,
        prefix: str,
        account_key: str = "public",
        order_entry: str = "ws",
        spot_inventory: float = 0.0,
        timeout_s: float = 7.0,
        replays: bool = False,
        offset_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.symbol = symbol
        self.account_key = account_key
        self.on_answer: Callable[[Answer], None] = lambda _: None
        self.chains = Chains(ClientIds(prefix, _ID_MAX - SUFFIX), clock.now, HITBTC)
        self._transport = transport
        self._streams = streams
        self._inventory = spot_inventory
        self._offset_s = offset_s
        self._has_account = account_key != "public"
        self._reads = reads = HitbtcReads(self._send, symbol)
        self._public = PublicReads(
            "HitBTC",
            symbol,
            lambda: clock.now() + offset_s(),
            self.fetch_rows,
            lambda size, count: [bar(raw) for raw in reads.bars(size, count)],
        )
        self._market: Market | None = None
        self._tables: HitbtcTables | None = None
        self._feed: HitbtcFeed | None = None
        private = streams.get("private") if order_entry == "ws" else None
        self.requests: Requests | None = None
        if private is not None:
            self.requests = Requests(private, clock, timeout_s, self._on_late, replays=replays)

    @property
    def caps(self) -> Capabilities:
        return Capabilities(
            client_id_max=_ID_MAX,
            amend="replace_new_id",
            atomic_batch=False,
            max_batch=1,
            max_cancel=1,
            events="stream_snapshot",
            request_expiry_s=_QUARANTINE_S,
            dead_man_s=None,
            positions=False,
            every_kind=False,
            reduce_only=False,
            requests_per_s=250.0,
            budget=(280.0, 280.0, 20.0),  # 300 a second for one account
            order_cost=1.0,
        )

    @property
    def market(self) -> Market:
        """The symbol, read at first use; raises ExchangeError for one that is not there."""
        if self._market is None:
            self._market = self._reads.market(self.symbol)
        return self._market

    # -- the stream ----------------------------------------------------------------------------

    def measure(self, latency: Latency) -> None:
        measure_all(latency, *self._streams.values(), self._transport)

    def start(self, sink: Sink) -> None:
        try:
            if self.market.state != "Open":
                raise SettingsError([f"HitBTC has closed {self.symbol}"])
        except ExchangeError as error:
            raise no_start(error) from None
        logger.info("Connecting to HitBTC for %s (%s).", self.symbol, self._reads.name)
        self._feed = HitbtcFeed(self._streams, self.tables, self._images, self.requests)
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
            frame: Any = _subscription("orderbook/full", self.symbol, 4)
            self._streams["public"].subscribe(frame)

    def account_label(self) -> str:
        """HitBTC tells no name of an account: the key stands for it."""
        return f"the key with the fingerprint {self.account_key}"

    def server_offset_s(self) -> float:
        return self._offset_s()

    @property
    def tables(self) -> HitbtcTables:
        if self._tables is None:
            self._tables = HitbtcTables(self.market, self.chains, self.account_key, self._inventory)
        return self._tables

    def _images(self) -> list[Table]:
        assert self._feed is not None
        account: dict[str, Any] = {}
        if self._has_account:
            account = {
                "orders": self._feed.snapshot,
                "fills": self._reads.fills(),
                "balances": self._reads.balances(),
            }
        return self.tables.images(book=self._reads.touch(), ticker=self._reads.ticker(), **account)

    def _on_late(self, call: Call, answer: Answer) -> None:
        """An answer that nobody waits for any more is a report like any other."""
        if self._feed is None:
            return
        status, words, _ = outcome(answer)
        if status is Status.OK:
            self._feed.tell(self.tables.report(answer.body))
        elif status is Status.REJECTED and call.method == NEW and not self._replaces(call):
            cl_ord_id = self.chains.cl_ord_id(call.order_id)
            row = {"orderID": call.order_id, "clOrdID": cl_ord_id, "symbol": self.symbol,
                   "ordStatus": "Rejected", "leavesQty": 0, "text": words}  # fmt: skip
            self._feed.tell([self.tables.order_table(row)])

    def _replaces(self, call: Call) -> bool:
        return call.params["client_order_id"] not in (
            call.order_id + "0" * SUFFIX, call.order_id,
        )  # fmt: skip

    # -- orders --------------------------------------------------------------------------------

    @property
    def _actions(self) -> Actions:
        return Actions(self.tables, self._ask)

    def place(self, orders: Sequence[Row]) -> list[Result]:
        return self._actions.place(orders)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        """Replace what is unfilled; cancel and enter anew what is filled in part."""
        return self._actions.amend(changes)

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        return self._actions.cancel(order_ids)

    def dead_man(self, timeout_s: float | None) -> bool:
        """HitBTC has none."""
        del timeout_s
        return False

    def _ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Send requests, and look again at what a refusal says that we have wrong."""
        answers = self._answers(calls) if calls else []
        if any(outcome(answer)[2] in OFF_GRID for answer in answers):
            self._read_market()
        return answers

    def _read_market(self) -> None:
        """Read the symbol anew and tell of it: its tick or lot may have changed."""
        try:
            self._market = self._reads.market(self.symbol)
        except ExchangeError as error:
            logger.warning("The exchange cannot be asked: %s", error)
            return
        change = self.tables.take_market(self._market)
        if self._feed is not None:
            self._feed.tell([change])

    def _answers(self, calls: Sequence[Call]) -> list[Answer]:
        if self.requests is not None and self._feed is not None and self._feed.is_live:
            return self.requests.call(calls)
        answers = self._transport.send([call.over_rest() for call in calls])
        for answer in answers:
            self.on_answer(answer)
        return answers

    # -- queries -------------------------------------------------------------------------------

    def fetch_open_orders(self) -> list[Row]:
        found = [self.tables.order_row(raw) for raw in self._reads.open_orders()]
        return [row for row in found if row is not None]

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        """Look under every id that the order may have: among the open ones, then the others."""
        order_id = order_id or self.chains.order_id_of(cl_ord_id)
        raw = next(
            (
                row
                for row in self._reads.open_orders()
                if self.chains.order_id(str(row.get("client_order_id"))) == order_id
            ),
            None,
        )
        for wire_id in self.chains.ids(order_id) if raw is None else ():
            raw = self._reads.past_order(wire_id)
            if raw is not None:
                break
        if self.requests is not None:
            self.requests.settle(order_id)
        if raw is None:
            return None
        if raw["client_order_id"] != self.chains.ids(order_id)[0]:
            self.chains.end_replace(order_id)
        return self._actions.row(self.chains.read(raw), raw)

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        """Rows of a BitMEX table, as far as this venue has them."""
        reads = self._reads
        match table:
            case "quote":
                return [quote_row(reads.touch(), self.market)]
            case "instrument":
                return [self.tables.instrument_image(reads.touch(), reads.ticker())]
            case "position" | "margin":
                position, margin = self.tables.balance_rows(reads.balances())
                return [position if table == "position" else margin]
            case "execution" | "execution/tradeHistory":
                past = reads.fills(int(params.get("start") or 0))
                rows = [self.tables.fill_row(raw) for raw in past]
                return [row for row in rows if row is not None]
            case "trade":
                count = min(500, int(params.get("count") or 100))
                return [trade_row(raw, self.market) for raw in reads.trades(count)]
        raise NotSupported(f"HitBTC has no {table} for this bot")

    def call(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Answer:
        """BitMEX's public GETs that have a like here; everything else raises NotSupported."""
        return self._public.answer(verb, path, query, body)

    def _send(self, request: Request) -> Answer:
        answer = self._transport.send([request])[0]
        self.on_answer(answer)
        return answer
