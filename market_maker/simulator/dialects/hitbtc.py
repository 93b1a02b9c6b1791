"""HitBTC v3's wire language over the engine, on Python objects: no bytes, no sockets.

What is played: spot; REST and the public and trading sockets. HitBTC has no dead man's switch.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.candles import candles
from market_maker.simulator.dialects.hitbtc_desk import (
    HitbtcError,
    OrderDesk,
    not_found,
    validation,
)
from market_maker.simulator.dialects.hitbtc_rows import (
    SYMBOLS,
    Spot,
    balance_row,
    currency_rows,
    error_body,
    is_dead,
    number_of,
    report_type,
)
from market_maker.simulator.dialects.numbers import NotWhole, page, whole
from market_maker.simulator.events import Order
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.instruments import iso_time

API = "/api/3"
_WINDOW_MS = 10_000
_LONGEST_WINDOW_MS = 60_000
_PAGE = 100
_PERIODS = {"M1": 60, "M5": 300, "H1": 3600, "D1": 86_400}

Params = Mapping[str, Any]


def signature(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def unauthorized(description: str) -> HitbtcError:
    message = "Authorization is required or has been failed"
    return HitbtcError(1002, message, description, 401)


class HitbtcRest:
    """Answers REST calls: rows as they are, or `{"error": {code, message, description}}`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        found = [engine.instrument(symbol) for symbol in SYMBOLS if symbol in engine.symbols()]
        self.spots = {SYMBOLS[spec.symbol]: Spot.of(spec) for spec in found}
        self.by_symbol = {spot.spec.symbol: spot for spot in self.spots.values()}
        self.desk = OrderDesk(engine, self.spots)
        self._public: dict[str, Callable[[Spot, Params], Any]] = {
            "symbol": lambda spot, _: self._symbol(self.fresh(spot.spec.symbol) or spot),
            "ticker": lambda spot, _: self.ticker(spot),
            "orderbook": lambda spot, p: self.book(spot, whole(p, "depth", _PAGE)),
            "trades": self._trades,
            "candles": self._candles,
        }

    def fresh(self, symbol: str) -> Spot | None:
        """The spot of an engine's symbol as it is now: its tick and lot may have changed."""
        spot = self.by_symbol.get(symbol)
        if spot is None or self.engine.instrument(symbol) is spot.spec:
            return spot
        spot = self.spots[spot.name] = self.by_symbol[symbol] = Spot.of(
            self.engine.instrument(symbol)
        )
        return spot

    # -- who asks ------------------------------------------------------------------------------

    def identify(
        self, headers: Mapping[str, str], verb: str, target: str, body: str
    ) -> Account | None:
        """Whose key signed the call; None for a call without one. Raises HitbtcError."""
        kind, _, told = headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        try:
            parts = base64.b64decode(told, validate=True).decode().split(":")
        except (binascii.Error, UnicodeDecodeError):
            raise unauthorized("invalid authorization header") from None
        if kind == "Basic" and len(parts) == 2:
            return self._with_secret(*parts)
        if kind != "HS256" or len(parts) not in (3, 4):
            raise unauthorized("unsupported authorization method")
        key, signed, timestamp, *window = parts
        text = f"{verb}{target}{body}{timestamp}{''.join(window)}"
        return self.check(key, signed, timestamp, "".join(window), text)

    def key_of(self, headers: Mapping[str, str]) -> str:
        """The key that a call names, its signature unseen."""
        told = headers.get("authorization", "").partition(" ")[2]
        try:
            return base64.b64decode(told, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def check(self, key: str, signed: str, timestamp: str, window: str, text: str) -> Account:
        """The account of a key that signed *text* in time. Raises HitbtcError."""
        account = self.engine.account_by_key(key)
        if account is None or not account.is_enabled:
            raise unauthorized("invalid API key")
        if not hmac.compare_digest(signature(account.secret, text).encode(), signed.encode()):
            raise unauthorized("invalid signature")
        try:
            now_ms = (self.engine.now() + self.engine.skew_s) * 1000
            age_ms = abs(now_ms - float(timestamp))
            allowed_ms = min(_LONGEST_WINDOW_MS, float(window or _WINDOW_MS))
        except ValueError:
            raise unauthorized("invalid timestamp") from None
        if age_ms > allowed_ms:
            raise unauthorized("timestamp is out of the window")
        return account

    def _with_secret(self, key: str, secret: str) -> Account:
        account = self.engine.account_by_key(key)
        if account is None or not account.is_enabled:
            raise unauthorized("invalid API key")
        if not hmac.compare_digest(account.secret.encode(), secret.encode()):
            raise unauthorized("invalid API key")
        return account

    # -- answers -------------------------------------------------------------------------------

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call below /api/3; *account* is whose key signed it."""
        try:
            return Answer(200, self._answer(request, account), {})
        except HitbtcError as error:
            return Answer(error.status, error_body(error), {})
        except NotWhole as wrong:
            return Answer(400, error_body(validation(str(wrong))), {})

    def _answer(self, request: Request, account: Account | None) -> Any:
        area, _, rest = request.path.strip("/").partition("/")
        params = {**(request.query or {}), **_object(request.body)}
        if area == "public" and request.verb.upper() == "GET":
            return self._market(rest, params)
        if area == "spot":
            return self._spot(request.verb.upper(), rest, params, account)
        raise HitbtcError(404, "Not found", status=404)

    def _market(self, path: str, params: Params) -> Any:
        what, _, name = path.partition("/")
        if path == "currency":
            return currency_rows()
        read = self._public.get(what)
        if read is None:
            raise HitbtcError(404, "Not found", status=404)
        if name:
            return read(self.desk.spot({"symbol": name}), params)
        asked = str(params.get("symbols") or "")
        names = asked.split(",") if asked else list(self.spots)
        return {name: read(self.desk.spot({"symbol": name}), params) for name in names}

    def _spot(self, verb: str, path: str, params: Row, account: Account | None) -> Any:
        who = _known(account)
        what, _, name = path.partition("/")
        if path == "balance":
            return self.balances(who)
        if what == "fee":
            return self._fee(who, self.desk.spot({"symbol": name})) if name else self._fees(who)
        if what == "history" and verb == "GET":
            return self._orders_past(who, params) if name == "order" else self._fills(who, params)
        if what != "order":
            raise HitbtcError(404, "Not found", status=404)
        if verb == "GET":
            return self._order(who, name) if name else self.open_orders(who, params)
        if name:
            params["client_order_id"] = name
        if verb == "DELETE" and not name:
            return self.act(who, "cancel_all", params)
        deed = {"POST": "place", "PATCH": "replace", "DELETE": "cancel"}.get(verb)
        if deed is None:
            raise HitbtcError(404, "Not found", status=404)
        return self.act(who, deed, params)

    def act(self, account: Account, deed: str, params: Params) -> Any:
        """Do something to orders: the report, or the reports. Raises HitbtcError."""
        allowed = {"order", "orderCancel"} if deed.startswith("cancel") else {"order"}
        if not account.permissions & allowed:
            raise HitbtcError(1003, "Action is forbidden for this API key", status=403)
        self.desk.count(account)
        done = getattr(self.desk, deed)(account, params)
        if isinstance(done, list):
            return [self.report(order) for order in done]
        row = self.report(done)
        if deed == "replace":
            row |= {
                "report_type": "replaced",
                "original_client_order_id": params.get("client_order_id"),
            }
        return row

    # -- public --------------------------------------------------------------------------------

    def _symbol(self, spot: Spot) -> Row:
        return spot.symbol_row(self.engine.instrument_row(spot.spec.symbol)["state"])

    def ticker(self, spot: Spot) -> Row:
        quote, row = (
            self.engine.quote(spot.spec.symbol),
            self.engine.instrument_row(spot.spec.symbol),
        )
        return {
            "ask": spot.px(quote.ask_ticks), "bid": spot.px(quote.bid_ticks),
            "last": str(row["lastPrice"]), "low": str(row["lowPrice"]),
            "high": str(row["highPrice"]), "open": str(row["prevPrice24h"]),
            "volume": str(row["homeNotional24h"]), "volume_quote": str(row["foreignNotional24h"]),
            "timestamp": iso_time(self.engine.now()),
        }  # fmt: skip

    def book(self, spot: Spot, depth: int) -> Row:
        bids, asks = self.engine.book(spot.spec.symbol, depth)
        levels = {
            name: [[spot.px(level.price_ticks), spot.quantity(level.size)] for level in side]
            for name, side in (("ask", asks), ("bid", bids))
        }
        return {"timestamp": iso_time(self.engine.now()), **levels}

    def _trades(self, spot: Spot, params: Params) -> list[Row]:
        recent = list(self.engine.trades(spot.spec.symbol))[-page(params, 10) :]
        return [
            {
                "id": number_of(trade.match_id), "price": spot.px(trade.price_ticks),
                "qty": spot.quantity(trade.qty), "side": trade.side.lower(),
                "timestamp": iso_time(trade.time_s),
            }
            for trade in reversed(recent)
        ]  # fmt: skip

    def _candles(self, spot: Spot, params: Params) -> list[Row]:
        period = _PERIODS.get(str(params.get("period") or "M30"))
        if period is None:
            raise HitbtcError(10001, "Validation error", "the period is not played here")
        found = [
            {
                "timestamp": iso_time(start_ms / 1000), "open": str(row["open"]),
                "close": str(row["close"]), "min": str(row["low"]), "max": str(row["high"]),
                "volume": spot.quantity(row["volume"]),
                "volume_quote": str(row["foreignNotional"]),
            }
            for start_ms, _, row in candles(self.engine, spot.spec.symbol, period, params)
        ]  # fmt: skip
        return found if params.get("sort") == "ASC" else found[::-1]

    # -- private -------------------------------------------------------------------------------

    def balances(self, account: Account) -> list[Row]:
        currencies = self.engine.currencies(account.number)
        return [balance_row(self.engine.margin_row(account.number, c)) for c in currencies]

    def _fees(self, account: Account) -> list[Row]:
        return [self._fee(account, spot) for spot in self.spots.values()]

    def _fee(self, account: Account, spot: Spot) -> Row:
        maker, taker, *_ = self.engine.fees(account.number, spot.spec.symbol)
        return {"symbol": spot.name, "take_rate": str(taker), "make_rate": str(maker)}

    def report(self, order: Order) -> Row:
        row = self.order(order)
        return {**row, "report_type": report_type(row)}

    def order(self, order: Order) -> Row:
        spot = self.by_symbol[order.symbol]
        return spot.order_row(order, self.desk.number(order), self.desk.born_s(order))

    def open_orders(self, account: Account, params: Params) -> list[Row]:
        wanted = self._wanted(params)
        return [
            self.order(order)
            for order in self.engine.orders(account.number)
            if not is_dead(order) and order.symbol in wanted
        ]

    def _order(self, account: Account, name: str) -> Row:
        order = self.desk.find(account, name)
        if order is None or is_dead(order):
            raise not_found()
        return self.order(order)

    def _orders_past(self, account: Account, params: Params) -> list[Row]:
        wanted, name = self._wanted(params), params.get("client_order_id")
        found = [
            self.order(order)
            for order in reversed(self.engine.orders(account.number))
            if order.symbol in wanted and name in (None, order.cl_ord_id)
        ]
        return found[: page(params, _PAGE)]

    def _fills(self, account: Account, params: Params) -> list[Row]:
        wanted, rows = self._wanted(params), []
        for event in reversed(self.engine.executions(account.number)):
            fill, order = event.fill, event.order
            if fill is None or event.exec_type != "Trade" or order.symbol not in wanted:
                continue
            spot = wanted[order.symbol]
            rows.append({
                "id": number_of(fill.match_id), "order_id": self.desk.number(order),
                "client_order_id": order.cl_ord_id, "symbol": spot.name,
                "side": order.side.lower(), "quantity": spot.quantity(fill.qty),
                "price": spot.px(fill.price_ticks), "fee": spot.fee(fill),
                "timestamp": iso_time(event.time_s), "taker": not fill.is_maker,
            })  # fmt: skip
        first = whole(params, "offset", 0)
        return rows[first : first + page(params, _PAGE)]

    def _wanted(self, params: Params) -> dict[str, Spot]:
        if not params.get("symbol"):
            return self.by_symbol
        spot = self.desk.spot(params)
        return {spot.spec.symbol: spot}


def _known(account: Account | None) -> Account:
    if account is None:
        raise HitbtcError(1001, "Authorization required", status=401)
    return account


def _object(body: Any) -> Params:
    if body in (None, ""):
        return {}
    if not isinstance(body, Mapping):
        raise HitbtcError(10001, "Validation error", "the body is no object")
    return body
