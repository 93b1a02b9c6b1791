"""Any exchange's spot market through ccxt's REST classes, asked in turns.

ccxt knows symbols, signatures and precision; ids, limits, outcomes and pace are ours. It is
imported when it is used only: it takes 70 MB and a third of a second.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError, Result, Status, UnknownSymbol
from market_maker.exchanges.ccxt_errors import http_status, refuses_key, verdict, words
from market_maker.exchanges.ccxt_quirks import QUIRKS, capabilities, paced, turned
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.pages import read_pages
from market_maker.exchanges.polled import PolledConnector
from market_maker.exchanges.public_reads import Bar
from market_maker.exchanges.reads import PACE, Pace
from market_maker.model.rows import LIFETIMES, POST_ONLY, Row
from market_maker.model.wire import Answer
from market_maker.utils.errors import AuthenticationError, SettingsError

logger = logging.getLogger("root")

_LEVELS = 20  # of the book, on each side: a number that each of them takes
_MOST_BARS = 300  # that all of them give
_STATES = {"open": "New", "closed": "Filled"}
_EXTRA = "ccxt is missing: run 'pip install -e \".[ccxt]\"'"


def new_exchange(
    venue: str, key: str, secret: str, password: str, timeout_s: float, base_url: str | None = None
) -> Any:
    """ccxt's object for *venue*, or for *base_url* in its place. Raises SettingsError for one that
    it or we do not know."""
    if venue not in QUIRKS:
        raise SettingsError([f"EXCHANGE = 'ccxt:{venue}': must be one of {', '.join(QUIRKS)}"])
    try:
        import ccxt
    except ModuleNotFoundError:
        raise SettingsError([_EXTRA]) from None
    exchange = getattr(ccxt, venue)(
        {
            "apiKey": key,
            "secret": secret,
            "password": password,
            "timeout": round(timeout_s * 1000),
            "enableRateLimit": False,  # its own limiter is not safe with threads; ours counts
            "options": {"defaultType": "spot", **QUIRKS[venue].options},
        }
    )
    exchange.has["fetchCurrencies"] = False  # of no use here, and may need more rights
    if base_url:
        exchange.urls = turned(exchange.urls, base_url)
    return exchange


class CcxtVenue:
    """One spot symbol of one account. *inventory* of the base currency is no position."""

    def __init__(self, exchange: Any, symbol: str, prefix: str, *, inventory: float = 0.0) -> None:
        self.name = f"ccxt:{exchange.id}"
        self._quirks = QUIRKS[exchange.id]
        self.caps = capabilities(self._quirks)
        self.on_answer: Callable[[Answer], None] = lambda _: None
        self._exchange = exchange
        self._symbol = symbol
        self._inventory = Decimal(str(inventory))
        self._ids = ClientIds(prefix, self._quirks.id_max)
        self._lock = threading.RLock()
        self._found: Row = {}
        self._depth: Row = {}  # the book as it was read last
        self._is_crowded = False  # a page of fills was full of one moment
        self._is_outdated = False  # the markets must be read anew

    # -- reads ---------------------------------------------------------------------------------

    def market(self) -> Row:
        market = self._market
        self._depth = touch = self._read("fetch_order_book", market["symbol"], _LEVELS)
        bid, ask = (next(iter(touch.get(side) or ()), (None, None)) for side in ("bids", "asks"))
        mid = None if bid[0] is None or ask[0] is None else (bid[0] + ask[0]) / 2
        limits = market.get("limits") or {}
        least, cost = limits.get("amount") or {}, limits.get("cost") or {}
        prices = limits.get("price") or {}
        is_open = market.get("active") is not False and not _is_suspended(market)
        scale = 10**8
        return {
            "symbol": self._symbol, "state": "Open" if is_open else "Closed", "typ": "IFXXXP",
            "tickSize": _step(market, "price", self._exchange),
            "lotSize": _step(market, "amount", self._exchange), "unit": market["base"],
            "minQty": least.get("min"), "maxOrderQty": least.get("max"),
            "minNotional": cost.get("min"), "minPrice": prices.get("min"),
            "maxPrice": prices.get("max"), "multiplier": scale, "quoteToSettleMultiplier": scale,
            "isInverse": False,
            "isQuanto": False, "underlying": market["base"], "quoteCurrency": market["quote"],
            "settlCurrency": market["quote"], "makerFee": market.get("maker"),
            "takerFee": market.get("taker"), "bidPrice": bid[0], "bidSize": bid[1],
            "askPrice": ask[0], "askSize": ask[1], "midPrice": mid, "lastPrice": mid,
            "markPrice": mid, "timestamp": self._iso(touch.get("timestamp")),
        }  # fmt: skip

    def trades(self) -> list[Row]:
        return [
            {
                "timestamp": self._iso(raw["timestamp"]), "symbol": self._symbol,
                "side": str(raw["side"]).capitalize(), "size": raw["amount"],
                "price": raw["price"], "trdMatchID": str(raw["id"]),
            }
            for raw in self._read("fetch_trades", self._market["symbol"], None, 100)
        ]  # fmt: skip

    def book(self) -> list[Row]:
        return [
            {"symbol": self._symbol, "side": side, "price": price, "size": size}
            for side, name in (("Sell", "asks"), ("Buy", "bids"))
            for price, size, *_ in self._depth.get(name) or ()
        ]

    def bars(self, size: str, count: int) -> list[Bar]:
        """The latest of a BitMEX `binSize`, which ccxt calls the same."""
        asked = (self._market["symbol"], size, None, min(_MOST_BARS, count))
        found = self._read("fetch_ohlcv", *asked)
        return [
            Bar(start_ms, first, high, low, last, volume, volume)
            for start_ms, first, high, low, last, volume in found
        ]

    def open_orders(self) -> list[Row]:
        """Page by page: an order that a list left out would seem to be gone."""
        most = self._quirks.orders_page

        def read(found: list[Row]) -> list[Row]:
            more = self._quirks.next_orders(found[-most:]) if found else {}
            if not all(more.values()):
                return []
            page: list[Row] = self._read(
                "fetch_open_orders", self._market["symbol"], None, most or None, more
            )
            return page

        raws = read_pages(read, most, "id") if most else read([])
        return [self._order(raw) for raw in {str(raw["id"]): raw for raw in raws}.values()]

    def order(self, order_id: str, cl_ord_id: str = "") -> Row | None:
        params: dict[str, str] = {}
        if not order_id:
            wire = self._ids.encode(cl_ord_id)
            lookup = self._quirks.lookup_param
            order_id, params = ("", {lookup: wire}) if lookup else (wire, {})
        try:
            return self._order(self._read("fetch_order", order_id, self._market["symbol"], params))
        except _NotFound:
            return None

    def fills(self, since_s: float) -> list[Row]:
        """Page by page, forward or back in time as the venue gives them: a page begins after
        the one before it, or with the time at which it ended; what comes twice is told once."""
        start: int | None = max(0, int(since_s * 1000))
        params: dict[str, int] = {}
        most, found, seen = self._quirks.fills_page, list[Row](), set[str]()
        while True:
            page = self._read("fetch_my_trades", self._market["symbol"], start, most, params)
            new = [raw for raw in page if str(raw["id"]) not in seen]
            found += [self._fill(raw) for raw in new]
            seen |= {str(raw["id"]) for raw in new}
            if page and not new and len(page) == most and not self._is_crowded:
                self._is_crowded = True  # said once: the next reads find the same
                logger.warning("%s has more fills of one moment than it tells.", self.name)
            if len(page) < most or not new:
                return sorted(found, key=lambda row: str(row["timestamp"]))
            if self._quirks.until:
                params = {self._quirks.until: min(raw["timestamp"] for raw in new)}
            else:  # many may have one time
                start, params = None, {"fromId": 1 + max(int(raw["id"]) for raw in new)}

    def position(self) -> Row:
        """What is held beyond the inventory counts as the position."""
        base = self._market["base"]
        balance = self._read("fetch_balance")
        qty = Decimal(str((balance.get("total") or {}).get(base) or 0)) - self._inventory
        free, used = ((balance.get(kind) or {}).get(base) or 0 for kind in ("free", "used"))
        return {
            "symbol": self._symbol, "currentQty": float(qty), "isOpen": bool(qty),
            "freeQty": free, "lockedQty": used, "homeNotional": float(qty),
            "currency": self._market["quote"],
        }  # fmt: skip

    def margin(self) -> Row:
        quote, balance = self._market["quote"], self._read("fetch_balance")
        total, free, used = (
            round(float((balance.get(kind) or {}).get(quote) or 0) * 10**8)
            for kind in ("total", "free", "used")
        )
        return {
            "currency": quote, "amount": total, "walletBalance": total, "marginBalance": total,
            "availableMargin": free, "excessMargin": free, "initMargin": used,
            "marginUsedPcnt": 0.0, "marginLeverage": 0.0,
        }  # fmt: skip

    # -- orders --------------------------------------------------------------------------------

    def place(self, order: Row) -> Result:
        params: dict[str, object] = {}
        if self._quirks.id_param:
            params[self._quirks.id_param] = self._ids.encode(str(order["clOrdID"]))
        if POST_ONLY in str(order.get("execInst") or ""):
            params["postOnly"] = True
        kind = "limit" if order.get("price") is not None else "market"
        if kind == "limit" and (lifetime := LIFETIMES.get(str(order.get("timeInForce")))):
            params["timeInForce"] = lifetime
        symbol, side = self._market["symbol"], str(order["side"]).lower()
        what = (symbol, kind, side, order["orderQty"], order.get("price"), params)
        return self._act("create_order", *what)

    def cancel(self, order_id: str) -> Result:
        return self._act("cancel_order", order_id, self._market["symbol"])

    def cancel_side(self, side: str) -> Result:
        results = [self.cancel(r["orderID"]) for r in self.open_orders() if r["side"] == side]
        return next((r for r in results if r.status is not Status.OK), Result(Status.OK, {}))

    # -- within --------------------------------------------------------------------------------

    def server_offset_s(self) -> float:
        return 0.0

    def close(self) -> None:
        """Its session closes with it."""

    @property
    def _market(self) -> Row:
        if not self._found:
            markets = self._read("load_markets", self._is_outdated)
            wanted = self._symbol.replace("-", "/")
            found = markets.get(wanted) or next(
                (m for m in markets.values() if m.get("id", "").upper() == self._symbol), None
            )
            if found is None or not found.get("spot"):
                raise UnknownSymbol(404, f"the exchange has no {self._symbol}")
            self._found = found
        return self._found

    def _order(self, raw: Mapping[str, Any]) -> Row:
        qty, filled = float(raw["amount"] or 0), float(raw.get("filled") or 0)
        status = _STATES.get(str(raw.get("status")), "Canceled")
        if status == "Filled" and filled < qty:
            status = "Canceled"  # Bybit's PartiallyFilledCanceled is closed to ccxt
        if status == "New" and filled:
            status = "PartiallyFilled"
        is_live = status in ("New", "PartiallyFilled")
        return {
            "orderID": str(raw["id"]), "clOrdID": self._ids.decode(str(raw["clientOrderId"] or "")),
            "symbol": self._symbol, "side": str(raw["side"]).capitalize(), "price": raw["price"],
            "orderQty": qty, "cumQty": filled, "leavesQty": round(qty - filled, 12) * is_live,
            "ordStatus": status, "ordType": "Limit", "avgPx": raw.get("average"),
            "transactTime": self._iso(raw.get("timestamp")),
        }  # fmt: skip

    def _fill(self, raw: Mapping[str, Any]) -> Row:
        fee, quote = raw.get("fee") or {}, self._market["quote"]
        paid, currency = float(fee.get("cost") or 0), fee.get("currency") or quote
        # One in a third currency cannot be valued.
        worth = {self._market["base"]: raw["price"], quote: 1}.get(currency, 0)
        is_maker = raw.get("takerOrMaker") == "maker"
        return {
            "execID": str(raw["id"]), "orderID": str(raw["order"]), "symbol": self._symbol,
            "execType": "Trade", "side": str(raw["side"]).capitalize(), "lastQty": raw["amount"],
            "lastPx": raw["price"], "execComm": round(paid * worth * 10**8),
            "feeQty": paid, "feeCurrency": currency,
            "lastLiquidityInd": "AddedLiquidity" if is_maker else "RemovedLiquidity",
            "transactTime": self._iso(raw["timestamp"]), "timestamp": self._iso(raw["timestamp"]),
        }  # fmt: skip

    def _iso(self, time_ms: Any) -> str | None:
        text: str | None = self._exchange.iso8601(time_ms)
        return text

    def _call(self, method: str, *args: Any) -> Any:
        exchange = self._exchange
        with self._lock:  # its objects are not made for several threads
            exchange.last_response_headers = None
            try:
                return getattr(exchange, method)(*args)
            finally:
                headers = {k.lower(): v for k, v in (exchange.last_response_headers or {}).items()}
                self.on_answer(Answer(0, None, headers))

    def _read(self, method: str, *args: Any) -> Any:
        import ccxt

        try:
            return self._call(method, *args)
        except ccxt.OrderNotFound as error:
            raise _NotFound(404, words(error)) from None
        except ccxt.BaseError as error:
            if refuses_key(error):
                raise AuthenticationError(f"the exchange refuses the key: {words(error)}") from None
            raise ExchangeError(http_status(error), words(error)) from None

    def _act(self, method: str, *args: Any) -> Result:
        """What may be concluded from how an action ended."""
        import ccxt

        try:
            raw = self._call(method, *args)
        except ccxt.BaseError as error:
            if type(error) is ccxt.InvalidOrder:
                self._found, self._is_outdated = {}, True  # tick or lot may have changed
            return verdict(error, self._quirks.forbidden, self._quirks.refusals)
        order_id = str((raw or {}).get("id") or "")
        if method == "create_order" and not order_id:
            return Result(Status.UNKNOWN, {}, "an answer without the order's number")
        return Result(Status.OK, {"orderID": order_id} if method == "create_order" else {})


def open_connector(
    venue: str,
    symbol: str,
    key: Sequence[str],
    *,
    clock: Clock,
    prefix: str,
    base_url: str | None = None,
    inventory: float = 0.0,
    pace: Pace = PACE,
    timeout_s: float = 7.0,
) -> PolledConnector:
    """A connector to *venue*; *key* is key, secret and, where there is one, passphrase."""
    name, secret, password = [*key, "", "", ""][:3]
    exchange = new_exchange(venue, name, secret, password, timeout_s, base_url)
    return PolledConnector(
        CcxtVenue(exchange, symbol, prefix, inventory=inventory),
        symbol,
        clock=clock,
        pace=paced(pace, QUIRKS[venue]),
        account_key=hashlib.sha256(key[0].encode()).hexdigest()[:8] if key else "public",
    )


class _NotFound(ExchangeError):
    """The venue does not know the order."""


def _is_suspended(market: Mapping[str, Any]) -> bool:
    """What ccxt calls active whatever its venue says."""
    return (market.get("info") or {}).get("status") == "suspended"


def _step(market: Mapping[str, Any], name: str, exchange: Any) -> float:
    """The tick or lot: some exchanges give it as a number of decimals."""
    value = (market.get("precision") or {}).get(name)
    if value is None:
        return 1e-8
    is_step = exchange.precisionMode == 4  # ccxt's TICK_SIZE
    return float(value) if is_step else float(10 ** -Decimal(str(value)))
