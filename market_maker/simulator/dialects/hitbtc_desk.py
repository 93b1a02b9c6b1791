"""What HitBTC clients may do to orders: place, replace, cancel, each by client order id.

As there, a client order id serves once in a trading day, whether its order lives or not, and a
replace cancels first: if the new order is refused, the old one is gone all the same.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from market_maker.model.rows import POST_ONLY, Row
from market_maker.simulator.dialects.hitbtc_rows import Spot, is_dead
from market_maker.simulator.dialects.order_numbers import OrderNumbers
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Account, Engine, Refused

REQUESTS_PER_S = 300  # of one account
_DAY_S = 86_400
_ID_LENGTHS = range(8, 33)
_FIRST_ORDER = 584_244_931_496
_LARGEST = Decimal(10**15)  # of quantities and prices
_LIFETIMES = {"GTC": "", "IOC": "ImmediateOrCancel", "FOK": "FillOrKill"}


class HitbtcError(Exception):
    """The exchange will not do it."""

    def __init__(self, code: int, message: str, description: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.description = description


def not_found() -> HitbtcError:
    return HitbtcError(20002, "Order not found")


def validation(description: str) -> HitbtcError:
    return HitbtcError(10001, "Validation error", description)


_REFUSALS: tuple[tuple[str, Callable[[], HitbtcError]], ...] = (
    ("Duplicate clOrdID", lambda: HitbtcError(20008, "Duplicate clientOrderId")),
    (
        "Account has insufficient",
        lambda: HitbtcError(
            20001, "Insufficient funds", "Check that the funds are sufficient, given commissions"
        ),
    ),
    ("Market is not open", lambda: HitbtcError(20010, "Exchange temporary closed")),
    ("Invalid orderQty", lambda: HitbtcError(2011, "Quantity too low")),
    ("Invalid price", lambda: HitbtcError(2022, "Bad price")),
)


class OrderDesk:
    """Orders of all customers in HitBTC's terms. `tell_cancel` hears of an order that a replace
    has cancelled without entering another."""

    def __init__(self, engine: Engine, spots: Mapping[str, Spot]) -> None:
        self.cancelling = ""  # engine's order id of what a replace cancels just now
        self.parent = ""  # client id that the order entered just now replaces
        self.tell_cancel: Callable[[Order], None] = lambda _: None
        self._engine = engine
        self._spots = spots
        self._numbers = OrderNumbers(engine, _FIRST_ORDER)
        self._used: set[tuple[int, str]] = set()  # (account, client id) of this trading day
        self._day = 0
        self._counted: dict[int, tuple[int, int]] = {}  # account -> (second, requests in it)

    def number(self, order: Order) -> int:
        """The venue's number for an order."""
        return self._numbers.of(order)

    def born_s(self, order: Order) -> float:
        """When an order was entered; to be asked first at that moment."""
        return cast(float, order.extra.setdefault("born_s", order.timestamp))

    def find(self, account: Account, client_id: object) -> Order | None:
        """The account's latest order with this client order id, finished ones included."""
        orders = self._engine.orders(account.number)
        return next((o for o in reversed(orders) if o.cl_ord_id == client_id), None)

    def spot(self, params: Mapping[str, Any]) -> Spot:
        spot = self._spots.get(str(params.get("symbol")))
        if spot is None:
            raise HitbtcError(2001, "Symbol not found")
        return spot

    def count(self, account: Account) -> None:
        """Count a request for orders; raises HitbtcError beyond what one second may see."""
        second = int(self._engine.now())
        at, made = self._counted.get(account.number, (second, 0))
        made = made + 1 if at == second else 1
        self._counted[account.number] = (second, made)
        if made > REQUESTS_PER_S:
            raise HitbtcError(429, "Too many requests", "Try it again later", 429)

    # -- the three deeds -----------------------------------------------------------------------

    def place(self, account: Account, params: Mapping[str, Any]) -> Order:
        spot = self.spot(params)
        fields = self._fields(spot, params)
        fields["clOrdID"] = self._claim_id(account, params.get("client_order_id"))
        return self._enter(account, fields)

    def replace(self, account: Account, params: Mapping[str, Any]) -> Order:
        order = self._open_order(account, params)
        spot = next(s for s in self._spots.values() if s.spec.symbol == order.symbol)
        same = {
            "side": order.side.lower(),
            "time_in_force": "GTC",
            "price": spot.px(order.price_ticks),
            "post_only": POST_ONLY in order.exec_inst,
            "type": "limit",
        }
        told = {name: value for name, value in params.items() if value is not None}
        fields = self._fields(spot, same | told)
        fields["clOrdID"] = self._claim_id(account, params.get("new_client_order_id"))
        self.cancelling, self.parent = order.order_id, order.cl_ord_id
        try:
            self._engine.cancel(account.number, [order.order_id])
            return self._enter(account, fields)
        except HitbtcError:
            self.tell_cancel(order)
            raise
        finally:
            self.cancelling = self.parent = ""

    def cancel(self, account: Account, params: Mapping[str, Any]) -> Order:
        order = self._open_order(account, params)
        self._engine.cancel(account.number, [order.order_id])
        return order

    def cancel_all(self, account: Account, params: Mapping[str, Any]) -> list[Order]:
        """Those of one symbol, or all."""
        symbol = self.spot(params).spec.symbol if params.get("symbol") else None
        return self._engine.cancel_all(account.number, symbol)

    # -- within --------------------------------------------------------------------------------

    def _open_order(self, account: Account, params: Mapping[str, Any]) -> Order:
        order = self.find(account, params.get("client_order_id"))
        if order is None or is_dead(order):
            raise not_found()
        return order

    def _enter(self, account: Account, fields: Row) -> Order:
        try:
            return self._engine.place(account.number, fields)
        except Refused as refused:
            raise _error(refused) from None

    def _claim_id(self, account: Account, given: object) -> str:
        """The client order id, which from now on is used for this trading day."""
        name = str(given or f"generated{self._numbers.new():023d}")
        if len(name) not in _ID_LENGTHS:
            raise validation("client_order_id: from 8 to 32 characters")
        today = int(self._engine.now() // _DAY_S)
        if today != self._day:
            self._used, self._day = set(), today
        key = (account.number, name)
        order = self.find(account, name)
        if key in self._used or (order is not None and not is_dead(order)):
            raise HitbtcError(20008, "Duplicate clientOrderId")
        self._used.add(key)
        return name

    def _fields(self, spot: Spot, params: Mapping[str, Any]) -> Row:
        kind, lifetime = (
            str(params.get(name, usual))
            for name, usual in (("type", "limit"), ("time_in_force", "GTC"))
        )
        if params.get("side") not in ("buy", "sell"):
            raise validation("side: must be buy or sell")
        if kind not in ("limit", "market") or lifetime not in _LIFETIMES:
            raise validation("type or time_in_force: not supported")
        is_strict = params.get("strict_validate") in (True, "true")
        quantity = _number(params.get("quantity"), 2010, "Quantity not a valid number")
        if is_strict and quantity % spot.increment:
            raise HitbtcError(2012, "Bad quantity")
        qty = spot.qty(quantity)
        if qty <= 0:
            raise HitbtcError(2011, "Quantity too low")
        fields: Row = {
            "symbol": spot.spec.symbol,
            "side": str(params["side"]).capitalize(),
            "orderQty": qty,
            "ordType": kind.capitalize(),
            "timeInForce": _LIFETIMES[lifetime],
            "execInst": POST_ONLY if params.get("post_only") in (True, "true") else "",
        }
        if kind == "limit":
            price = float(_number(params.get("price"), 2020, "Price not a valid number"))
            if price <= 0:
                raise HitbtcError(2021, "Price too low")
            if not is_strict:
                ticks = (spot.grid.bid_ticks if fields["side"] == "Buy" else spot.grid.ask_ticks)(
                    price
                )
                price = spot.grid.price(ticks)
            fields["price"] = price
        return fields


def _error(refused: Refused) -> HitbtcError:
    for words, make in _REFUSALS:
        if refused.message.startswith(words):
            return make()
    return validation(refused.message)


def _number(text: Any, code: int, message: str) -> Decimal:
    try:
        number = Decimal(str(text))
    except InvalidOperation:
        raise HitbtcError(code, message) from None
    if not number.is_finite() or abs(number) > _LARGEST:
        raise HitbtcError(code, message)
    return number
