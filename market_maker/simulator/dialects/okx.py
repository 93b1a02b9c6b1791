"""OKX v5's wire language over the engine, on Python objects: no bytes, no sockets.

What is played: swaps (inverse and linear), net mode, cross margin; REST and the two sockets
with orders over either.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.okx_desk import MAX_BATCH, OkxError, OrderDesk
from market_maker.simulator.dialects.okx_rows import CURRENCIES, SWAPS, Swap, balance_row, ms
from market_maker.simulator.exchange import Account, Engine

API = "/api/v5"
_TIMELY_S = 30.0
_HEADERS = ("ok-access-key", "ok-access-sign", "ok-access-timestamp", "ok-access-passphrase")
_PAGE = 100

Params = Mapping[str, Any]


def passphrase_of(account: Account) -> str:
    """The third secret of an OKX key; ours follows from the second."""
    return hashlib.sha256(f"passphrase {account.secret}".encode()).hexdigest()[:16]


def signature(secret: str, timestamp: str, verb: str, target: str, body: str = "") -> str:
    text = f"{timestamp}{verb}{target}{body}"
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


class OkxRest:
    """Answers REST calls. Every answer is `{"code", "msg", "data"}`; code "0" is yes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.swaps: dict[str, Swap] = {}  # by OKX's name
        self.by_symbol: dict[str, Swap] = {}  # by the engine's
        for symbol in SWAPS:
            if symbol in engine.symbols():
                self.describe(symbol)
        self.desk = OrderDesk(engine, self.swaps)
        public: dict[str, Callable[[Params], list[Any]]] = {
            "/public/time": lambda _: [{"ts": ms(engine.now())}],
            "/public/instruments": self._instruments,
            "/public/mark-price": self._marks,
            "/public/funding-rate": self._funding,
            "/market/ticker": lambda p: [self.ticker(self._swap(p))],
            "/market/tickers": lambda _: [self.ticker(swap) for swap in self.swaps.values()],
            "/market/books": self._book,
            "/market/trades": self._trades,
        }
        private: dict[str, Callable[[Account, Params], list[Any]]] = {
            "/account/config": self._config,
            "/account/balance": lambda a, _: [self.balance(a)],
            "/account/positions": self._positions,
            "/account/leverage-info": self._leverage,
            "/account/trade-fee": self._fees,
            "/trade/orders-pending": self._pending,
            "/trade/order": self._order,
            "/trade/orders-history": self._history,
            "/asset/currencies": lambda *_: [],
            "/trade/fills": self._fills,
            "/trade/fills-history": self._fills,
        }
        self._public, self._private = public, private

    def describe(self, symbol: str) -> None:
        """Describe an instrument of the engine as it is now."""
        swap = Swap.of(self.engine.instrument(symbol))
        self.swaps[swap.inst_id] = self.by_symbol[symbol] = swap

    # -- who asks ------------------------------------------------------------------------------

    def identify(
        self, headers: Mapping[str, str], verb: str, target: str, body: str
    ) -> Account | None:
        """Whose key signed the call; None for a call without one. Raises OkxError."""
        given = [headers.get(name, "") for name in _HEADERS]
        if not any(given):
            return None
        for name, value in zip(_HEADERS, given, strict=True):
            if not value:
                raise OkxError("50103", f'Request header "{name.upper()}" can not be empty.', 401)
        key, signed, timestamp, passphrase = given
        try:
            signed_s = datetime.fromisoformat(timestamp).timestamp()
        except ValueError:
            raise OkxError("50112", "Invalid OK-ACCESS-TIMESTAMP", 401) from None
        account = self.check(key, passphrase, signed, timestamp, verb, target, body)
        if abs(signed_s - self.now_s()) > _TIMELY_S:
            raise OkxError("50102", "Timestamp request expired", 401)
        return account

    def check(
        self, key: str, passphrase: str, signed: str, timestamp: str, verb: str, target: str,
        body: str = "",
    ) -> Account:  # fmt: skip
        """The account of a key whose signature and passphrase are right. Raises OkxError."""
        account = self.engine.account_by_key(key)
        if account is None or not account.is_enabled:
            raise OkxError("50111", "Invalid OK-ACCESS-KEY", 401)
        expected = signature(account.secret, timestamp, verb, target, body)
        if not hmac.compare_digest(expected.encode(), signed.encode()):
            raise OkxError("50113", "Invalid Sign", 401)
        if not hmac.compare_digest(passphrase_of(account).encode(), passphrase.encode()):
            raise OkxError("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.", 401)
        return account

    def check_expiry(self, expires: Any) -> None:
        """Refuse what comes later than its client wanted (`expTime`, Unix milliseconds)."""
        try:
            is_late = bool(expires) and float(expires) < self.now_s() * 1000
        except ValueError:
            raise OkxError("51000", "Parameter expTime error") from None
        if is_late:
            raise OkxError("50038", "The request came after its expTime")

    def now_s(self) -> float:
        """The venue's own clock."""
        return self.engine.now() + self.engine.skew_s

    # -- answers -------------------------------------------------------------------------------

    def handle(self, request: Request, account: Account | None) -> Answer:
        """Answer one call below /api/v5; *account* is whose key signed it."""
        try:
            if request.verb.upper() == "POST":
                return self._post(request, account)
            return _answer(self._get(request.path, request.query or {}, account))
        except OkxError as error:
            return refusal(error)

    def _get(self, path: str, query: Params, account: Account | None) -> list[Any]:
        if path in self._public:
            return self._public[path](query)
        if path in self._private:
            return self._private[path](_known(account), query)
        raise OkxError("404", "Not Found", 404)

    def _post(self, request: Request, account: Account | None) -> Answer:
        who, path = _known(account), request.path
        if path == "/trade/cancel-all-after":
            _allowed(who, "order", "orderCancel")
            return _answer([self.desk.cancel_all_after(who, _object(request.body))])
        deed = {
            "/trade/order": "place",
            "/trade/amend-order": "amend",
            "/trade/cancel-order": "cancel",
            "/trade/batch-orders": "place",
            "/trade/amend-batch-orders": "amend",
            "/trade/cancel-batch-orders": "cancel",
        }.get(path)
        if deed is None:
            raise OkxError("404", "Not Found", 404)
        items = request.body if "batch" in path else [_object(request.body)]
        return _answer(*self._act(who, deed, items))

    def _act(self, account: Account, deed: str, items: Any) -> tuple[list[Row], str]:
        """Carry out orders of one kind: (`data`, code); raises OkxError."""
        _allowed(account, "order", *(("orderCancel",) if deed == "cancel" else ()))
        if not isinstance(items, list) or not items or len(items) > MAX_BATCH:
            raise OkxError("50002", f"A batch holds 1 to {MAX_BATCH} orders", 400)
        do = getattr(self.desk, deed)
        data = [do(account, _object(item)) for item in items]
        refused = sum(item["sCode"] != "0" for item in data)
        return data, "0" if not refused else "1" if refused == len(data) else "2"

    # -- public --------------------------------------------------------------------------------

    def _swap(self, params: Params) -> Swap:
        return self.desk.swap({"instId": params.get("instId")})

    def _chosen(self, params: Params) -> list[Swap]:
        return [self._swap(params)] if params.get("instId") else list(self.swaps.values())

    def _instruments(self, params: Params) -> list[Row]:
        if params.get("instType") != "SWAP":
            return []
        return [self.instrument(swap) for swap in self._chosen(params)]

    def instrument(self, swap: Swap) -> Row:
        return swap.instrument_row(self.engine.instrument_row(swap.spec.symbol)["state"])

    def _marks(self, params: Params) -> list[Row]:
        return [self.mark(swap) for swap in self._chosen(params)]

    def mark(self, swap: Swap) -> Row:
        row = self.engine.instrument_row(swap.spec.symbol)
        now = ms(self.engine.now())
        price = str(row["markPrice"])
        return {"instType": "SWAP", "instId": swap.inst_id, "markPx": price, "ts": now}

    def _funding(self, params: Params) -> list[Row]:
        return [self.funding(self._swap(params))]

    def funding(self, swap: Swap) -> Row:
        row = self.engine.instrument_row(swap.spec.symbol)
        due = ms(datetime.fromisoformat(row["fundingTimestamp"]).timestamp())
        return {
            "instType": "SWAP", "instId": swap.inst_id, "fundingRate": str(row["fundingRate"]),
            "nextFundingRate": str(row["indicativeFundingRate"]), "fundingTime": due,
            "nextFundingTime": due, "ts": ms(self.engine.now()),
        }  # fmt: skip

    def ticker(self, swap: Swap) -> Row:
        quote = self.engine.quote(swap.spec.symbol)
        row = self.engine.instrument_row(swap.spec.symbol)
        return {
            "instType": "SWAP", "instId": swap.inst_id, "last": str(row["lastPrice"]),
            "lastSz": "0", "askPx": swap.px(quote.ask_ticks), "askSz": swap.sz(quote.ask_size),
            "bidPx": swap.px(quote.bid_ticks), "bidSz": swap.sz(quote.bid_size),
            "open24h": str(row["prevPrice24h"] or ""), "high24h": str(row["highPrice"] or ""),
            "low24h": str(row["lowPrice"] or ""), "vol24h": swap.sz(row["volume24h"] or 0),
            "volCcy24h": "0", "ts": ms(self.engine.now()),
        }  # fmt: skip

    def _book(self, params: Params) -> list[Row]:
        return [self.book(self._swap(params), int(params.get("sz") or 1))]

    def book(self, swap: Swap, depth: int) -> Row:
        bids, asks = self.engine.book(swap.spec.symbol, depth)
        rows = {
            name: [[swap.px(level.price_ticks), swap.sz(level.size), "0", "1"] for level in levels]
            for name, levels in (("asks", asks), ("bids", bids))
        }
        return {**rows, "ts": ms(self.engine.now())}

    def _trades(self, params: Params) -> list[Row]:
        swap = self._swap(params)
        recent = list(self.engine.trades(swap.spec.symbol))[-int(params.get("limit") or _PAGE) :]
        return [swap.trade_row(trade) for trade in reversed(recent)]

    # -- private -------------------------------------------------------------------------------

    def _config(self, account: Account, _: Params) -> list[Row]:
        rights = ["read_only"]
        rights += ["trade"] if "order" in account.permissions else []
        rights += ["withdraw"] if "withdraw" in account.permissions else []
        return [
            {
                "uid": str(account.number), "acctLv": "2", "posMode": "net_mode",
                "perm": ",".join(rights), "autoLoan": False, "level": "Lv1", "ip": "",
            }
        ]  # fmt: skip

    def balance(self, account: Account) -> Row:
        rows = [
            self.engine.margin_row(account.number, currency)
            for currency in self.engine.currencies(account.number)
            if currency in CURRENCIES
        ]
        return {
            "details": [balance_row(row) for row in rows],
            "totalEq": "",
            "uTime": ms(self.engine.now()),
        }

    def _positions(self, account: Account, params: Params) -> list[Row]:
        found = [self.position(account.number, swap) for swap in self._chosen(params)]
        return [row for row in found if row["pos"] != "0"]

    def position(self, account_no: int, swap: Swap) -> Row:
        return swap.position_row(self.engine.position_row(account_no, swap.spec.symbol))

    def _leverage(self, _: Account, params: Params) -> list[Row]:
        swap = self._swap(params)
        return [{"instId": swap.inst_id, "mgnMode": "cross", "posSide": "net", "lever": "100"}]

    def _fees(self, account: Account, params: Params) -> list[Row]:
        swap = self._chosen(params)[0]
        maker, taker, *_ = self.engine.fees(account.number, swap.spec.symbol)
        return [{"instType": "SWAP", "level": "Lv1", "maker": str(-maker), "taker": str(-taker)}]

    def _pending(self, account: Account, params: Params) -> list[Row]:
        wanted = {swap.spec.symbol for swap in self._chosen(params)}
        resting = [
            self.order(order)
            for order in reversed(self.engine.orders(account.number))
            if order.leaves_qty > 0 and order.symbol in wanted
        ]
        if params.get("after"):
            resting = [row for row in resting if int(row["ordId"]) < int(params["after"])]
        return resting[: int(params.get("limit") or _PAGE)]

    def _history(self, account: Account, params: Params) -> list[Row]:
        wanted = {swap.spec.symbol for swap in self._chosen(params)}
        ended = [
            self.order(order)
            for order in reversed(self.engine.orders(account.number))
            if order.leaves_qty <= 0 and order.symbol in wanted
        ]
        return ended[: int(params.get("limit") or _PAGE)]

    def _order(self, account: Account, params: Params) -> list[Row]:
        order = self.desk.find(account, params)
        if order is None:
            raise OkxError("51603", "Order does not exist")
        return [self.order(order)]

    def order(self, order: Any) -> Row:
        swap = self.by_symbol[order.symbol]
        paid = self.paid(order.account, order.order_id)
        tag = self.desk.tags.get(order.order_id, "")
        return swap.order_row(order, self.desk.order_id(order), paid, tag)

    def paid(self, account_no: int, order_id: str) -> int:
        """Fees of an order so far, in minor units."""
        events = self.engine.executions(account_no)
        return sum(e.fill.comm_sat for e in events if e.fill and e.order.order_id == order_id)

    def _fills(self, account: Account, params: Params) -> list[Row]:
        wanted = {swap.spec.symbol: swap for swap in self._chosen(params)}
        fills = [
            wanted[event.order.symbol].fill_row(event, event.fill, self.desk.order_id(event.order))
            for event in reversed(self.engine.executions(account.number))
            if event.fill and event.exec_type == "Trade" and event.order.symbol in wanted
        ]
        if params.get("after"):
            bills = [row["billId"] for row in fills]
            fills = fills[bills.index(params["after"]) + 1 :] if params["after"] in bills else []
        return fills[: int(params.get("limit") or _PAGE)]


def refusal(error: OkxError) -> Answer:
    return Answer(error.status, {"code": error.code, "msg": error.message, "data": []}, {})


def _answer(data: list[Any], code: str = "0") -> Answer:
    msg = {"0": "", "1": "All operations failed", "2": "Bulk operation partially succeeded."}
    return Answer(200, {"code": code, "msg": msg[code], "data": data}, {})


def _known(account: Account | None) -> Account:
    if account is None:
        raise OkxError("50103", 'Request header "OK-ACCESS-KEY" can not be empty.', 401)
    return account


def _allowed(account: Account, *rights: str) -> None:
    if not account.permissions & set(rights):
        raise OkxError("50120", "This API key doesn't have permission to use this function", 401)


def _object(body: Any) -> Params:
    if not isinstance(body, Mapping):
        raise OkxError("50002", "JSON syntax error", 400)
    return body
