"""What Binance clients may do to orders: place, cancel, and both in one request."""

import re
from collections.abc import Mapping
from typing import Any

from market_maker.model.rows import POST_ONLY, Row
from market_maker.simulator.dialects.binance_rows import MIN_NOTIONAL, Pair, decimal, ms
from market_maker.simulator.dialects.order_numbers import OrderNumbers
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Account, Engine, Refused

Params = Mapping[str, Any]

_FIRST_ORDER = 28_000_001
_CANCELLED_BY = "cancelled_by"  # in an order's `extra`: the id of the request
_NAME = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_LIFETIMES = {"GTC": "", "IOC": "ImmediateOrCancel", "FOK": "FillOrKill"}
_KINDS = ("LIMIT", "LIMIT_MAKER", "MARKET")
_MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
_RESTRICTIONS = ("ONLY_NEW", "ONLY_PARTIALLY_FILLED")

# The engine's refusals as Binance's, by the words they begin with.
_REFUSALS = (
    ("Duplicate clOrdID", -2010, "Duplicate order sent."),
    ("Account has insufficient", -2010, "Account has insufficient balance for requested action."),
    ("Invalid price tickSize", -1013, "Filter failure: PRICE_FILTER"),
    ("Invalid price", -1013, "Filter failure: PRICE_FILTER"),
    ("Invalid orderQty", -1013, "Filter failure: LOT_SIZE"),
    ("Too many open orders", -1013, "Filter failure: MAX_NUM_ORDERS"),
    ("Market is not open", -1013, "Market is closed."),
)


class BinanceError(Exception):
    """The exchange will not do it: a code, its words, the HTTP status, and what goes with it."""

    def __init__(self, code: int, msg: str, status: int = 400, data: Row | None = None) -> None:
        super().__init__(msg)
        self.code, self.msg, self.status, self.data = code, msg, status, data

    @property
    def body(self) -> Row:
        body: Row = {"code": self.code, "msg": self.msg}
        return body if self.data is None else {**body, "data": self.data}


