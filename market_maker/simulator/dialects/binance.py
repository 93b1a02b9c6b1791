"""Binance spot's wire language over the engine, on Python objects: no bytes, no sockets.

Every request has one name, by which both REST and the WebSocket API reach it; signatures, times,
weights and errors are Binance's.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance_desk import BinanceError, OrderDesk, illegal, missing
from market_maker.simulator.dialects.binance_limits import RATE_LIMITS, Counts, Weights
from market_maker.simulator.dialects.binance_rows import CURRENCIES, Pair, balance_rows, ms
from market_maker.simulator.dialects.candles import candles
from market_maker.simulator.dialects.numbers import NotWhole, page, whole
from market_maker.simulator.exchange import Account, Engine

API = "/api/v3"
_AHEAD_MS = 1000
_WINDOW_MS, _LONGEST_MS = 5000, 60_000
_INTERVALS = {"1m": 60, "5m": 300, "1h": 3600, "1d": 86_400}

Params = Mapping[str, Any]


class Route(NamedTuple):
    """How a request is reached over REST, what it weighs, and who may send it."""

    verb: str
    path: str
    weight: int
    is_signed: bool = True
    orders: int = 0
    right: str = ""


class Read(NamedTuple):
    """The parameters of a call, and whose key signed it."""

    params: dict[str, str]
    account: Account | None


ROUTES = {
    "ping": Route("GET", "/ping", 1, is_signed=False),
    "time": Route("GET", "/time", 1, is_signed=False),
    "exchangeInfo": Route("GET", "/exchangeInfo", 20, is_signed=False),
    "depth": Route("GET", "/depth", 5, is_signed=False),
    "trades.recent": Route("GET", "/trades", 25, is_signed=False),
    "trades.aggregate": Route("GET", "/aggTrades", 2, is_signed=False),
    "klines": Route("GET", "/klines", 2, is_signed=False),
    "ticker.book": Route("GET", "/ticker/bookTicker", 2, is_signed=False),
    "ticker.price": Route("GET", "/ticker/price", 2, is_signed=False),
    "ticker.24hr": Route("GET", "/ticker/24hr", 2, is_signed=False),
    "account.status": Route("GET", "/account", 20),
    "order.place": Route("POST", "/order", 1, orders=1, right="order"),
    "order.cancel": Route("DELETE", "/order", 1, right="orderCancel"),
    "order.cancelReplace": Route("POST", "/order/cancelReplace", 1, orders=1, right="order"),
    "order.status": Route("GET", "/order", 4),
    "openOrders.status": Route("GET", "/openOrders", 6),
    "openOrders.cancelAll": Route("DELETE", "/openOrders", 1, right="orderCancel"),
    "allOrders": Route("GET", "/allOrders", 20),
    "myTrades": Route("GET", "/myTrades", 20),
}
NAMES = {(route.verb, route.path): name for name, route in ROUTES.items()}


def signature(secret: str, payload: str) -> str:
    return hmac.digest(secret.encode(), payload.encode(), "sha256").hex()


class BinanceApi:
    """Answers requests by name. Raises BinanceError where the answer is no."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        specs = [engine.instrument(symbol) for symbol in engine.symbols()]
        self.pairs = {spec.symbol: Pair.of(spec) for spec in specs if spec.is_spot}
        self.desk = OrderDesk(engine, self.pairs)
        self.weights = Weights()
        self.updates = dict.fromkeys(self.pairs, 1)  # symbol -> number of its book's last update
        public: dict[str, Callable[[Params], Any]] = {
            "ping": lambda _: {},
            "time": lambda _: {"serverTime": ms(engine.now())},
            "exchangeInfo": self._info,
            "depth": lambda p: self.depth(self.desk.pair(p), page(p, 100)),
            "trades.recent": self._trades,
            "trades.aggregate": self._aggregates,
            "klines": self._klines,
            "ticker.book": lambda p: self._each(p, self._touch),
            "ticker.price": lambda p: self._each(p, self._last),
            "ticker.24hr": lambda p: self._each(p, self._day),
        }
        private: dict[str, Callable[[Account, Params], Any]] = {
            "account.status": self._account,
            "order.place": self.desk.place,
            "order.cancel": self.desk.cancel,
            "order.cancelReplace": self.desk.cancel_replace,
            "openOrders.cancelAll": self.desk.cancel_all,
            "order.status": self._order,
            "openOrders.status": self._open_orders,
            "allOrders": self._all_orders,
            "myTrades": self._my_trades,
        }
        self._public, self._private = public, private

    # -- who asks what -------------------------------------------------------------------------

    def read(self, verb: str, path: str, query: str, body: str, key: str) -> Read:
        """A REST call; *query* and *body* are as they were sent. Raises BinanceError."""
        route = _route(verb, path)
        pairs = parse_qsl(f"{query}&{body}" if body else query, keep_blank_values=True)
        params, account = dict(pairs), None
        if route.is_signed:
            payload = _unsigned(query) + _unsigned(body)
            account = self.identify(key, params.get("signature", ""), payload, params)
        params.pop("signature", None)
        return Read(params, account)

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call of *account*; a signature that is still in it is verified."""
        params = dict(request.query or {})
        headers: dict[str, str] = {}
        try:
            name = NAMES.get((request.verb.upper(), request.path.removeprefix(API)))
            if name is None:
                raise _no_path(request.verb, request.path)
            route = ROUTES[name]
            signed = params.pop("signature", None)
            if signed is not None and account is not None:
                self.identify(account.key, str(signed), urlencode(params), params)
            who = account if route.is_signed else None
            if route.is_signed and who is None:
                raise BinanceError(-2014, "API-key format invalid.", 401)
            headers = self._charge(route, who).headers()
            return Answer(200, self.answer(name, who, params), headers)
        except BinanceError as error:
            told = refused(error)
            return told._replace(headers={**headers, **told.headers})
        except NotWhole as wrong:
            return refused(illegal(wrong.name, "^[0-9]{1,20}$"))._replace(headers=headers)

    def identify_frame(self, params: Params) -> Account:
        """Whose key signed the parameters of a frame."""
        signed = str(params.get("signature") or "")
        rest = {name: value for name, value in params.items() if name != "signature"}
        payload = "&".join(f"{name}={_word(rest[name])}" for name in sorted(rest))
        return self.identify(str(params.get("apiKey") or ""), signed, payload, params)

    def identify(self, key: str, signed: str, payload: str, params: Params) -> Account:
        """The account of a key whose signature is right and in time."""
        if not key:
            raise BinanceError(-2014, "API-key format invalid.", 401)
        account = self.engine.account_by_key(key)
        if account is None or not account.is_enabled:
            text = "Invalid API-key, IP, or permissions for action."
            raise BinanceError(-2015, text, 401)
        self._check_time(params)
        if not signed:
            raise missing("signature")
        expected = signature(account.secret, payload)
        if not hmac.compare_digest(expected.encode(), signed.encode()):
            raise BinanceError(-1022, "Signature for this request is not valid.")
        return account

    def _check_time(self, params: Params) -> None:
        try:
            stamp = int(str(params.get("timestamp")))
            window = float(str(params.get("recvWindow") or _WINDOW_MS))
        except ValueError:
            raise missing("timestamp") from None
        if window > _LONGEST_MS:
            raise BinanceError(-1131, "recvWindow must be less than 60000.")
        now = (self.engine.now() + self.engine.skew_s) * 1000
        if stamp >= now + _AHEAD_MS:
            text = "Timestamp for this request was 1000ms ahead of the server's time."
            raise BinanceError(-1021, text)
        if now - stamp > window:
            raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _charge(self, route: Route, account: Account | None) -> Counts:
        number = account.number if account else None
        client = f"account {number}" if number else "public"
        return self.weights.charge(client, route.weight, number, route.orders, self.engine.now())

    def answer(self, name: str, account: Account | None, params: Params) -> Any:
        """The result of a request of *account*."""
        if account is None:
            return self._public[name](params)
        right = ROUTES[name].right
        if right and not account.permissions & {"order", right}:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self._private[name](account, params)

    # -- public --------------------------------------------------------------------------------

    def _info(self, params: Params) -> Row:
        chosen = [self.desk.pair(params)] if params.get("symbol") else list(self.pairs.values())
        states = {p.symbol: self.engine.instrument_row(p.symbol)["state"] for p in chosen}
        return {
            "timezone": "UTC", "serverTime": ms(self.engine.now()), "rateLimits": RATE_LIMITS,
            "exchangeFilters": [],
            "symbols": [self.fresh(p.symbol).symbol_row(states[p.symbol]) for p in chosen],
        }  # fmt: skip

    def fresh(self, symbol: str) -> Pair:
        """The pair as the engine has it now: its tick and lot may have changed."""
        spec = self.engine.instrument(symbol)
        if spec is not self.pairs[symbol].spec:
            self.pairs[symbol] = Pair.of(spec)
        return self.pairs[symbol]

    def depth(self, pair: Pair, limit: int) -> Row:
        bids, asks = self.engine.book(pair.symbol, min(limit, 5000))
        sides = {
            name: [[pair.px(level.price_ticks), pair.qty(level.size)] for level in levels]
            for name, levels in (("bids", bids), ("asks", asks))
        }
        return {"lastUpdateId": self.updates[pair.symbol], **sides}

    def _trades(self, params: Params) -> list[Row]:
        pair, limit = self.desk.pair(params), page(params, 500)
        recent = list(self.engine.trades(pair.symbol))[-limit:]
        return [pair.public_trade(trade) for trade in recent]

    def _aggregates(self, params: Params) -> list[Row]:
        """Each print by itself: none of ours are put together."""
        return [
            {
                "a": row["id"], "p": row["price"], "q": row["qty"], "f": row["id"], "l": row["id"],
                "T": row["time"], "m": row["isBuyerMaker"], "M": True,
            }
            for row in self._trades(params)
        ]  # fmt: skip

    def _klines(self, params: Params) -> list[list[Any]]:
        pair, bin_s = self.desk.pair(params), _INTERVALS.get(str(params.get("interval")))
        if bin_s is None:
            raise BinanceError(-1120, "Invalid interval.")
        found = candles(self.engine, pair.symbol, bin_s, params)
        return [pair.kline(start_ms, bin_s, row) for start_ms, _, row in found]

    def _each(self, params: Params, row: Callable[[Pair], Row]) -> Any:
        """One row for the symbol asked for, or a list of all."""
        if params.get("symbol"):
            return row(self.desk.pair(params))
        return [row(pair) for pair in self.pairs.values()]

    def _touch(self, pair: Pair) -> Row:
        return pair.ticker_row(self.engine.quote(pair.symbol))

    def _last(self, pair: Pair) -> Row:
        price = self.engine.instrument_row(pair.symbol)["lastPrice"]
        return {"symbol": pair.symbol, "price": pair.px(pair.grid.nearest(price))}

    def _day(self, pair: Pair) -> Row:
        row, touch = self.engine.instrument_row(pair.symbol), self._touch(pair)
        now, last = ms(self.engine.now()), row["lastPrice"]
        return {
            **touch, "lastPrice": str(last), "openPrice": str(row["prevPrice24h"]),
            "highPrice": str(row["highPrice"]), "lowPrice": str(row["lowPrice"]),
            "volume": pair.qty(row["volume24h"] or 0), "quoteVolume": "0", "lastQty": "0",
            "priceChange": str(round(last - row["prevPrice24h"], 8)), "priceChangePercent": "0",
            "weightedAvgPrice": str(row["vwap"] or last), "prevClosePrice": str(last),
            "openTime": now - 86_400_000, "closeTime": now, "firstId": 0, "lastId": 0, "count": 0,
        }  # fmt: skip

    # -- private -------------------------------------------------------------------------------

    def balances(self, account_no: int, is_event: bool = False) -> list[Row]:
        rows = [self.engine.margin_row(account_no, currency) for currency in CURRENCIES]
        return balance_rows(rows, is_event)

    def _account(self, account: Account, _: Params) -> Row:
        symbol = next(iter(self.pairs))
        maker, taker, *_rest = self.engine.fees(account.number, symbol)
        return {
            "makerCommission": round(maker * 10_000), "takerCommission": round(taker * 10_000),
            "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": {
                "maker": f"{maker:.8f}", "taker": f"{taker:.8f}", "buyer": "0.00000000",
                "seller": "0.00000000",
            },
            "canTrade": "order" in account.permissions, "canDeposit": True,
            "canWithdraw": "withdraw" in account.permissions, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False,
            "updateTime": ms(self.engine.now()), "accountType": "SPOT",
            "balances": self.balances(account.number), "permissions": ["SPOT"],
            "uid": account.number,
        }  # fmt: skip

    def _order(self, account: Account, params: Params) -> Row:
        order = self.desk.find(account, params)
        if order is None:
            raise BinanceError(-2013, "Order does not exist.")
        return self.pairs[order.symbol].queried_row(order, self.desk.number(order))

    def _orders(self, account: Account, params: Params) -> list[Row]:
        wanted = {self.desk.pair(params).symbol} if params.get("symbol") else set(self.pairs)
        return [
            self.pairs[order.symbol].queried_row(order, self.desk.number(order))
            for order in self.engine.orders(account.number)
            if order.symbol in wanted
        ]

    def _open_orders(self, account: Account, params: Params) -> list[Row]:
        return [row for row in self._orders(account, params) if row["isWorking"]]

    def _all_orders(self, account: Account, params: Params) -> list[Row]:
        self.desk.pair(params)
        return self._orders(account, params)[-page(params, 500) :]

    def _my_trades(self, account: Account, params: Params) -> list[Row]:
        pair, limit = self.desk.pair(params), page(params, 500)
        found = [
            pair.trade_row(event, event.fill, self.desk.number(event.order))
            for event in self.engine.executions(account.number)
            if event.fill and event.exec_type == "Trade" and event.order.symbol == pair.symbol
        ]
        if params.get("orderId"):
            found = [row for row in found if str(row["orderId"]) == str(params["orderId"])]
        if params.get("startTime"):
            found = [row for row in found if row["time"] >= whole(params, "startTime")]
        if params.get("fromId"):
            found = [row for row in found if row["id"] >= whole(params, "fromId")]
        has_start = params.get("startTime") or params.get("fromId")
        return found[:limit] if has_start else found[-limit:]


def _word(value: Any) -> str:
    """A value of a frame as it is signed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unsigned(text: str) -> str:
    """What was signed of a query or a body: all but the signature."""
    return "&".join(pair for pair in text.split("&") if not pair.startswith("signature="))


def refused(error: BinanceError) -> Answer:
    """An error as an answer; one that asks to wait says how long."""
    if not error.data or "retryAfter" not in error.data:
        return Answer(error.status, error.body, {})
    wait_ms: int = error.data["retryAfter"] - error.data["serverTime"]
    headers = {"retry-after": str(max(1, -(-wait_ms // 1000)))}
    return Answer(error.status, error.body, headers)


def _route(verb: str, path: str) -> Route:
    name = NAMES.get((verb.upper(), path.removeprefix(API)))
    if name is None or not path.startswith(f"{API}/"):
        raise _no_path(verb, path)
    return ROUTES[name]


def _no_path(verb: str, path: str) -> BinanceError:
    return BinanceError(-1000, f"Path {path}, Method {verb} is invalid", 404)
