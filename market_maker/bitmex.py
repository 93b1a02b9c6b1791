"""The original's connector object, with its verbs, over whatever exchange is connected.

Strategies and scripts know it as `exchange.bitmex`. Every order goes through the gateway, so
limits, dry run and the journal hold for these verbs too.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from market_maker import jsonx
from market_maker.exchanges.base import ExchangeError, Result, Status
from market_maker.exchanges.bitmex import raise_for
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.dial import open_desk
from market_maker.model.rows import LATE_AMEND, POST_ONLY, Row
from market_maker.model.wire import Answer
from market_maker.utils.errors import AuthenticationError, NotSupported
from market_maker.ws.ws_thread import BitMEXWebsocket

logger = logging.getLogger("root")

_READ_RETRIES = 3


_P = ParamSpec("_P")
_T = TypeVar("_T")


def authentication_required(
    fn: Callable[Concatenate["BitMEX", _P], _T],
) -> Callable[Concatenate["BitMEX", _P], _T]:
    """Without a key the call raises AuthenticationError and sends nothing."""

    @functools.wraps(fn)
    def wrapped(self: "BitMEX", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if not (self.apiKey or self.desk.has_account):
            raise AuthenticationError("You must be authenticated to use this method")
        return fn(self, *args, **kwargs)

    return wrapped


class BitMEX:
    """Orders, account and market by the names that sample-market-maker gave them."""

    def __init__(
        self,
        base_url: str | None = None,
        symbol: str | None = None,
        apiKey: str | None = None,
        apiSecret: str | None = None,
        orderIDPrefix: str = "mm_bitmex_",
        shouldWSAuth: bool = True,
        postOnly: bool = False,
        timeout: float = 7,
        *,
        desk: Desk | None = None,
    ) -> None:
        if len(orderIDPrefix) > 13:
            raise ValueError("settings.ORDERID_PREFIX must be at most 13 characters long!")
        self._owns_desk = desk is None
        if desk is None:
            if not base_url or not symbol:
                raise ValueError("base_url and symbol are needed")
            desk = open_desk(
                base_url,
                symbol,
                apiKey or "",
                apiSecret or "",
                prefix=orderIDPrefix,
                timeout_s=timeout,
                should_stream_account=shouldWSAuth,
            )
        self.desk = desk
        self.base_url = base_url
        self.symbol = desk.connector.symbol
        self.apiKey = apiKey
        self.orderIDPrefix = orderIDPrefix
        self.postOnly = postOnly
        self.timeout = timeout
        self.retries = 0
        self.session = getattr(getattr(desk.connector, "transport", None), "session", None)
        self.ws = BitMEXWebsocket(desk)

    def exit(self) -> None:
        """Close the connection; orders stay as they are."""
        self.ws.exit()
        if self._owns_desk:
            self.desk.close()

    # -- the market ---------------------------------------------------------------------

    def ticker_data(self, symbol: str | None = None) -> dict[str, float]:
        return self.ws.get_ticker(symbol or self.symbol)

    def instrument(self, symbol: str) -> Row:
        return self.ws.get_instrument(symbol)

    def instruments(self, filter: Mapping[str, Any] | None = None) -> list[Row]:
        query = {"filter": jsonx.dumps(dict(filter))} if filter else {}
        rows: list[Row] = self._curl_bitmex(path="instrument", query=query, verb="GET")
        return rows

    def market_depth(self, symbol: str) -> list[Row]:
        return self.ws.market_depth(symbol)

    def recent_trades(self) -> list[Row]:
        return self.ws.recent_trades()

    # -- the account --------------------------------------------------------------------

    @authentication_required
    def funds(self) -> Row:
        return self.ws.funds()

    @authentication_required
    def position(self, symbol: str) -> Row:
        return self.ws.position(symbol)

    @authentication_required
    def delta(self) -> float:
        """The position's value in units of the underlying (`homeNotional`)."""
        return float(self.position(self.symbol).get("homeNotional") or 0)

    @authentication_required
    def isolate_margin(self, symbol: str, leverage: float, rethrow_errors: bool = False) -> Any:
        body = {"symbol": symbol, "leverage": leverage}
        return self._curl_bitmex("position/leverage", None, body, None, "POST", rethrow_errors)

    @authentication_required
    def withdraw(self, amount: int, fee: int, address: str) -> Any:
        """Ask for a withdrawal of *amount* satoshi."""
        body = {"fee": fee, "amount": amount, "currency": "XBt", "address": address}
        return self._curl_bitmex(path="user/requestWithdrawal", postdict=body, verb="POST")

    # -- orders -------------------------------------------------------------------------

    @authentication_required
    def buy(self, quantity: float, price: float, extra_attrs: Mapping[str, Any] = {}) -> Row:
        return self.place_order(quantity, price, extra_attrs)

    @authentication_required
    def sell(self, quantity: float, price: float, extra_attrs: Mapping[str, Any] = {}) -> Row:
        return self.place_order(-quantity, price, extra_attrs)

    @authentication_required
    def place_order(
        self, quantity: float, price: float, extra_attrs: Mapping[str, Any] = {}
    ) -> Row:
        """Place one order; a negative quantity sells."""
        if price is not None and price < 0:
            raise ValueError("Price must be positive.")
        order: Row = {"orderQty": quantity, "price": price, **extra_attrs}
        return self.create_bulk_orders([order])[0]

    @authentication_required
    def create_bulk_orders(self, orders: Sequence[Row]) -> list[Row]:
        """Place orders; one that is refused comes back as a row with `ordStatus` Rejected."""
        if self.postOnly:
            for order in orders:
                if order.get("ordType", "Limit") == "Limit" and order.get("stopPx") is None:
                    order.setdefault("execInst", POST_ONLY)
        results = self.desk.gateway.place(orders)
        return [_created_row(order, r) for order, r in zip(orders, results, strict=True)]

    @authentication_required
    def amend_bulk_orders(self, orders: Sequence[Row]) -> list[Row]:
        """Change orders by `orderID`. Raises HTTPError as the exchange words it."""
        results = self.desk.gateway.amend(orders)
        rows = [_amended_row(order, r) for order, r in zip(orders, results, strict=True)]
        for result in results:
            if result.status is Status.REJECTED and (
                result.answer is not None or LATE_AMEND in result.text
            ):
                # Old strategies compare this very text, on whatever exchange.
                text = LATE_AMEND if LATE_AMEND in result.text else result.text
                raise ExchangeError(result.answer.status if result.answer else 400, text)
        return rows

    @authentication_required
    def amend_order(self, order: Row) -> Row:
        return self.amend_bulk_orders([order])[0]

    create_orders = create_bulk_orders
    amend_orders = amend_bulk_orders

    @authentication_required
    def open_orders(self) -> list[Row]:
        """Our open orders, as known from the stream and from answers."""
        self.desk.state.drain()
        return self.desk.state.orders.open_orders()

    @authentication_required
    def http_open_orders(self) -> list[Row]:
        """Our open orders, asked of the exchange."""
        return self.desk.gateway.own_open_orders()

    @authentication_required
    def cancel(self, orderID: str | Iterable[str]) -> list[Row]:
        """Cancel one order or a list of them, in one request."""
        order_ids = [orderID] if isinstance(orderID, str) else list(orderID)
        results = self.desk.gateway.cancel(order_ids)
        return [result.row for result in results]

    # -- any call of the protocol -------------------------------------------------------

    def _curl_bitmex(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        postdict: Any = None,
        timeout: float | None = None,
        verb: str | None = None,
        rethrow_errors: bool = False,
        max_retries: int | None = None,
    ) -> Any:
        """Call any REST path; raises HTTPError, or AuthenticationError for a refused key.

        Orders take the gateway's way. Reads are retried when no answer came; nothing else is.
        `timeout` and `rethrow_errors` are accepted for old callers: there is one timeout, and
        an error is always raised, never the end of the process.
        """
        del timeout, rethrow_errors
        verb = verb or ("POST" if postdict else "GET")
        name = path.strip("/")
        if verb != "GET" and self.desk.gateway.dry_run:
            logger.info("Dry run: %s %s was not sent.", verb, name)
            return {}
        if verb != "GET" and (name == "order" or name.startswith("order/")):
            return self._order_call(verb, name, dict(query or {}), postdict)
        retries = _READ_RETRIES if max_retries is None and verb == "GET" else max_retries or 0
        return self._body(self._call(verb, name, query, postdict, retries), verb)

    def _call(self, verb: str, name: str, query: Any, body: Any, retries: int) -> Answer:
        for attempt in range(retries + 1):
            answer = self.desk.connector.call(verb, name, query, body)
            if answer.status not in (0, 502, 503, 504) or attempt == retries:
                return answer
            logger.warning("Unable to contact the exchange (%s). Retrying.", answer.status)
            self.retries += 1
            self.desk.clock.sleep(0.5 * 2**attempt)
        raise AssertionError("the last attempt returns")

    def _order_call(self, verb: str, name: str, query: Row, body: Any) -> Any:
        fields: Row = {**query, **(body or {})} if not isinstance(body, list) else {}
        orders = fields.get("orders", [fields])
        if any(order.get("symbol", self.symbol) != self.symbol for order in orders):
            raise NotSupported(f"this connection trades {self.symbol} only")
        if name in ("order", "order/bulk") and verb in ("POST", "PUT"):
            if verb == "PUT":
                rows = self.amend_bulk_orders([self._by_order_id(order) for order in orders])
            else:
                rows = self.create_bulk_orders(orders)
            return rows if name == "order/bulk" else rows[0]
        if name == "order" and verb == "DELETE" and fields.get("orderID"):
            return self.cancel(fields["orderID"])
        if name == "order/all" and verb == "DELETE":
            rows = self.desk.connector.fetch_open_orders()
            wanted = fields.get("filter") or {}
            wanted = jsonx.loads(wanted) if isinstance(wanted, str) else wanted
            matching = [r for r in rows if all(r.get(k) == v for k, v in wanted.items())]
            return self.cancel([row["orderID"] for row in matching])
        if name == "order/closePosition":
            raise NotSupported(
                "order/closePosition: place an order of its size, "
                "with execInst ReduceOnly where the exchange has it"
            )
        if name == "order/cancelAllAfter":
            raise NotSupported("order/cancelAllAfter: the bot's own; set DEADMAN_TIMEOUT")
        return self._body(self._call(verb, name, query or None, body, 0), verb)

    def _by_order_id(self, change: Row) -> Row:
        """The change with `orderID` in place of `origClOrdID`."""
        if "origClOrdID" not in change:
            return change
        if "clOrdID" in change:
            raise NotSupported("a new clOrdID for a live order")
        tracked = self.desk.state.orders.get(str(change["origClOrdID"]))
        order_id = tracked.row.get("orderID") if tracked else ""
        named = {name: value for name, value in change.items() if name != "origClOrdID"}
        return {**named, "orderID": order_id}

    @staticmethod
    def _body(answer: Answer, verb: str) -> Any:
        if answer.status == 404 and verb == "DELETE":
            logger.error("Order not found.")
            return None
        raise_for(answer)
        return answer.body


def _created_row(order: Row, result: Result) -> Row:
    if result.status is Status.OK:
        return result.row
    if result.status is Status.UNKNOWN:
        return {**order, "ordStatus": "Unknown", "leavesQty": order.get("orderQty"), "cumQty": 0}
    refused = {"ordStatus": "Rejected", "leavesQty": 0, "cumQty": 0, "text": result.text}
    return {"orderID": "", **order, **refused, "ordRejReason": result.text}


def _amended_row(order: Row, result: Result) -> Row:
    if result.status is Status.OK:
        return result.row
    status = "Rejected" if result.status is Status.REJECTED else "Unknown"
    return {**order, "ordStatus": status, "text": result.text}
