"""The plain REST exchange (docs/plain.md): no stream, no client order ids, no status of orders."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from market_maker.auth.plain import PlainSigner
from market_maker.clock import Clock
from market_maker.exchanges.base import (
    Capabilities,
    ExchangeError,
    Result,
    Status,
    UnknownSymbol,
    error_message,
)
from market_maker.exchanges.pages import read_pages
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.public_reads import Bar
from market_maker.exchanges.reads import PACE, Pace
from market_maker.exchanges.throttle import retry_after_s
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.coins import coin_of
from market_maker.model.rows import POST_ONLY, WOULD_TAKE, Row
from market_maker.model.wire import Answer, Request, Transport
from market_maker.utils.errors import AuthenticationError, NotSupported

ROOT = "/plain/v1"
CAPS = Capabilities(
    client_ids=False,
    order_lookup=False,
    fill_lag_s=0.5,
    amend="none",
    atomic_batch=False,
    max_batch=1,
    max_cancel=1,
    post_only="reject",
    events="poll",
    request_expiry_s=5.0,
    dead_man_s=None,
    every_kind=False,
    reduce_only=False,
    budget=(600.0, 10.0, 20.0),
    requests_per_s=20.0,
    order_cost=1.0,
)
_PAGE = 100
_LEVELS = 25  # of the book, on each side


class PlainVenue:
    """One symbol of one account, asked over *transport*."""

    name = "plain"

    def __init__(
        self, transport: Transport, symbol: str, offset_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.caps = CAPS
        self.on_answer: Callable[[Answer], None] = lambda _: None
        self._transport = transport
        self._symbol = symbol
        self._offset_s = offset_s
        self._listing: Row = {}

    # -- reads ---------------------------------------------------------------------------------

    def market(self) -> Row:
        self._listing = self._listed()
        return self._listing | self._touch()

    def _listed(self) -> Row:
        found = [row for row in self._read("/markets") if row.get("symbol") == self._symbol]
        if not found:
            raise UnknownSymbol(404, f"the exchange has no {self._symbol}")
        raw = found[0]
        to_settle = raw["multiplier"] if raw["inverse"] else coin_of(raw["settle"]).unit
        per = "underlyingToSettleMultiplier" if raw["inverse"] else "quoteToSettleMultiplier"
        return {
            "symbol": self._symbol, "state": "Open" if raw["state"] == "open" else "Closed",
            "tickSize": raw["tick"], "lotSize": raw["lot"], "minQty": raw["min_size"],
            "maxOrderQty": raw["max_size"], "multiplier": raw["multiplier"],
            "isInverse": raw["inverse"], "isQuanto": False, "settlCurrency": raw["settle"],
            "quoteCurrency": "USD", "positionCurrency": "USD", "underlying": "XBT",
            "makerFee": raw["maker_fee"], "takerFee": raw["taker_fee"],
            "initMargin": raw["initial_margin"], "unit": "contracts", "typ": "FFWCSX",
            per: to_settle,
        }  # fmt: skip

    def _touch(self) -> Row:
        raw = self._read("/ticker", symbol=self._symbol)
        bid, ask = raw["bid"], raw["ask"]
        return {
            "bidPrice": bid, "bidSize": raw["bid_size"], "askPrice": ask,
            "askSize": raw["ask_size"], "lastPrice": raw["last"], "markPrice": raw["mark"],
            "indicativeSettlePrice": raw["mark"],
            "midPrice": None if bid is None or ask is None else (bid + ask) / 2,
            "timestamp": _iso(raw["time"]),
        }  # fmt: skip

    def trades(self) -> list[Row]:
        return [
            {
                "timestamp": _iso(raw["time"]), "symbol": self._symbol,
                "side": raw["side"].capitalize(), "size": raw["size"], "price": raw["price"],
                "trdMatchID": str(raw["id"]),
            }
            for raw in self._read("/trades", symbol=self._symbol)
        ]  # fmt: skip

    def book(self) -> list[Row]:
        return [
            {**raw, "symbol": self._symbol, "side": raw["side"].capitalize()}
            for raw in self._read("/book", symbol=self._symbol, limit=_LEVELS)
        ]

    def bars(self, size: str, count: int) -> list[Bar]:
        del size, count
        raise NotSupported("plain has no bars for GET /trade/bucketed")

    def open_orders(self) -> list[Row]:
        return [self._order(raw) for raw in self._read("/orders", symbol=self._symbol)]

    def _order(self, raw: Mapping[str, Any]) -> Row:
        filled = raw["size"] - raw["left"]
        return {
            "orderID": str(raw["id"]), "clOrdID": "", "symbol": self._symbol,
            "side": raw["side"].capitalize(), "price": raw["price"], "orderQty": raw["size"],
            "leavesQty": raw["left"], "cumQty": filled, "ordType": "Limit",
            "ordStatus": "PartiallyFilled" if filled else "New",
            "transactTime": _iso(raw["time"]),
        }  # fmt: skip

    def order(self, order_id: str, cl_ord_id: str = "") -> Row | None:
        del order_id, cl_ord_id
        raise NotSupported("this exchange tells nothing of a single order")

    def fills(self, since_s: float) -> list[Row]:
        query = {"symbol": self._symbol, "since": max(0, int(since_s * 1000))}

        def read(found: list[Row]) -> list[Row]:
            page = self._read("/fills", **query, skip=len(found))
            return [self._fill(raw) for raw in page]

        return read_pages(read, _PAGE, "execID")

    def _fill(self, raw: Mapping[str, Any]) -> Row:
        time = _iso(raw["time"])
        return {
            "execID": str(raw["id"]), "orderID": str(raw["order"]), "symbol": self._symbol,
            "execType": "Trade", "side": raw["side"].capitalize(), "lastQty": raw["size"],
            "lastPx": raw["price"], "execComm": raw["fee"],
            "lastLiquidityInd": "AddedLiquidity" if raw["maker"] else "RemovedLiquidity",
            "transactTime": time, "timestamp": time,
        }  # fmt: skip

    def position(self) -> Row:
        raw = self._read("/position", symbol=self._symbol)
        return {
            "symbol": self._symbol, "currentQty": raw["size"], "isOpen": bool(raw["size"]),
            "avgEntryPrice": raw["entry_price"], "avgCostPrice": raw["cost_price"],
            "markPrice": raw["mark_price"], "markValue": raw["value"],
            "homeNotional": raw["home"], "unrealisedPnl": raw["unrealised"],
            "realisedPnl": raw["realised"], "liquidationPrice": raw["liquidation_price"],
            "timestamp": _iso(raw["time"]),
        }  # fmt: skip

    def margin(self) -> Row:
        raw = self._read("/balance", symbol=self._symbol)
        return {
            "currency": raw["currency"], "amount": raw["wallet"], "walletBalance": raw["wallet"],
            "marginBalance": raw["equity"], "availableMargin": raw["available"],
            "excessMargin": raw["available"], "initMargin": raw["orders"],
            "marginUsedPcnt": round(1 - raw["available"] / max(raw["equity"], 1), 4),
            "marginLeverage": 0.0, "timestamp": _iso(raw["time"]),
        }  # fmt: skip

    # -- orders --------------------------------------------------------------------------------

    def place(self, order: Row) -> Result:
        body = {
            "symbol": self._symbol,
            "side": str(order["side"]).lower(),
            "size": order["orderQty"],
            "price": order.get("price"),
            "post_only": POST_ONLY in str(order.get("execInst") or ""),
        }
        lifetime = order.get("timeInForce")
        if lifetime == "FillOrKill":
            return Result(Status.REJECTED, {}, "plain has no orders that are filled whole or not")
        answer = self._send(Request("POST", "/orders", None, body))
        result = _result(answer)
        if result.status is not Status.OK:
            return result
        if "id" not in answer.body:
            return Result(Status.UNKNOWN, {}, "an answer without the order's number", answer)
        order_id = str(answer.body["id"])
        is_short = lifetime == "ImmediateOrCancel"  # the venue has no such orders: the rest goes
        if is_short and self.cancel(order_id).status in (Status.UNKNOWN, Status.NOT_SENT):
            self.cancel(order_id)
        return result._replace(row={"orderID": order_id})

    def cancel(self, order_id: str) -> Result:
        return _result(self._send(Request("DELETE", f"/orders/{order_id}")))

    def cancel_side(self, side: str) -> Result:
        query = {"symbol": self._symbol, "side": side.lower()}
        return _result(self._send(Request("DELETE", "/orders", query)))

    # -- within --------------------------------------------------------------------------------

    def server_offset_s(self) -> float:
        return self._offset_s()

    def close(self) -> None:
        self._transport.close()

    def _send(self, request: Request) -> Answer:
        answer = self._transport.send([request])[0]
        self.on_answer(answer)
        return answer

    def _read(self, path: str, **query: Any) -> Any:
        answer = self._send(Request("GET", path, query or None))
        if answer.refuses_key:
            raise AuthenticationError(f"the exchange refuses the key: {error_message(answer)}")
        if answer.status != 200 or not isinstance(answer.body, dict | list):
            raise ExchangeError(answer.status, error_message(answer))
        return answer.body


def _result(answer: Answer) -> Result:
    """What may be concluded from the answer to an action."""
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.status == 200 and body:
        return Result(Status.OK, {}, "", answer)
    error = body.get("error")
    text = error_message(answer)
    if not answer.sent:
        return Result(Status.NOT_SENT, {}, text, answer)
    if answer.status == 429:
        return Result(Status.NOT_SENT, {}, text, answer, retry_after_s(answer.headers) or 1.0)
    if answer.status == 0 or answer.status >= 500 or not isinstance(error, dict):
        return Result(Status.UNKNOWN, {}, text, answer)
    is_taking = error.get("name") == "would_take"
    row = {"text": WOULD_TAKE} if is_taking else {}
    return Result(Status.REJECTED, row, WOULD_TAKE if is_taking else text, answer)


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def open_connector(
    base_url: str,
    symbol: str,
    key: str,
    secret: str,
    *,
    clock: Clock,
    pace: Pace = PACE,
    timeout_s: float = 7.0,
) -> PolledConnector:
    """A connector to a plain exchange at *base_url*, such as "http://127.0.0.1:8000/plain/v1"."""
    transport = HttpTransport(base_url, timeout_s=timeout_s, clock=clock)

    def offset_s() -> float:
        return transport.server_offset_s

    if key:
        transport.signer = PlainSigner(key, secret, lambda: clock.now() + offset_s())
    return PolledConnector(
        PlainVenue(transport, symbol, offset_s),
        symbol,
        clock=clock,
        pace=pace,
        account_key=hashlib.sha256(key.encode()).hexdigest()[:8] if key else "public",
    )
