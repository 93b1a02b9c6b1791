"""A tiny exchange of the tests' own, at the end of a wire that loses, delays and cuts off.

It shares no code with the built-in exchange or the bot, so that it can be the judge.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from market_maker.clock import ManualClock
from market_maker.exchanges.base import Capabilities, ExchangeError, Result, Status
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready
from tests.doubles import refusal

EXPIRY_S = 5.0
FATES = ("ok", "answer lost", "lost", "late", "refused", "not sent", "dies before", "dies after")
INSTRUMENT = {
    "symbol": "XBTUSD",
    "tickSize": 0.5,
    "lotSize": 1,
    "state": "Open",
    "markPrice": 100.0,
}


class Died(BaseException):
    """The bot's process is gone."""


class LossyExchange:
    """One symbol, one account; as a Connector, its calls meet the fate that is set."""

    name = "lossy"
    symbol = "XBTUSD"
    account_key = "test"
    caps = Capabilities(atomic_batch=True, request_expiry_s=EXPIRY_S)

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.on_answer: Callable[[Answer], None] = lambda answer: None
        self.fate = "ok"
        self.can_read = True
        self.orders: dict[str, Row] = {}
        self.position = 0
        self.queue: list[Row] = []  # table messages that the stream has not delivered
        self.told: list[Row] = []  # those it has
        self.under_way: list[tuple[float, str, Row]] = []  # expires at, action, what
        self.created: list[str] = []  # client ids of creates that arrived
        self.sink: Any = None
        self._ids = itertools.count(1)

    # -- the connector ------------------------------------------------------------------

    def start(self, sink: Any) -> None:
        self.sink = sink
        self.reconnect()

    def reconnect(self) -> None:
        self.queue.clear()
        self.told.clear()
        self.sink(Disconnected(0, "cut"))
        self.sink(Connected(0))
        self.sink(Ready(0))
        live = [dict(row) for row in self.live()]
        moment = f"{self.clock.now():020.6f}"
        held = {"symbol": self.symbol, "account": 1, "currentQty": self.position}
        position = [{**held, "timestamp": moment}]
        for table, rows in (
            *(("instrument", [INSTRUMENT]), ("quote", []), ("trade", []), ("order", live)),
            *(("execution", []), ("position", position), ("margin", [])),
        ):
            keys = {"order": ["orderID"], "position": ["account", "symbol"]}.get(table, ["symbol"])
            image = {"table": table, "action": "partial", "keys": keys, "data": rows}
            self.sink(Message(0, image))

    def stop_stream(self) -> None:
        self.sink = lambda event: None

    stop = stop_stream

    def follow(self, topic: str) -> None:
        """Nothing more to follow."""

    def server_offset_s(self) -> float:
        return 0.0

    def dead_man(self, timeout_s: float | None) -> bool:
        return True

    def place(self, orders: Sequence[Row]) -> list[Result]:
        return [self._request("create", order) for order in orders]

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        return [self._request("amend", change) for change in changes]

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        return [self._request("cancel", {"orderID": order_id}) for order_id in order_ids]

    def fetch_open_orders(self) -> list[Row]:
        self._read()
        return [dict(row) for row in self.live()]

    def fetch_order(self, *, order_id: str = "", cl_ord_id: str = "") -> Row | None:
        self._read()
        for row in self.orders.values():
            if row["orderID"] == order_id or (cl_ord_id and row["clOrdID"] == cl_ord_id):
                return dict(row)
        return None

    def fetch_rows(self, table: str, **params: Any) -> list[Row]:
        assert table == "execution/tradeHistory", table
        return []  # its orders' rows tell what they are filled

    def call(self, *args: Any) -> Answer:
        raise AssertionError(args)

    def _read(self) -> None:
        if not self.can_read:
            raise ExchangeError(503, "no answer")

    def _request(self, action: str, wire: Row) -> Result:
        fate = self.fate
        if fate == "dies before":
            raise Died
        if fate == "refused":
            answer = refusal(400, "refused")
            return Result(Status.REJECTED, {}, "refused", answer)
        if fate == "not sent":
            return Result(Status.NOT_SENT, {}, "no connection")
        if fate == "late":
            self.under_way.append((self.clock.now() + EXPIRY_S, action, dict(wire)))
        row = self._act(action, wire) if fate in ("ok", "answer lost", "dies after") else None
        if fate == "dies after":
            raise Died
        if fate != "ok":
            return Result(Status.UNKNOWN, {}, "timed out")
        if row is None:
            text = "Invalid ordStatus"
            return Result(Status.REJECTED, {"error": text}, text, refusal(400, text))
        return Result(Status.OK, dict(row))

    # -- what happens there -------------------------------------------------------------

    def live(self) -> list[Row]:
        return [row for row in self.orders.values() if row["leavesQty"]]

    def _act(self, action: str, wire: Row) -> Row | None:
        if action == "create":
            self.created.append(wire["clOrdID"])
            order_id, qty = f"o{next(self._ids)}", wire["orderQty"]
            fresh = {"orderID": order_id, "leavesQty": qty, "cumQty": 0, "ordStatus": "New"}
            self.orders[order_id] = {**wire, **fresh}
            return self._tell(self.orders[order_id], "insert")
        row = self.orders.get(wire["orderID"])
        if row is None or not row["leavesQty"]:
            return None
        if action == "cancel":
            row.update(leavesQty=0, ordStatus="Canceled")
        else:
            left = wire.get("orderQty", row["orderQty"]) - row["cumQty"]
            if left <= 0:
                return None
            row.update(orderQty=row["cumQty"] + left, leavesQty=left)
            row["price"] = wire.get("price", row["price"])
        return self._tell(row, "update")

    def _tell(self, row: Row, action: str) -> Row:
        self.clock.now_s += 0.001  # the engine stamps no two events alike
        row["timestamp"] = f"{self.clock.now():020.6f}"
        self.queue.append({"table": "order", "action": action, "data": [dict(row)]})
        return row

    def fill(self, row: Row, qty: int) -> None:
        """Somebody trades with a resting order."""
        signed = qty if row["side"] == "Buy" else -qty
        self.position += signed
        row.update(cumQty=row["cumQty"] + qty, leavesQty=row["leavesQty"] - qty)
        row["ordStatus"] = "PartiallyFilled" if row["leavesQty"] else "Filled"
        execution = {**row, "execType": "Trade", "execID": f"e{next(self._ids)}", "lastQty": qty}
        self.queue.append({"table": "execution", "action": "insert", "data": [execution]})
        self._tell(row, "update")
        self.tell_position()

    def tell_position(self) -> None:
        """As a real one does with every move of the mark price."""
        position = {"account": 1, "symbol": self.symbol, "currentQty": self.position}
        self.queue.append({"table": "position", "action": "update", "data": [position]})

    def deliver(self, count: int) -> None:
        """The next *count* messages of the stream."""
        for message in self.queue[:count]:
            self.sink(Message(0, message))
        self.told += self.queue[:count]
        del self.queue[:count]

    def repeat(self, index: int) -> None:
        """An order or execution message comes once more."""
        message = self.told[index]
        if message["table"] in ("order", "execution"):
            again = {**message, "action": "insert" if message["table"] == "execution" else "update"}
            self.sink(Message(0, again))

    def arrive(self, index: int) -> None:
        """A late request reaches the engine, unless it has expired."""
        expires_at, action, wire = self.under_way.pop(index)
        if self.clock.now() <= expires_at:
            self._act(action, wire)

    def worst(self, side: str) -> int:
        """Contracts of *side* that may still trade, with every request under way."""
        total = 0
        for row in self.live():
            if row["side"] == side:
                amends = [
                    wire["orderQty"] - row["cumQty"]
                    for expires_at, action, wire in self.under_way
                    if action == "amend"
                    and wire["orderID"] == row["orderID"]
                    and "orderQty" in wire
                    if self.clock.now() <= expires_at
                ]
                total += max([row["leavesQty"], *amends])
        return total + sum(
            wire["orderQty"]
            for expires_at, action, wire in self.under_way
            if action == "create" and wire["side"] == side and self.clock.now() <= expires_at
        )
