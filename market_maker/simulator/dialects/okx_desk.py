"""What OKX clients may do to orders: place, amend, cancel, and the dead man's switch.

As on OKX, a yes to an amend or a cancel is a promise: it happens a moment later, or not, and
the `orders` channel tells. It does not where the order is filled or refuses it by then, nor under a
fault that breaks promises, of which nothing is told at all. New orders are entered at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.simulator.dialects.okx_rows import CUT, Listing, ms
from market_maker.simulator.dialects.order_numbers import OrderNumbers
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Account, Engine, Refused

LAG_S = 0.002  # between the promise and the deed
MAX_BATCH = 20
_FIRST_ORDER = 2_497_956_918_703_120_000
_EXEC_INST = {"post_only": "ParticipateDoNotInitiate"}
_LIFETIMES = {"ioc": "ImmediateOrCancel", "fok": "FillOrKill"}
_KINDS = ("limit", "post_only", "market", "ioc", "fok")

# The engine's refusals as OKX's codes, by the words they begin with.
_CODES = (
    ("Duplicate clOrdID", "51016", "Duplicated clOrdId"),
    ("Account has insufficient", "51008", "Order failed. Insufficient balance in account"),
    ("Invalid price", "51000", "Parameter px error"),
    ("Invalid orderQty", "51121", "Order quantity must be a multiple of the lot size"),
    ("Invalid leavesQty", "51121", "Order quantity must be a multiple of the lot size"),
    ("Market is not open", "51021", "The contract is not yet listed"),
    ("Invalid ordStatus: Filled", "51503", "Modification failed as the order has been filled"),
    ("Invalid ordStatus", "51503", "Modification failed as the order does not exist"),
    ("Invalid amend", "51000", "Parameter newPx and newSz unchanged"),
)


class OkxError(Exception):
    """The exchange will not do it, for all that a request asks."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class OrderDesk:
    """Orders of all customers in OKX's terms. `tell` hears of amends that came to nothing."""

    def __init__(self, engine: Engine, listings: Mapping[str, Listing]) -> None:
        self.amending: set[str] = set()  # engine's order ids with an amend on its way
        self.tell: Callable[[Order, str], None] = lambda *_: None
        self.lag_s = LAG_S
        self._engine = engine
        self._listings = listings
        self._by_code = {str(listing.code): inst_id for inst_id, listing in listings.items()}
        self._numbers = OrderNumbers(engine, _FIRST_ORDER)
        self._timers: dict[tuple[int, str], float] = {}  # (account, tag) -> when it fires

    def order_id(self, order: Order) -> str:
        """The venue's number for an order."""
        return str(self._numbers.of(order))

    def listing(self, wire: Mapping[str, Any]) -> Listing:
        """The instrument a request names, by its name over REST and by its number elsewhere."""
        listing = self._listings.get(str(wire.get("instId")))
        if listing is None and wire.get("instIdCode") is not None:
            listing = self._listings.get(self._by_code.get(str(wire["instIdCode"]), ""))
        if listing is None:
            raise OkxError("51001", "Instrument ID does not exist")
        return listing

    def find(self, account: Account, wire: Mapping[str, Any]) -> Order | None:
        """The order that "ordId" or "clOrdId" means, finished ones included."""
        orders = self._engine.orders(account.number)
        if wire.get("ordId"):
            meant = str(wire["ordId"])
            return next((order for order in orders if self.order_id(order) == meant), None)
        name = str(wire.get("clOrdId") or "")
        return next((o for o in reversed(orders) if name and o.cl_ord_id == name), None)

    # -- each answers one item of `data` -------------------------------------------------------

    def place(self, account: Account, wire: Mapping[str, Any]) -> Row:
        name = str(wire.get("clOrdId") or "")
        try:
            if name and not (name.isascii() and name.isalnum() and len(name) <= 32):
                raise OkxError("51000", "Parameter clOrdId error")
            if name and self.find(account, {"clOrdId": name}) is not None:
                raise OkxError("51016", "Duplicated clOrdId")  # also after it is gone
            order = self._engine.place(account.number, self._fields(wire))
        except OkxError as error:
            return self._item("", name, error.code, error.message)
        except Refused as refused:
            return self._item("", name, *_code(refused))
        order.extra["tag"] = str(wire.get("tag") or "")
        return self._item(self.order_id(order), name)

    def amend(self, account: Account, wire: Mapping[str, Any]) -> Row:
        order = self.find(account, wire)
        if order is None:
            return self._item(str(wire.get("ordId") or ""), "", "51503", "Order does not exist")
        shown = self.order_id(order)
        if order.leaves_qty <= 0:
            code = "51510" if order.ord_status == "Filled" else "51509"
            return self._item(shown, order.cl_ord_id, code, f"Order is {order.ord_status}")
        try:
            if wire.get("newPx"):
                price = _number(lambda: float(str(wire["newPx"])), "newPx")
                self._check_limit(self._listing_of(order), order.side, price)
        except OkxError as error:
            return self._item(shown, order.cl_ord_id, error.code, error.message)
        self._later(lambda: self._amend_now(account, order, wire))
        return self._item(shown, order.cl_ord_id)

    def cancel(self, account: Account, wire: Mapping[str, Any]) -> Row:
        order = self.find(account, wire)
        if order is None or order.leaves_qty <= 0:
            state = "" if order is None else order.ord_status
            code = {"": "51603", "Filled": "51402"}.get(state, "51401")
            text = f"Cancellation failed as the order is {state or 'not known'}"
            return self._item(str(wire.get("ordId") or ""), "", code, text)
        found = order
        self._later(lambda: self._engine.cancel(account.number, [found.order_id]))
        return self._item(self.order_id(order), order.cl_ord_id)

    def cancel_all_after(self, account: Account, wire: Mapping[str, Any]) -> Row:
        """Seconds 10 to 120, or 0 to disarm; with a tag only orders that bear it."""
        try:
            seconds = int(str(wire.get("timeOut")))
        except ValueError:
            raise OkxError("51000", "Parameter timeOut error") from None
        if seconds != 0 and not 10 <= seconds <= 120:
            raise OkxError("51000", "Parameter timeOut error")
        key = (account.number, str(wire.get("tag") or ""))
        now_s = self._engine.now()
        self._timers.pop(key, None)
        if seconds:
            self._timers[key] = now_s + seconds
            self._engine.call_at(now_s + seconds, lambda: self._fire(account, key))
        trigger = ms(now_s + seconds) if seconds else "0"
        return {"triggerTime": trigger, "tag": key[1], "ts": ms(now_s)}

    def is_armed(self, account: Account) -> bool:
        """Whether a timer of the account runs, with whatever tag."""
        return any(number == account.number for number, _ in self._timers)

    # -- within --------------------------------------------------------------------------------

    def _fields(self, wire: Mapping[str, Any]) -> Row:
        listing, kind = self.listing(wire), str(wire.get("ordType"))
        if kind not in _KINDS:
            raise OkxError("51000", "Parameter ordType error")
        if wire.get("side") not in ("buy", "sell"):
            raise OkxError("51000", "Parameter side error")
        if wire.get("tdMode") not in listing.trade_modes:
            raise OkxError("51000", "Parameter tdMode error")
        fields: Row = {
            "symbol": listing.spec.symbol,
            "side": str(wire["side"]).capitalize(),
            "orderQty": _number(lambda: listing.qty(wire.get("sz")), "sz"),
            "clOrdID": wire.get("clOrdId") or "",
            "ordType": "Market" if kind == "market" else "Limit",
            "timeInForce": _LIFETIMES.get(kind, ""),
            "execInst": _EXEC_INST.get(kind, ""),
        }
        if kind == "market" and listing.spec.is_spot and wire["side"] == "buy":
            self._read_quote_size(fields, listing, wire)
        if kind != "market":
            fields["price"] = _number(lambda: float(str(wire.get("px"))), "px")
            self._check_limit(listing, fields["side"], fields["price"])
        if str(wire.get("reduceOnly")).lower() == "true":
            fields["execInst"] = ",".join(filter(None, (fields["execInst"], "ReduceOnly")))
        return fields

    def _check_limit(self, listing: Listing, side: str, price: float) -> None:
        """Raises OkxError for a price that would trade far from the mark price."""
        mark = self._engine.instrument_row(listing.spec.symbol)["markPrice"]
        high, low = listing.price_limits(mark)
        if price > high if side == "Buy" else price < low:
            code = {"Buy": "51137", "Sell": "51138"}[side] if listing.spec.is_spot else "51006"
            bounds = f"max buy price: {high} min sell price: {low}"
            raise OkxError(code, f"Order price is not within the price limit ({bounds})")

    def _read_quote_size(self, fields: Row, listing: Listing, wire: Mapping[str, Any]) -> None:
        """The size of a market buy on spot is money to spend, unless its request says otherwise."""
        ask = self._engine.quote(listing.spec.symbol).ask_ticks
        if wire.get("tgtCcy") == "base_ccy" or ask is None:
            return
        lot = listing.spec.lot_size
        fields["orderQty"] = fields["orderQty"] / listing.grid.price(ask) // lot * lot

    def _amend_now(self, account: Account, order: Order, wire: Mapping[str, Any]) -> None:
        listing = self._listing_of(order)
        fields: Row = {"orderID": order.order_id}
        self.amending.add(order.order_id)
        try:
            if wire.get("newPx"):
                fields["price"] = float(str(wire["newPx"]))
            if wire.get("newSz"):
                fields["orderQty"] = listing.qty(wire["newSz"])
            if 0 < fields.get("orderQty", 0) <= order.cum_qty:
                order.extra[CUT] = True  # it is filled by this
                self._engine.cancel(account.number, [order.order_id])
                return
            self._engine.amend(account.number, fields)
        except (Refused, ValueError, ArithmeticError):
            self.tell(order, "-1")
        finally:
            self.amending.discard(order.order_id)

    def _listing_of(self, order: Order) -> Listing:
        return next(s for s in self._listings.values() if s.spec.symbol == order.symbol)

    def _fire(self, account: Account, key: tuple[int, str]) -> None:
        if self._timers.get(key, float("inf")) > self._engine.now():
            return  # it was renewed or disarmed
        del self._timers[key]
        ours = [
            order.order_id
            for order in self._engine.orders(account.number)
            if order.leaves_qty > 0 and key[1] in ("", tag_of(order))
        ]
        self._engine.cancel(account.number, ours)

    def _later(self, deed: Callable[[], object]) -> None:
        if not self._engine.quirks.breaks_promises:
            self._engine.call_at(self._engine.now() + self.lag_s, deed)

    def _item(self, order_id: str, name: str, code: str = "0", text: str = "") -> Row:
        return {
            "ordId": order_id, "clOrdId": name, "tag": "", "ts": ms(self._engine.now()),
            "sCode": code, "sMsg": text,
        }  # fmt: skip


def tag_of(order: Order) -> str:
    """What its client marked an order with."""
    return str(order.extra.get("tag") or "")


def _code(refused: Refused) -> tuple[str, str]:
    for words, code, text in _CODES:
        if refused.message.startswith(words):
            return code, text
    return "51000", refused.message


def _number(read: Callable[[], float], name: str) -> float:
    try:
        return read()
    except (ValueError, ArithmeticError):
        raise OkxError("51000", f"Parameter {name} error") from None
