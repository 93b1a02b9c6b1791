"""HTX, Kraken and Bybit as far as ccxt's classes of them are driven: signatures, fields, errors.

Each translates between its own REST calls and the Binance dialect's, so that one spot exchange,
with all its faults, stands behind them. Facts: EXCHANGES' vectors (HTX), the venues' documents as
ccxt's classes quote them. They judge only that class and our driving of it, not the venue.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance import API
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.tongue import Call

SYMBOL, BASE, QUOTE = "BTCUSDT", "BTC", "USDT"
Params = Mapping[str, Any]
Shape = Callable[[Any], Any]


class Refused(Exception):
    """The venue's own refusal: what it answers, and the HTTP status."""

    def __init__(self, body: Any, status: int = 200) -> None:
        super().__init__(body)
        self.answer = Answer(status, body, {})


class Asked(NamedTuple):
    """A call in the Binance dialect's words, and how its answer reads in the venue's."""

    request: Request
    shape: Shape
    account: Account | None = None


def asked(verb: str, path: str, shape: Shape, **query: Any) -> Asked:
    return Asked(Request(verb, API + path, {"symbol": SYMBOL, **query}), shape)


class Tongue:
    """What the three have in common."""

    PAGE = 100  # fills in one answer
    takes_and_cancels = True  # a post-only order that would take; else it is refused

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ghosts: dict[str, dict[str, Any]] = {}  # post-only orders that would have taken
        self._stamps: dict[str, int] = {}

    def keys(self, account: Account) -> tuple[str, str]:
        return account.key, account.secret

    def read(self, call: Call) -> Asked:
        """Raises Refused where the key or the signature is wrong."""
        path = call.path.strip("/")
        query = dict(parse_qsl(call.query_text, keep_blank_values=True))
        account, params = None, query
        if self.is_private(path):
            account, params = self.identify(call, path, query)
        return self.route(path, params)._replace(account=account)

    def is_private(self, path: str) -> bool:
        raise NotImplementedError

    def identify(self, call: Call, path: str, query: Params) -> tuple[Account, Params]:
        raise NotImplementedError

    def route(self, path: str, p: Params) -> Asked:
        raise NotImplementedError

    def refusal(self, code: int, text: str) -> Any:
        """The venue's answer for one of Binance's codes."""
        raise NotImplementedError

    def account(self, key: str, secret_signs: Callable[[bytes], str], signed: str) -> Account:
        found = self.engine.account_by_key(key)
        secret = self.keys(found)[1] if found else ""
        good = found is not None and hmac.compare_digest(secret_signs(secret.encode()), signed)
        if found is None or not good:
            raise Refused(self.refusal(-2015, "Invalid API-key, IP, or permissions for action."))
        return found

    def now_ms(self) -> float:
        return (self.engine.now() + self.engine.skew_s) * 1000

    def place(self, p: Params, order_id: Shape) -> Asked:
        """A limit order from `side`, `price`, `qty`, `maker`, `lifetime` and `name`."""
        lifetime = p["lifetime"] if p["lifetime"] in ("IOC", "FOK") else "GTC"
        kind = {"type": "LIMIT_MAKER"} if p["maker"] else {"type": "LIMIT", "timeInForce": lifetime}
        name = {"newClientOrderId": p["name"]} if p.get("name") else {}
        return asked(
            "POST", "/order", lambda row: order_id(row["orderId"]), side=p["side"].upper(),
            quantity=p["qty"], price=p["price"], **kind, **name,
        )  # fmt: skip

    def ghost(self, request: Request) -> str:
        """Takes a post-only order and cancels it at once, as some do with one that would take."""
        query = dict(request.query or {})
        number = f"9{len(self.ghosts):08d}"
        now = round(self.now_ms())
        self.ghosts[number] = {
            "orderId": number, "clientOrderId": query.get("newClientOrderId", ""),
            "symbol": SYMBOL, "side": query["side"], "price": query["price"],
            "origQty": query["quantity"], "executedQty": "0", "cummulativeQuoteQty": "0",
            "status": "CANCELED", "time": now, "updateTime": now,
        }  # fmt: skip
        return number


def page(rows: list[Any], p: Params, names: tuple[str, str], most: int) -> list[Any]:
    """The newest of the fills between two times, newest first."""
    first, last = float(p.get(names[0]) or 0), float(p.get(names[1]) or "inf")
    return [row for row in reversed(rows) if first <= row["time"] <= last][:most]


