"""OKX v5's wire language over the engine, on Python objects: no bytes, no sockets.

What is played: swaps (inverse and linear) in net mode at cross margin, and spot; REST and the
two sockets with orders over either.
"""

import base64
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.numbers import NotWhole, page, whole
from market_maker.simulator.dialects.okx_desk import MAX_BATCH, OkxError, OrderDesk, tag_of
from market_maker.simulator.dialects.okx_market import OkxMarket, Params
from market_maker.simulator.dialects.okx_rows import CURRENCIES, Listing, balance_row, ms
from market_maker.simulator.exchange import Account, Engine

API = "/api/v5"
_TIMELY_S = 30.0
_HEADERS = ("ok-access-key", "ok-access-sign", "ok-access-timestamp", "ok-access-passphrase")
_PAGE = 100


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
        self.market = market = OkxMarket(engine)
        self.desk = OrderDesk(engine, market.listings)
        # (account, engine's symbol) -> funding that the open position has paid
        self.funding_paid: defaultdict[tuple[int, str], int] = defaultdict(int)
        private: dict[str, Callable[[Account, Params], list[Any]]] = {
            "/account/config": self._config,
            "/account/balance": lambda a, _: [self.balance(a)],
            "/account/positions": self._positions,
            "/account/bills": self._bills,
            "/account/bills-archive": self._bills,
            "/account/leverage-info": self._leverage,
            "/account/trade-fee": self._fees,
            "/trade/orders-pending": self._pending,
            "/trade/order": self._order,
            "/trade/orders-history": self._history,
            "/asset/currencies": lambda *_: [],
            "/trade/fills": self._fills,
            "/trade/fills-history": self._fills,
        }
        self._private = private

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
            is_late = bool(expires) and float(str(expires)) < self.now_s() * 1000
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
        except NotWhole as wrong:
            return refusal(OkxError("51000", f"Parameter {wrong.name} error"))

    def _get(self, path: str, query: Params, account: Account | None) -> list[Any]:
        if path in self.market.calls:
            return self.market.calls[path](query)
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
        found = [self.position(account.number, listing) for listing in self.market.swaps(params)]
        return [row for row in found if row["pos"] != "0"]

    def position(self, account_no: int, listing: Listing) -> Row:
        symbol = listing.spec.symbol
        paid = self.funding_paid[account_no, symbol]
        return listing.position_row(self.engine.position_row(account_no, symbol), paid)

    def _bills(self, account: Account, params: Params) -> list[Row]:
        """Of an account's bills those of funding are played."""
        if params.get("type") not in (None, "", "8"):
            return []
        swaps = {listing.spec.symbol: listing for listing in self.market.swaps(params)}
        rows = [
            swaps[event.order.symbol].bill_row(event, event.fill)
            for event in reversed(self.engine.executions(account.number))
            if event.fill and event.exec_type == "Funding" and event.order.symbol in swaps
        ]
        begin = whole(params, "begin")
        rows = [row for row in rows if int(row["ts"]) >= begin]
        return _page(rows, "billId", params)

    def _leverage(self, _: Account, params: Params) -> list[Row]:
        listing = self.market.listing(params)
        return [{"instId": listing.inst_id, "mgnMode": "cross", "posSide": "net", "lever": "100"}]

    def _fees(self, account: Account, params: Params) -> list[Row]:
        listing = self.market.chosen(params)[0]
        maker, taker, *_ = self.engine.fees(account.number, listing.spec.symbol)
        rates = {"maker": str(-maker), "taker": str(-taker)}
        return [{"instType": listing.inst_type, "level": "Lv1", **rates}]

    def _pending(self, account: Account, params: Params) -> list[Row]:
        wanted = {listing.spec.symbol for listing in self.market.chosen(params)}
        resting = [
            self.order(order)
            for order in reversed(self.engine.orders(account.number))
            if order.leaves_qty > 0 and order.symbol in wanted
        ]
        if params.get("after"):
            resting = [row for row in resting if int(row["ordId"]) < whole(params, "after")]
        return resting[: page(params, _PAGE)]

    def _history(self, account: Account, params: Params) -> list[Row]:
        wanted = {listing.spec.symbol for listing in self.market.chosen(params)}
        ended = [
            self.order(order)
            for order in reversed(self.engine.orders(account.number))
            if order.leaves_qty <= 0 and order.symbol in wanted
        ]
        return ended[: page(params, _PAGE)]

    def _order(self, account: Account, params: Params) -> list[Row]:
        order = self.desk.find(account, params)
        if order is None:
            raise OkxError("51603", "Order does not exist")
        return [self.order(order)]

    def order(self, order: Any) -> Row:
        listing = self.market.by_symbol[order.symbol]
        paid = self.paid(order.account, order.order_id)
        return listing.order_row(order, self.desk.order_id(order), paid, tag_of(order))

    def paid(self, account_no: int, order_id: str) -> int:
        """Fees of an order so far, in minor units."""
        events = self.engine.executions(account_no)
        return sum(e.fill.comm_sat for e in events if e.fill and e.order.order_id == order_id)

    def _fills(self, account: Account, params: Params) -> list[Row]:
        wanted = {listing.spec.symbol: listing for listing in self.market.chosen(params)}
        fills = [
            wanted[event.order.symbol].fill_row(event, event.fill, self.desk.order_id(event.order))
            for event in reversed(self.engine.executions(account.number))
            if event.fill and event.exec_type == "Trade" and event.order.symbol in wanted
        ]
        return _page(fills, "billId", params)


def _page(rows: list[Row], name: str, params: Params) -> list[Row]:
    """The rows, newest first, that are older than the one whose *name* is "after"."""
    names = [row[name] for row in rows]
    if params.get("after"):
        after = params["after"]
        rows = rows[names.index(after) + 1 :] if after in names else []
    return rows[: page(params, _PAGE)]


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
