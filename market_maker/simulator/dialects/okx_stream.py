"""OKX's channels, rendered from the engine's events."""

from collections.abc import Callable

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.dialects.okx import OkxRest
from market_maker.simulator.dialects.okx_desk import tag_of
from market_maker.simulator.dialects.okx_rows import Listing
from market_maker.simulator.events import (
    BookEvent,
    Event,
    InstrumentEvent,
    MarginEvent,
    Order,
    OrderEvent,
    PositionEvent,
    QuoteEvent,
    TradeEvent,
)
from market_maker.simulator.exchange import Account

PUBLIC = (
    "bbo-tbt", "books5", "books", "trades", "tickers", "mark-price", "price-limit",
    "funding-rate", "instruments",
)  # fmt: skip
PRIVATE = ("orders", "account", "positions")
_OF_SWAPS = ("positions", "mark-price", "funding-rate")
_TOLD = frozenset({"New", "Trade", "Canceled", "Replaced", "TriggeredOrActivatedBySystem"})


class OkxFeed:
    """Renders what happens as pushes; what nobody follows costs nothing."""

    def __init__(self, rest: OkxRest) -> None:
        self.rest = rest
        self.asked: set[str] = set()  # channels that somebody follows
        self._book_seq: dict[str, int] = {}  # instId -> seqId of the last push of its book
        self._paid: dict[str, int] = {}  # engine's order id -> fees so far
        rest.desk.tell = self._refused_amend
        self.deliver: Callable[[list[Scoped]], None] = lambda _: None  # what no event carries

    def render(self, event: Event) -> list[Scoped]:
        """The pushes that tell of *event*, in order."""
        match event:
            case QuoteEvent() | TradeEvent() | BookEvent() | InstrumentEvent():
                listing = self.rest.market.by_symbol.get(event.symbol)
                return [] if listing is None else self._market(event, listing)
            case OrderEvent():
                self._note_funding(event)
                return self._order(event)
            case PositionEvent() if event.symbol in self.rest.market.by_symbol:
                listing = self.rest.market.by_symbol[event.symbol]
                if listing.spec.is_spot:
                    return self._account(event.account)  # what is bought is a balance
                row = self.rest.position(event.account, listing)
                if row["pos"] == "0":  # what is opened next has paid nothing
                    self.rest.funding_paid.pop((event.account, event.symbol), None)
                return self._push("positions", listing, [row], event.account)
            case MarginEvent():
                return self._account(event.account)
        return []

    def image(self, channel: str, listings: list[Listing], account: Account | None) -> list[Row]:
        """What a subscription begins with, if with anything."""
        if channel == "account" and account is not None:
            return [self.rest.balance(account)]
        rows: list[Row] = []
        for one in listings:
            if one.spec.is_spot and channel in _OF_SWAPS:
                continue
            if channel == "positions" and account is not None:
                row = self.rest.position(account.number, one)
                rows += [row] if row["pos"] != "0" else []
            elif channel == "bbo-tbt":
                rows.append(one.quote_row(self.rest.engine.quote(one.spec.symbol)))
            elif channel == "tickers":
                rows.append(self.rest.market.ticker(one))
            elif channel == "books5":
                rows.append(self.rest.market.book(one, 5))
            elif channel == "books":
                seq = self._book_seq.setdefault(one.inst_id, 1)
                rows.append({**self.rest.market.book(one, 400), "seqId": seq, "prevSeqId": -1})
            elif channel == "mark-price":
                rows.append(self.rest.market.mark(one))
            elif channel == "price-limit":
                rows.append(self.rest.market.price_limit(one))
            elif channel == "funding-rate":
                rows.append(self.rest.market.funding(one))
            elif channel == "instruments":
                rows.append(self.rest.market.instrument(one))
        return rows

    # -- within --------------------------------------------------------------------------------

    def _market(
        self, event: QuoteEvent | TradeEvent | BookEvent | InstrumentEvent, listing: Listing
    ) -> list[Scoped]:
        match event:
            case QuoteEvent():
                pushes = self._push("bbo-tbt", listing, [listing.quote_row(event)])
                if "tickers" in self.asked:
                    pushes += self._push("tickers", listing, [self.rest.market.ticker(listing)])
                if "books5" in self.asked:
                    pushes += self._push("books5", listing, [self.rest.market.book(listing, 5)])
                return pushes
            case TradeEvent():
                return self._push("trades", listing, [listing.trade_row(event)])
            case BookEvent():
                return self._level(event, listing)
        return self._instrument(event, listing)

    def _instrument(self, event: InstrumentEvent, listing: Listing) -> list[Scoped]:
        pushes: list[Scoped] = []
        if "markPrice" in event.changes and not listing.spec.is_spot:
            pushes += self._push("mark-price", listing, [self.rest.market.mark(listing)])
        if "markPrice" in event.changes and "price-limit" in self.asked:
            pushes += self._push("price-limit", listing, [self.rest.market.price_limit(listing)])
        if "fundingRate" in event.changes and not listing.spec.is_spot:
            pushes += self._push("funding-rate", listing, [self.rest.market.funding(listing)])
        if event.changes.keys() & {"tickSize", "lotSize"}:
            self.rest.market.describe(event.symbol)
            listing = self.rest.market.by_symbol[event.symbol]
        if event.changes.keys() & {"tickSize", "lotSize", "state"}:
            pushes += self._push("instruments", listing, [self.rest.market.instrument(listing)])
        return pushes

    def _level(self, event: BookEvent, listing: Listing) -> list[Scoped]:
        if "books" not in self.asked:
            return []
        before = self._book_seq.get(listing.inst_id, 1)
        self._book_seq[listing.inst_id] = before + 1
        level = [[listing.px(event.price_ticks), listing.sz(event.size), "0", "1"]]
        sides = {"asks": level if event.side == "Sell" else [], "bids": []}
        if event.side == "Buy":
            sides["bids"] = level
        row = {**sides, "ts": str(round(event.time_s * 1000)), "checksum": 0}
        row |= {"seqId": before + 1, "prevSeqId": before}
        return self._push("books", listing, [row], action="update")

    def _note_funding(self, event: OrderEvent) -> None:
        if event.exec_type == "Funding" and event.fill is not None:
            owner = event.order.account, event.order.symbol
            self.rest.funding_paid[owner] += event.fill.comm_sat

    def _order(self, event: OrderEvent) -> list[Scoped]:
        order, listing = event.order, self.rest.market.by_symbol.get(event.order.symbol)
        if listing is None or event.exec_type not in _TOLD:
            return []
        if event.exec_type == "New" and not event.is_first:
            return []  # it died at entry: the push of its end is its only one
        row = self._order_row(order, listing, event)
        if event.exec_type == "Replaced" and order.order_id in self.rest.desk.amending:
            row["amendResult"] = "0"
        return self._push("orders", listing, [row], order.account)

    def _order_row(self, order: Order, listing: Listing, event: OrderEvent | None) -> Row:
        paid = self._paid.pop(order.order_id, 0)
        fill = event.fill if event else None
        if fill is not None:
            paid += fill.comm_sat
        if order.leaves_qty > 0:
            self._paid[order.order_id] = paid
        row = listing.order_row(order, self.rest.desk.order_id(order), paid, tag_of(order))
        if event is not None and fill is not None:
            row |= listing.fill_columns(event, fill)
        return row

    def _refused_amend(self, order: Order, result: str) -> None:
        """An amend that was promised came to nothing."""
        listing = self.rest.market.by_symbol[order.symbol]
        row = self._order_row(order, listing, None) | {"amendResult": result}
        self.deliver(self._push("orders", listing, [row], order.account))

    def _account(self, account_no: int) -> list[Scoped]:
        if "account" not in self.asked:
            return []
        accounts = self.rest.engine.accounts()
        owner = next((a for a in accounts if a.number == account_no), None)
        if owner is None:
            return []  # the exchange's own
        message = {"arg": {"channel": "account"}, "data": [self.rest.balance(owner)]}
        return [(Scope("account", None, account_no), message)]

    def _push(
        self, channel: str, listing: Listing, data: list[Row], account: int | None = None,
        action: str = "",
    ) -> list[Scoped]:  # fmt: skip
        if channel not in self.asked:
            return []
        arg: Row = {"channel": channel, "instId": listing.inst_id}
        if channel in ("orders", "positions", "instruments"):
            arg["instType"] = listing.inst_type
        message: Message = {"arg": arg, "data": data}
        if action:
            message["action"] = action
        return [(Scope(channel, listing.inst_id, account), message)]
