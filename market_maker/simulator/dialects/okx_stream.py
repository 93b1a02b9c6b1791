"""OKX's sockets over the engine: channels rendered from events, and one client's session.

The private socket takes orders too; its frames name the instrument by number (since 2026).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.dialects.okx import OkxRest
from market_maker.simulator.dialects.okx_desk import OkxError
from market_maker.simulator.dialects.okx_rows import Swap
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

LOGIN = "/users/self/verify"
PUBLIC = (
    "bbo-tbt", "books5", "books", "trades", "tickers", "mark-price", "funding-rate", "instruments",
)  # fmt: skip
PRIVATE = ("orders", "account", "positions")
OPS = {
    "order": ("place", False),
    "batch-orders": ("place", True),
    "amend-order": ("amend", False),
    "batch-amend-orders": ("amend", True),
    "cancel-order": ("cancel", False),
    "batch-cancel-orders": ("cancel", True),
}
_TOLD = frozenset({"New", "Trade", "Canceled", "Replaced", "TriggeredOrActivatedBySystem"})


class OkxFeed:
    """Renders what happens as pushes; what nobody follows costs nothing."""

    def __init__(self, rest: OkxRest) -> None:
        self.rest = rest
        self.asked: set[str] = set()  # channels that somebody follows
        self._book_seq: dict[str, int] = {}  # instId -> seqId of the last push of its book
        self._paid: dict[str, int] = {}  # engine's order id -> fees so far
        rest.desk.tell = self._refused_amend
        self.late: list[Scoped] = []  # pushes that no event of the engine carries

    def render(self, event: Event) -> list[Scoped]:
        """The pushes that tell of *event*, in order."""
        match event:
            case QuoteEvent() | TradeEvent() | BookEvent() | InstrumentEvent():
                swap = self.rest.by_symbol.get(event.symbol)
                return [] if swap is None else self._market(event, swap)
            case OrderEvent():
                return self._order(event)
            case PositionEvent() if event.symbol in self.rest.by_symbol:
                swap = self.rest.by_symbol[event.symbol]
                row = self.rest.position(event.account, swap)
                return self._push("positions", swap, [row], event.account)
            case MarginEvent():
                return self._account(event.account)
        return []

    def take_late(self) -> list[Scoped]:
        """Pushes to deliver beside those of events."""
        late, self.late = self.late, []
        return late

    def image(self, channel: str, swap: Swap | None, account: Account | None) -> list[Row]:
        """What a subscription begins with, if with anything."""
        if channel == "account" and account is not None:
            return [self.rest.balance(account)]
        swaps = [swap] if swap else list(self.rest.swaps.values())
        rows: list[Row] = []
        for one in swaps:
            if channel == "positions" and account is not None:
                row = self.rest.position(account.number, one)
                rows += [row] if row["pos"] != "0" else []
            elif channel == "bbo-tbt":
                rows.append(one.quote_row(self.rest.engine.quote(one.spec.symbol)))
            elif channel == "books5":
                rows.append(self.rest.book(one, 5))
            elif channel == "books":
                seq = self._book_seq.setdefault(one.inst_id, 1)
                rows.append({**self.rest.book(one, 400), "seqId": seq, "prevSeqId": -1})
            elif channel == "mark-price":
                rows.append(self.rest.mark(one))
            elif channel == "funding-rate":
                rows.append(self.rest.funding(one))
            elif channel == "instruments":
                rows.append(self.rest.instrument(one))
        return rows

    # -- within --------------------------------------------------------------------------------

    def _market(
        self, event: QuoteEvent | TradeEvent | BookEvent | InstrumentEvent, swap: Swap
    ) -> list[Scoped]:
        match event:
            case QuoteEvent():
                pushes = self._push("bbo-tbt", swap, [swap.quote_row(event)])
                if "books5" in self.asked:
                    pushes += self._push("books5", swap, [self.rest.book(swap, 5)])
                return pushes
            case TradeEvent():
                return self._push("trades", swap, [swap.trade_row(event)])
            case BookEvent():
                return self._level(event, swap)
        return self._instrument(event, swap)

    def _instrument(self, event: InstrumentEvent, swap: Swap) -> list[Scoped]:
        pushes: list[Scoped] = []
        if "markPrice" in event.changes:
            pushes += self._push("mark-price", swap, [self.rest.mark(swap)])
        if "fundingRate" in event.changes:
            pushes += self._push("funding-rate", swap, [self.rest.funding(swap)])
        if event.changes.keys() & {"tickSize", "lotSize", "state"}:
            pushes += self._push("instruments", swap, [self.rest.instrument(swap)])
        return pushes

    def _level(self, event: BookEvent, swap: Swap) -> list[Scoped]:
        if "books" not in self.asked:
            return []
        before = self._book_seq.get(swap.inst_id, 1)
        self._book_seq[swap.inst_id] = before + 1
        level = [[swap.px(event.price_ticks), swap.sz(event.size), "0", "1"]]
        sides = {"asks": level if event.side == "Sell" else [], "bids": []}
        if event.side == "Buy":
            sides["bids"] = level
        row = {**sides, "ts": str(round(event.time_s * 1000)), "checksum": 0}
        row |= {"seqId": before + 1, "prevSeqId": before}
        return self._push("books", swap, [row], action="update")

    def _order(self, event: OrderEvent) -> list[Scoped]:
        order, swap = event.order, self.rest.by_symbol.get(event.order.symbol)
        if swap is None or event.exec_type not in _TOLD:
            return []
        if event.exec_type == "New" and not event.is_first:
            return []  # it died at entry: the push of its end is its only one
        row = self._order_row(order, swap, event)
        if event.exec_type == "Replaced" and order.order_id in self.rest.desk.amending:
            row["amendResult"] = "0"
        return self._push("orders", swap, [row], order.account)

    def _order_row(self, order: Order, swap: Swap, event: OrderEvent | None) -> Row:
        paid = self._paid.pop(order.order_id, 0)
        fill = event.fill if event else None
        if fill is not None:
            paid += fill.comm_sat
        if order.leaves_qty > 0:
            self._paid[order.order_id] = paid
        desk = self.rest.desk
        tag = desk.tags.get(order.order_id, "")
        row = swap.order_row(order, desk.order_id(order), paid, tag)
        if event is not None and fill is not None:
            row |= swap.fill_columns(event, fill)
        return row

    def _refused_amend(self, order: Order, result: str) -> None:
        """An amend that was promised came to nothing."""
        swap = self.rest.by_symbol[order.symbol]
        row = self._order_row(order, swap, None) | {"amendResult": result}
        self.late += self._push("orders", swap, [row], order.account)

    def _account(self, account_no: int) -> list[Scoped]:
        if "account" not in self.asked:
            return []
        owner = next(a for a in self.rest.engine.accounts() if a.number == account_no)
        message = {"arg": {"channel": "account"}, "data": [self.rest.balance(owner)]}
        return [(Scope("account", None, account_no), message)]

    def _push(
        self, channel: str, swap: Swap, data: list[Row], account: int | None = None,
        action: str = "",
    ) -> list[Scoped]:  # fmt: skip
        if channel not in self.asked:
            return []
        arg: Row = {"channel": channel, "instId": swap.inst_id}
        if channel in ("orders", "positions", "instruments"):
            arg["instType"] = "SWAP"
        message: Message = {"arg": arg, "data": data}
        if action:
            message["action"] = action
        return [(Scope(channel, swap.inst_id, account), message)]


class OkxSession:
    """One client of one socket: "public" or "private"."""

    def __init__(self, feed: OkxFeed, kind: str) -> None:
        self.account: Account | None = None
        self.ending = ""
        self._feed, self._kind = feed, kind
        self._follows: set[tuple[str, str | None]] = set()

    def wants(self, scope: Scope) -> bool:
        """Whether a push of *scope* is for this client."""
        follows = self._follows
        if (scope.table, scope.symbol) not in follows and (scope.table, None) not in follows:
            return False
        return scope.account is None or (
            self.account is not None and self.account.number == scope.account
        )

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""
        if not isinstance(message, Mapping):
            return [_error("60012", "Illegal request")]
        op, args = message.get("op"), message.get("args")
        if op in OPS:
            return [self._act(message, str(op), args)]
        if not isinstance(args, list) or not all(isinstance(arg, Mapping) for arg in args):
            return [_error("60012", f"Illegal request: {op}")]
        if op == "login":
            return [self._log_in(args[0] if args else {})]
        if op == "subscribe":
            return [answer for arg in args for answer in self._subscribe(arg)]
        if op == "unsubscribe":
            return [self._unsubscribe(arg) for arg in args]
        return [_error("60012", f"Illegal request: {op}")]

    def _log_in(self, arg: Mapping[str, Any]) -> Message:
        rest = self._feed.rest
        key, passphrase, timestamp, signed = (
            str(arg.get(name) or "") for name in ("apiKey", "passphrase", "timestamp", "sign")
        )
        try:
            if abs(float(timestamp or 0) - rest.engine.now()) > 30:
                return _error("60006", "Timestamp request expired")
            self.account = rest.check(key, passphrase, signed, timestamp, "GET", LOGIN)
        except OkxError as error:
            self.ending = "login refused"
            codes = {"50111": "60005", "50113": "60007", "50105": "60024"}
            return _error(codes.get(error.code, "60009"), error.message)
        except ValueError:
            return _error("60004", "Invalid timestamp")
        return {"event": "login", "code": "0", "msg": "", "connId": "a4d3ae55"}

    def _subscribe(self, arg: Mapping[str, Any]) -> Iterable[Message]:
        channel, inst_id = str(arg.get("channel")), arg.get("instId")
        known = PUBLIC if self._kind == "public" else PRIVATE
        if channel not in known:
            return [_error("60018", f"Wrong URL or channel:{channel} doesn't exist.")]
        if channel in PRIVATE and self.account is None:
            return [_error("60011", "Please log in")]
        swap = self._feed.rest.swaps.get(str(inst_id)) if inst_id else None
        if inst_id and swap is None:
            return [_error("60018", f"Wrong URL or instId:{inst_id} doesn't exist.")]
        self._follows.add((channel, str(inst_id) if inst_id else None))
        self._feed.asked.add(channel)
        answers: list[Message] = [
            {"event": "subscribe", "arg": dict(arg), "connId": "a4d3ae55"},
        ]
        data = self._feed.image(channel, swap, self.account)
        if data:
            image: Message = {"arg": dict(arg), "data": data}
            if channel == "books":
                image["action"] = "snapshot"
            answers.append(image)
        return answers

    def _unsubscribe(self, arg: Mapping[str, Any]) -> Message:
        inst_id = arg.get("instId")
        self._follows.discard((str(arg.get("channel")), str(inst_id) if inst_id else None))
        return {"event": "unsubscribe", "arg": dict(arg), "connId": "a4d3ae55"}

    def _act(self, message: Mapping[str, Any], op: str, args: Any) -> Message:
        deed, is_batch = OPS[op]
        frame: Message = {"id": str(message.get("id") or ""), "op": op}
        try:
            if self.account is None:
                raise OkxError("60011", "Please log in")
            if not isinstance(args, list) or (len(args) != 1 and not is_batch):
                raise OkxError("60012", "Illegal request")
            if any(isinstance(a, Mapping) and a.get("instIdCode") is None for a in args):
                raise OkxError("51000", "Parameter instIdCode can not be empty")
            data, code = self._feed.rest.act(self.account, deed, args, message.get("expTime"))
        except OkxError as error:
            return frame | {"code": error.code, "msg": error.message, "data": []}
        now = str(round(self._feed.rest.engine.now() * 1_000_000))
        return frame | {"code": code, "msg": "", "data": data, "inTime": now, "outTime": now}


def _error(code: str, text: str) -> Message:
    return {"event": "error", "code": code, "msg": text, "connId": "a4d3ae55"}