class OrderDesk:
    """Orders of all customers in Binance's terms."""

    def __init__(self, engine: Engine, pairs: Mapping[str, Pair]) -> None:
        self._engine, self._pairs = engine, pairs
        self._numbers = OrderNumbers(engine, _FIRST_ORDER)

    def number(self, order: Order) -> int:
        """The venue's number for an order."""
        return self._numbers.of(order)

    def names(self, order: Order) -> tuple[str, str]:
        """An executionReport's `c` and `C`: the request's id, and the order's if it is another."""
        by = str(order.extra.get(_CANCELLED_BY) or "")
        return (by, order.cl_ord_id) if by and not order.leaves_qty else (order.cl_ord_id, "")

    def pair(self, params: Params) -> Pair:
        if not params.get("symbol"):
            raise missing("symbol")
        pair = self._pairs.get(str(params["symbol"]))
        if pair is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return pair

    def find(
        self, account: Account, params: Params, number: str = "orderId",
        name: str = "origClientOrderId",
    ) -> Order | None:  # fmt: skip
        """The order that a number or a client id means: of several the latest."""
        if not params.get(number) and not params.get(name):
            text = f"Param '{name}' or '{number}' must be sent, but both were empty/null!"
            raise BinanceError(-1128, text)
        symbol = self.pair(params).symbol
        for order in reversed(self._engine.orders(account.number)):
            if order.symbol != symbol:
                continue
            if params.get(number) and str(self.number(order)) != str(params[number]):
                continue
            if params.get(name) and order.cl_ord_id != params[name]:
                continue
            return order
        return None

    # -- requests ------------------------------------------------------------------------------

    def place(self, account: Account, params: Params) -> Row:
        order = self._enter(account, self._fields(params))
        return self._entered(account, order, params)

    def cancel(self, account: Account, params: Params) -> Row:
        order = self.find(account, params)
        return self._cancel(account, order, params, str(params.get("newClientOrderId") or ""))

    def cancel_all(self, account: Account, params: Params) -> list[Row]:
        symbol = self.pair(params).symbol
        resting = [
            order
            for order in self._engine.orders(account.number)
            if order.symbol == symbol and order.leaves_qty > 0
        ]
        if not resting:
            raise BinanceError(-2011, "Unknown order sent.")
        return [self._cancel(account, order, {}, "") for order in resting]

    def cancel_replace(self, account: Account, params: Params) -> Row:
        if params.get("cancelReplaceMode") not in _MODES:
            raise missing("cancelReplaceMode")
        fields = self._fields(params)  # the filters are looked at before anything happens
        old = self.find(account, params, "cancelOrderId", "cancelOrigClientOrderId")
        cancelled: Row | None = None
        try:
            cancelled = self._cancel(
                account, old, params, str(params.get("cancelNewClientOrderId") or "")
            )
        except BinanceError as error:
            if params["cancelReplaceMode"] == "STOP_ON_FAILURE":
                raise BinanceError(
                    -2022, "Order cancel-replace failed.", 400,
                    _both("FAILURE", error.body, "NOT_ATTEMPTED", None),
                ) from None  # fmt: skip
            cancel_error = error
        try:
            entered = self._entered(account, self._enter(account, fields), params)
        except BinanceError as error:
            if cancelled is None:
                raise BinanceError(
                    -2022, "Order cancel-replace failed.", 400,
                    _both("FAILURE", cancel_error.body, "FAILURE", error.body),
                ) from None  # fmt: skip
            raise BinanceError(
                -2021, "Order cancel-replace partially failed.", 409,
                _both("SUCCESS", cancelled, "FAILURE", error.body),
            ) from None  # fmt: skip
        if cancelled is None:
            raise BinanceError(
                -2021, "Order cancel-replace partially failed.", 409,
                _both("FAILURE", cancel_error.body, "SUCCESS", entered),
            )  # fmt: skip
        return _both("SUCCESS", cancelled, "SUCCESS", entered)

    # -- within --------------------------------------------------------------------------------

    def _fields(self, params: Params) -> Row:
        """The engine's fields of a new order; raises BinanceError."""
        pair, kind, side = self.pair(params), params.get("type"), params.get("side")
        for name in ("side", "type", "quantity"):
            if not params.get(name):
                raise missing(name)
        if kind not in _KINDS:
            raise BinanceError(-1116, "Invalid orderType.")
        if side not in ("BUY", "SELL"):
            raise BinanceError(-1117, "Invalid side.")
        if kind == "LIMIT" and str(params.get("timeInForce")) not in _LIFETIMES:
            raise (
                missing("timeInForce")
                if not params.get("timeInForce")
                else BinanceError(-1115, "Invalid timeInForce.")
            )
        if kind != "LIMIT" and params.get("timeInForce"):
            raise BinanceError(-1106, "Parameter 'timeInForce' sent when not required.")
        name = str(params.get("newClientOrderId") or f"auto{self._numbers.new():020d}")
        if not _NAME.fullmatch(name):
            raise illegal("newClientOrderId", r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
        fields: Row = {
            "symbol": pair.symbol, "side": side.capitalize(), "clOrdID": name,
            "orderQty": float(pair.contracts(_number(params, "quantity"))),
            "ordType": "Market" if kind == "MARKET" else "Limit",
            "timeInForce": _LIFETIMES.get(str(params.get("timeInForce") or ""), ""),
            "execInst": POST_ONLY if kind == "LIMIT_MAKER" else "",
        }  # fmt: skip
        if kind != "MARKET":
            if not params.get("price"):
                raise missing("price")
            fields["price"] = float(_number(params, "price"))
        self._check_filters(pair, fields)
        return fields

    def _check_filters(self, pair: Pair, fields: Row) -> None:
        spec, qty = pair.spec, fields["orderQty"]
        if qty <= 0 or qty % spec.lot_size or qty > spec.max_order_qty:
            raise BinanceError(-1013, "Filter failure: LOT_SIZE")
        price = fields.get("price")
        if price is not None and (not 0 < price <= spec.max_price or not pair.grid.contains(price)):
            raise BinanceError(-1013, "Filter failure: PRICE_FILTER")
        if price is not None and decimal(pair.qty(qty)) * decimal(price) < MIN_NOTIONAL:
            raise BinanceError(-1013, "Filter failure: NOTIONAL")

    def _enter(self, account: Account, fields: Row) -> Order:
        try:
            if fields["execInst"] and self._would_take(fields):
                raise BinanceError(-2010, "Order would immediately match and take.")
            return self._engine.place(account.number, fields)
        except Refused as refused:
            raise _error(refused) from None

    def _would_take(self, fields: Row) -> bool:
        quote = self._engine.quote(fields["symbol"])
        ticks = self._pairs[fields["symbol"]].grid.nearest(fields["price"])
        if self._engine.quirks.bounces_post_only:
            return True
        if fields["side"] == "Buy":
            return quote.ask_ticks is not None and ticks >= quote.ask_ticks
        return quote.bid_ticks is not None and ticks <= quote.bid_ticks

    def _cancel(self, account: Account, order: Order | None, params: Params, by: str) -> Row:
        if order is None or order.leaves_qty <= 0:
            raise BinanceError(-2011, "Unknown order sent.")
        wanted = params.get("cancelRestrictions")
        if wanted and wanted not in _RESTRICTIONS:
            raise BinanceError(-1145, "Invalid cancelRestrictions")
        if wanted and (wanted == "ONLY_NEW") != (order.cum_qty == 0):
            raise BinanceError(-2011, "Order was not canceled due to cancel restrictions.")
        order.extra[_CANCELLED_BY] = by = by or f"web_{self._numbers.new():018d}"
        self._engine.cancel(account.number, [order.order_id])
        row = self._pairs[order.symbol].order_row(order, self.number(order))
        return row | {
            "origClientOrderId": order.cl_ord_id, "clientOrderId": by,
            "transactTime": ms(self._engine.now()),
        }  # fmt: skip

    def _entered(self, account: Account, order: Order, params: Params) -> Row:
        pair, number, moment = self._pairs[order.symbol], self.number(order), ms(self._engine.now())
        shape = params.get("newOrderRespType")
        if shape not in ("ACK", "RESULT", "FULL"):
            shape = "ACK" if order.exec_inst else "FULL"
        row = pair.order_row(order, number) | {"transactTime": moment, "workingTime": moment}
        if shape == "ACK":
            names = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
            return {name: row[name] for name in names}
        if shape == "FULL":
            row["fills"] = [
                {
                    name: told[name]
                    for name in ("price", "qty", "commission", "commissionAsset")
                } | {"tradeId": told["id"]}
                for event in self._engine.executions(account.number)
                if event.fill and event.order.order_id == order.order_id
                for told in [pair.trade_row(event, event.fill, number)]
            ]  # fmt: skip
        return row


def missing(name: str) -> BinanceError:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return BinanceError(-1102, text)


def illegal(name: str, legal: str) -> BinanceError:
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return BinanceError(-1100, text)


def _both(cancel: str, cancel_told: Row, new: str, new_told: Row | None) -> Row:
    return {
        "cancelResult": cancel, "newOrderResult": new, "cancelResponse": cancel_told,
        "newOrderResponse": new_told,
    }  # fmt: skip


def _error(refused: Refused) -> BinanceError:
    for words, code, text in _REFUSALS:
        if refused.message.startswith(words):
            return BinanceError(code, text)
    return BinanceError(-2010, refused.message)


def _number(params: Params, name: str) -> Any:
    try:
        return decimal(params[name])
    except (ArithmeticError, ValueError):
        raise illegal(name, r"^([0-9]{1,20})(\.[0-9]{1,20})?$") from None