def places(step: str) -> int:
    exponent = Decimal(step).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def filters(row: Params) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in row["symbols"][0]["filters"]:
        found |= each
    return found | {"open": row["symbols"][0]["status"] == "TRADING"}


class Kraken(Tongue):
    """No client ids of ours; refuses a post-only order that would take; fees in the quote."""

    PAGE = 50
    takes_and_cancels = False

    def keys(self, account: Account) -> tuple[str, str]:
        return account.key, base64.b64encode(account.secret.encode()).decode()

    def is_private(self, path: str) -> bool:
        return "/private/" in f"/{path}"

    def identify(self, call: Call, path: str, query: Params) -> tuple[Account, Params]:
        body = call.body.decode()
        params = dict(parse_qsl(body, keep_blank_values=True))
        digest = f"/{path}".encode() + hashlib.sha256((params["nonce"] + body).encode()).digest()

        def signed(secret: bytes) -> str:
            mac = hmac.digest(base64.b64decode(secret), digest, "sha512")
            return base64.b64encode(mac).decode()

        key = call.headers["api-key"]
        account = self.account(key, signed, call.headers["api-sign"])
        if int(params["nonce"]) <= self._stamps.get(key, 0):
            raise Refused({"error": ["EAPI:Invalid nonce"]})
        self._stamps[key] = int(params["nonce"])
        return account, params

    def refusal(self, code: int, text: str) -> Any:
        word = {
            -2015: "EAPI:Invalid key", -2010: "EOrder:Insufficient funds",
            -2011: "EOrder:Unknown order", -2013: "EOrder:Unknown order",
            -1013: "EGeneral:Invalid arguments:price", -1003: "EAPI:Rate limit exceeded",
            -1015: "EOrder:Rate limit exceeded", -1000: "EGeneral:Internal error",
            -1008: "EService:Busy",
        }.get(code, f"EGeneral:{text}")  # fmt: skip
        return {"error": ["EOrder:Post only order" if "immediately" in text else word]}

    def route(self, path: str, p: Params) -> Asked:
        name = path.rsplit("/", 1)[1]
        number = str(p.get("txid") or "")[1:]

        def said(shape: Shape) -> Shape:
            return lambda row: {"error": [], "result": shape(row)}

        match name:
            case "AssetPairs":
                return asked("GET", "/exchangeInfo", said(self._pairs))
            case "Depth":
                return asked("GET", "/depth", said(lambda row: {SYMBOL: {
                    side: [[*level, 1] for level in row[side]] for side in ("bids", "asks")
                }}))  # fmt: skip
            case "Trades":
                return asked("GET", "/trades", said(lambda rows: {"last": "1", SYMBOL: [
                    [r["price"], r["qty"], r["time"] / 1000, "s" if r["isBuyerMaker"] else "b",
                     "l", "", r["id"]] for r in rows
                ]}))  # fmt: skip
            case "OHLC":
                size = {"1": "1m", "5": "5m", "60": "1h", "1440": "1d"}[p["interval"]]
                return asked("GET", "/klines", said(lambda rows: {"last": 1, SYMBOL: [
                    [r[0] // 1000, *r[1:5], "0", r[5], r[8]] for r in rows
                ]}), interval=size, limit=720)  # fmt: skip
            case "BalanceEx":
                return asked("GET", "/account", said(self._balances))
            case "AddOrder":
                assert "cl_ord_id" not in p
                wanted = {
                    "side": p["type"], "qty": p["volume"], "price": p["price"],
                    "maker": "post" in p.get("oflags", ""), "lifetime": p.get("timeinforce"),
                }  # fmt: skip
                words = f"{p['type']} {p['volume']} {SYMBOL} @ limit {p['price']}"
                return self.place(
                    wanted, said(lambda no: {"descr": {"order": words}, "txid": [f"O{no}"]})
                )
            case "CancelOrder":
                return asked("DELETE", "/order", said(lambda _: {"count": 1}), orderId=number)
            case "OpenOrders":
                return asked("GET", "/openOrders", said(lambda rows: {
                    "open": {f"O{row['orderId']}": self._order(row) for row in rows}
                }))  # fmt: skip
            case "TradesHistory":
                times = {n: float(p[n]) * 1000 for n in ("start", "end") if n in p}
                return asked("GET", "/myTrades", said(lambda rows: {"trades": {
                    f"T{row['id']}": self._fill(row)
                    for row in page(rows, times, ("start", "end"), self.PAGE)
                }}), limit=1000)  # fmt: skip
        raise Refused({"error": ["EGeneral:Unknown method"]}, 404)

    def _pairs(self, row: Any) -> Any:
        rules = filters(row)
        return {SYMBOL: {
            "altname": SYMBOL, "wsname": "XBT/USDT", "base": "XXBT", "quote": QUOTE,
            "pair_decimals": places(rules["tickSize"]), "lot_decimals": places(rules["stepSize"]),
            "ordermin": rules["minQty"], "costmin": rules["minNotional"],
            "tick_size": rules["tickSize"], "fees": [[0, 0.1]], "fees_maker": [[0, 0.1]],
            "leverage_buy": [], "status": "online" if rules["open"] else "cancel_only",
        }}  # fmt: skip

    def _balances(self, row: Any) -> Any:
        held = {each["asset"]: each for each in row["balances"]}
        return {
            name: {
                "balance": str(Decimal(held[asset]["free"]) + Decimal(held[asset]["locked"])),
                "hold_trade": held[asset]["locked"],
            }
            for name, asset in (("XXBT", BASE), (QUOTE, QUOTE))
        }

    def _order(self, row: Params) -> Any:
        return {
            "status": "open", "opentm": row["time"] / 1000, "vol": row["origQty"],
            "vol_exec": row["executedQty"], "cost": row["cummulativeQuoteQty"], "fee": "0",
            "price": "0", "oflags": "fciq,post", "descr": {
                "pair": SYMBOL, "type": row["side"].lower(), "ordertype": "limit",
                "price": row["price"],
            },
        }  # fmt: skip

    def _fill(self, row: Params) -> Any:
        fee = Decimal(row["commission"])
        in_quote = fee * Decimal(row["price"]) if row["commissionAsset"] == BASE else fee
        return {
            "ordertxid": f"O{row['orderId']}", "pair": SYMBOL, "time": row["time"] / 1000,
            "type": "buy" if row["isBuyer"] else "sell", "ordertype": "limit",
            "price": row["price"], "vol": row["qty"], "cost": row["quoteQty"],
            "fee": str(in_quote), "maker": row["isMaker"],
        }  # fmt: skip


class Bybit(Tongue):
    """Client ids; takes a post-only order that would take, and cancels it; 100 fills a page."""

    PAGE = 100
    STATES = {
        "NEW": "New", "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled",
        "CANCELED": "Cancelled", "EXPIRED": "Cancelled",
    }  # fmt: skip

    def is_private(self, path: str) -> bool:
        return "/market/" not in path

    def identify(self, call: Call, path: str, query: Params) -> tuple[Account, Params]:
        body, head = call.body.decode(), call.headers
        payload = body if call.verb == "POST" else call.query_text
        stamp, window = head["x-bapi-timestamp"], head["x-bapi-recv-window"]
        text = f"{stamp}{head['x-bapi-api-key']}{window}{payload}"
        account = self.account(
            head["x-bapi-api-key"],
            lambda secret: hmac.digest(secret, text.encode(), "sha256").hex(),
            head["x-bapi-sign"],
        )
        if not -1000 < self.now_ms() - int(stamp) <= int(window):
            raise Refused({"retCode": 10002, "retMsg": "invalid request, check your timestamp"})
        return account, json.loads(body) if body else query

    def refusal(self, code: int, text: str) -> Any:
        known = {
            -2015: 10003, -2010: 170131, -2011: 170213, -2013: 170213, -1013: 170134,
            -1003: 10006, -1015: 10006, -1000: 10016, -1008: 10016,
        }  # fmt: skip
        return {"retCode": known.get(code, 10001), "retMsg": text, "result": {}}

    def route(self, path: str, p: Params) -> Asked:
        if p.get("category", "spot") != "spot":
            raise AssertionError(f"asked for {p['category']}")

        def said(shape: Shape) -> Shape:
            return lambda row: {"retCode": 0, "retMsg": "OK", "result": shape(row)}

        def listed(shape: Shape) -> Shape:
            return said(lambda row: {"list": shape(row), "category": "spot"})

        match path.removeprefix("v5/"):
            case "market/instruments-info":
                return asked("GET", "/exchangeInfo", listed(self._markets))
            case "market/orderbook":
                return asked("GET", "/depth", said(lambda row: {
                    "s": SYMBOL, "b": row["bids"], "a": row["asks"], "ts": round(self.now_ms()),
                }))  # fmt: skip
            case "market/recent-trade":
                return asked("GET", "/trades", listed(lambda rows: [
                    {"execId": str(r["id"]), "symbol": SYMBOL, "price": r["price"],
                     "size": r["qty"], "side": "Sell" if r["isBuyerMaker"] else "Buy",
                     "time": str(r["time"])} for r in reversed(rows)
                ]), limit=min(60, int(p.get("limit", 60))))  # fmt: skip
            case "market/kline":
                size = {"1": "1m", "5": "5m", "60": "1h", "D": "1d"}[p["interval"]]
                return asked("GET", "/klines", listed(lambda rows: [
                    [str(value) for value in (*r[:6], r[7])] for r in reversed(rows)
                ]), interval=size, limit=p.get("limit", 200))  # fmt: skip
            case "account/wallet-balance":
                assert p["accountType"] == "UNIFIED"
                return asked("GET", "/account", listed(lambda row: [{
                    "accountType": "UNIFIED", "coin": [
                    {"coin": each["asset"], "locked": each["locked"],
                     "walletBalance": str(Decimal(each["free"]) + Decimal(each["locked"]))}
                    for each in row["balances"]
                ]}]))  # fmt: skip
            case "order/create":
                wanted = {
                    "side": p["side"], "qty": p["qty"], "price": p["price"],
                    "maker": p["timeInForce"] == "PostOnly", "lifetime": p["timeInForce"],
                    "name": p["orderLinkId"],
                }  # fmt: skip
                return self.place(wanted, said(lambda no: {"orderId": str(no)}))
            case "order/cancel":
                told = said(lambda _: {"orderId": p["orderId"]})
                return asked("DELETE", "/order", told, orderId=p["orderId"])
            case "order/realtime":
                return self._realtime(p, listed)
            case "execution/list":
                if not 1 <= int(p.get("limit", 50)) <= self.PAGE:
                    raise Refused({"retCode": 10001, "retMsg": "params error: limit invalid"})
                return asked("GET", "/myTrades", listed(lambda rows: [
                    self._fill(row)
                    for row in page(rows, p, ("startTime", "endTime"), int(p.get("limit", 50)))
                ]), limit=1000)  # fmt: skip
        # such as user/query-api, for which a key that may only trade has no right
        raise Refused({"retCode": 10005, "retMsg": "Permission denied, please check your API key"})

    def _realtime(self, p: Params, listed: Callable[[Shape], Shape]) -> Asked:
        if not p.get("orderId") and not p.get("orderLinkId"):
            first, most = int(p.get("cursor") or 0), min(50, int(p.get("limit", 20)))

            def page_of(rows: list[Any]) -> Any:
                return {
                    "list": list(map(self._order, rows[::-1][first : first + most])),
                    "nextPageCursor": str(first + most) if first + most < len(rows) else "",
                }

            return asked(
                "GET", "/openOrders",
                lambda rows: {"retCode": 0, "retMsg": "OK", "result": page_of(rows)},
            )  # fmt: skip
        names = [p.get("orderId"), p.get("orderLinkId")]
        for ghost in self.ghosts.values():
            if {ghost["orderId"], ghost["clientOrderId"]} & {name for name in names if name}:
                return asked("GET", "/time", listed(lambda _, row=ghost: [self._order(row)]))
        named = {"orderId": names[0]} if names[0] else {"origClientOrderId": names[1]}
        return asked("GET", "/order", listed(lambda row: [self._order(row)]), **named)

    def _markets(self, row: Any) -> Any:
        rules = filters(row)
        return [{
            "symbol": SYMBOL, "baseCoin": BASE, "quoteCoin": QUOTE, "marginTrading": "none",
            "status": "Trading" if rules["open"] else "PreLaunch", "lotSizeFilter": {
                "basePrecision": rules["stepSize"], "quotePrecision": "0.00000001",
                "minOrderQty": rules["minQty"], "maxOrderQty": rules["maxQty"],
                "minOrderAmt": rules["minNotional"], "maxOrderAmt": "9000000",
            }, "priceFilter": {"tickSize": rules["tickSize"]},
        }]  # fmt: skip

    def _order(self, row: Params) -> Any:
        state = self.STATES[row["status"]]
        if state == "Cancelled" and Decimal(row["executedQty"]):
            state = "PartiallyFilledCanceled"
        left = Decimal(row["origQty"]) - Decimal(row["executedQty"])
        return {
            "orderId": str(row["orderId"]), "orderLinkId": row["clientOrderId"],
            "symbol": SYMBOL, "side": row["side"].capitalize(), "orderType": "Limit",
            "price": row["price"], "qty": row["origQty"], "cumExecQty": row["executedQty"],
            "leavesQty": str(left) if state in ("New", "PartiallyFilled") else "0",
            "cumExecValue": row["cummulativeQuoteQty"], "avgPrice": "", "orderStatus": state,
            "timeInForce": "PostOnly", "createdTime": str(row["time"]),
            "updatedTime": str(row["updateTime"]),
        }  # fmt: skip

    def _fill(self, row: Params) -> Any:
        return {
            "execId": f"x{row['id']}", "orderId": str(row["orderId"]), "symbol": SYMBOL,
            "side": "Buy" if row["isBuyer"] else "Sell", "execPrice": row["price"],
            "execQty": row["qty"], "execValue": row["quoteQty"], "execFee": row["commission"],
            "feeCurrency": row["commissionAsset"], "isMaker": row["isMaker"],
            "execTime": str(row["time"]), "orderType": "Limit",
        }  # fmt: skip


class Htx(Tongue):
    """Client ids; takes a post-only order that would take, and cancels it; 500 fills a page."""

    PAGE = 500
    STATES = {
        "NEW": "submitted", "PARTIALLY_FILLED": "partial-filled", "FILLED": "filled",
        "CANCELED": "canceled", "EXPIRED": "canceled",
    }  # fmt: skip
    SPOT_ACCOUNT = "100001"

    def is_private(self, path: str) -> bool:
        return path.startswith(("v1/account", "v1/order"))

    def identify(self, call: Call, path: str, query: Params) -> tuple[Account, Params]:
        text, _, _ = call.query_text.partition("&Signature=")
        payload = f"{call.verb}\n{call.headers['host']}\n/{path}\n{text}"

        def signed(secret: bytes) -> str:
            return base64.b64encode(hmac.digest(secret, payload.encode(), "sha256")).decode()

        account = self.account(query["AccessKeyId"], signed, query["Signature"])
        stamp = datetime.fromisoformat(query["Timestamp"]).replace(tzinfo=UTC)
        if abs(self.now_ms() / 1000 - stamp.timestamp()) > 300:
            raise Refused(self._no("api-signature-not-valid", "Invalid Timestamp"))
        return account, json.loads(call.body) if call.verb == "POST" and call.body else query

    def _no(self, code: str, text: str) -> Any:
        return {"status": "error", "err-code": code, "err-msg": text, "data": None}

    def refusal(self, code: int, text: str) -> Any:
        known = {
            -2015: "api-signature-not-valid", -2011: "order-orderstate-error",
            -2010: "account-frozen-balance-insufficient-error", -2013: "base-record-invalid",
            -1013: "order-orderprice-precision-error",
            -1003: "base-request-exceed-frequency-limit", -1000: "gateway-internal-error",
        }  # fmt: skip
        return self._no(known.get(code, "invalid-parameter"), text)

    def route(self, path: str, p: Params) -> Asked:
        def said(shape: Shape) -> Shape:
            return lambda row: {"status": "ok", "data": shape(row)}

        match path.split("/"):
            case ["v1", "common", "symbols"]:
                return asked("GET", "/exchangeInfo", said(self._markets))
            case ["market", "depth"]:
                return asked("GET", "/depth", lambda row: {"status": "ok", "tick": {
                    "ts": round(self.now_ms()), "version": 1, **{
                        side: [[float(v) for v in level] for level in row[side]]
                        for side in ("bids", "asks")
                    },
                }})  # fmt: skip
            case ["market", "history", "trade"]:
                return asked("GET", "/trades", said(lambda rows: [{"data": [
                    {"trade-id": r["id"], "amount": float(r["qty"]), "price": float(r["price"]),
                     "ts": r["time"], "direction": "sell" if r["isBuyerMaker"] else "buy"}
                ]} for r in reversed(rows)]))  # fmt: skip
            case ["market", "history", "candles"]:
                size = {"1min": "1m", "5min": "5m", "60min": "1h", "1day": "1d"}[p["period"]]
                return asked("GET", "/klines", said(lambda rows: [
                    {"id": r[0] // 1000, "open": float(r[1]), "high": float(r[2]),
                     "low": float(r[3]), "close": float(r[4]), "amount": float(r[5]),
                     "vol": float(r[7]), "count": r[8]} for r in reversed(rows)
                ]), interval=size, limit=p.get("size", 300))  # fmt: skip
            case ["v1", "account", "accounts"]:
                row = {"id": int(self.SPOT_ACCOUNT), "type": "spot", "state": "working"}
                return asked("GET", "/account", said(lambda _: [row]))
            case ["v1", "account", "accounts", self.SPOT_ACCOUNT, "balance"]:
                return asked("GET", "/account", said(lambda row: {"list": [
                    {"currency": each["asset"].lower(), "type": kind, "balance": each[name]}
                    for each in row["balances"]
                    for kind, name in (("trade", "free"), ("frozen", "locked"))
                ]}))  # fmt: skip
            case ["v1", "order", "orders", "place"]:
                assert str(p["account-id"]) == self.SPOT_ACCOUNT
                side, _, kind = p["type"].partition("-")
                wanted = {
                    "side": side, "qty": p["amount"], "price": p["price"],
                    "maker": kind == "limit-maker", "lifetime": kind[-3:].upper(),
                    "name": p["client-order-id"],
                }  # fmt: skip
                return self.place(wanted, said(str))
            case ["v1", "order", "orders", number, "submitcancel"]:
                return asked("DELETE", "/order", said(lambda _: number), orderId=number)
            case ["v1", "order", "openOrders"]:
                last, most = int(p.get("from", 10**18)), min(500, int(p.get("size", 100)))
                return asked("GET", "/openOrders", said(lambda rows: [
                    self._order(row) for row in rows[::-1] if int(row["orderId"]) <= last
                ][:most]))  # fmt: skip
            case ["v1", "order", "orders", "getClientOrder"]:
                return self._one("clientOrderId", p["clientOrderId"], said)
            case ["v1", "order", "orders", number]:
                return self._one("orderId", number, said)
            case ["v1", "order", "matchresults"]:
                most = min(int(p.get("size", 100)), self.PAGE)
                return asked("GET", "/myTrades", said(lambda rows: [
                    self._fill(row)
                    for row in page(rows, p, ("start-time", "end-time"), most)
                ]), limit=1000)  # fmt: skip
        raise Refused(self._no("base-not-found", path), 404)

    def _one(self, name: str, value: str, said: Callable[[Shape], Shape]) -> Asked:
        for ghost in self.ghosts.values():
            if ghost[name] == value:
                return asked("GET", "/time", said(lambda _, row=ghost: self._order(row)))
        native = {"orderId": value} if name == "orderId" else {"origClientOrderId": value}
        return asked("GET", "/order", said(self._order), **native)

    def _markets(self, row: Any) -> Any:
        rules = filters(row)
        return [{
            "base-currency": "btc", "quote-currency": "usdt", "symbol": "btcusdt",
            "price-precision": places(rules["tickSize"]),
            "amount-precision": places(rules["stepSize"]), "value-precision": 8,
            "state": "online" if rules["open"] else "suspend",
            "api-trading": "enabled" if rules["open"] else "disabled",
            "min-order-value": float(rules["minNotional"]),
            "limit-order-min-order-amt": float(rules["minQty"]),
            "min-order-amt": float(rules["minQty"]), "max-order-amt": float(rules["maxQty"]),
        }]  # fmt: skip

    def _order(self, row: Params) -> Any:
        state = self.STATES[row["status"]]
        if state == "canceled" and Decimal(row["executedQty"]):
            state = "partial-canceled"
        return {
            "id": int(row["orderId"]), "symbol": "btcusdt", "client-order-id": row["clientOrderId"],
            "account-id": int(self.SPOT_ACCOUNT), "amount": row["origQty"], "price": row["price"],
            "created-at": row["time"], "type": f"{row['side'].lower()}-limit-maker",
            "filled-amount": row["executedQty"], "filled-cash-amount": row["cummulativeQuoteQty"],
            "filled-fees": "0", "source": "spot-api", "state": state,
        }  # fmt: skip

    def _fill(self, row: Params) -> Any:
        side = "buy" if row["isBuyer"] else "sell"
        return {
            "id": row["id"] + 10**9, "trade-id": row["id"], "order-id": int(row["orderId"]),
            "match-id": row["id"], "symbol": "btcusdt", "type": f"{side}-limit-maker",
            "price": row["price"], "filled-amount": row["qty"], "filled-fees": row["commission"],
            "fee-currency": row["commissionAsset"].lower(), "created-at": row["time"],
            "role": "maker" if row["isMaker"] else "taker", "filled-points": "0.0",
            "fee-deduct-currency": "",
        }  # fmt: skip


TONGUES: dict[str, type[Tongue]] = {"htx": Htx, "kraken": Kraken, "bybit": Bybit}
