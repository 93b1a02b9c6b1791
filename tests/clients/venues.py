"""What OKX, HitBTC and Binance say themselves of an account, over plain signed REST.

Every row has the same names whatever the venue: an order `id`, `price`, `amount`; a fill `id`,
`price`, `amount`, `fee`; amounts of spot in the base currency, of swaps in contracts.
"""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from urllib.request import Request

from harness import fetch

Rows = list[dict[str, Any]]
Levels = list[tuple[float, float]]


class Okx(NamedTuple):
    base_url: str
    key: str
    secret: str
    passphrase: str

    def open_orders(self) -> Rows:
        return [_row(raw, "ordId", "px", "sz") for raw in self._get("/trade/orders-pending")]

    def fills(self, market: str) -> Rows:
        rows = self._get("/trade/fills", instId=market)
        named = [_row(raw, "tradeId", "fillPx", "fillSz") for raw in rows]
        return [n | {"fee": -float(r["fee"])} for n, r in zip(named, rows, strict=True)]

    def balances(self) -> dict[str, float]:
        (answer,) = self._get("/account/balance")
        return {row["ccy"]: float(row["eq"]) for row in answer["details"]}

    def book(self, market: str) -> tuple[Levels, Levels]:
        (book,) = self._get("/market/books", instId=market, sz="5")
        return _levels(book["bids"]), _levels(book["asks"])

    def _get(self, path: str, **query: str) -> Rows:
        url = self.base_url + path + (f"?{urlencode(query)}" if query else "")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = f"{now}GET{url[url.index('/api/') :]}".encode()
        signed = base64.b64encode(hmac.digest(self.secret.encode(), text, hashlib.sha256))
        headers = {
            "OK-ACCESS-KEY": self.key, "OK-ACCESS-PASSPHRASE": self.passphrase,
            "OK-ACCESS-TIMESTAMP": now, "OK-ACCESS-SIGN": signed.decode(),
        }  # fmt: skip
        return fetch(Request(url, headers=headers))["data"]


class Hitbtc(NamedTuple):
    base_url: str
    key: str
    secret: str

    def open_orders(self) -> Rows:
        rows = self._get("/spot/order")
        return [_row(raw, "client_order_id", "price", "quantity") for raw in rows]

    def fills(self, market: str) -> Rows:
        rows = self._get("/spot/history/trade", symbol=market)
        named = [_row(raw, "id", "price", "quantity") for raw in rows]
        return [n | {"fee": float(r["fee"])} for n, r in zip(named, rows, strict=True)]

    def balances(self) -> dict[str, float]:
        rows = self._get("/spot/balance")
        return {r["currency"]: float(r["available"]) + float(r["reserved"]) for r in rows}

    def book(self, market: str) -> tuple[Levels, Levels]:
        book = self._get(f"/public/orderbook/{market}", depth="5")
        return _levels(book["bid"]), _levels(book["ask"])

    def _get(self, path: str, **query: str) -> Any:
        url = self.base_url + path + (f"?{urlencode(query)}" if query else "")
        shown = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        return fetch(Request(url, headers={"Authorization": f"Basic {shown}"}))


class Binance(NamedTuple):
    base_url: str
    key: str
    secret: str

    def open_orders(self) -> Rows:
        rows = self._signed("/openOrders")
        return [_row(raw, "orderId", "price", "origQty") for raw in rows]

    def fills(self, market: str) -> Rows:
        rows = self._signed("/myTrades", symbol=market)
        named = [_row(raw, "id", "price", "qty") for raw in rows]
        return [n | {"fee": float(r["commission"])} for n, r in zip(named, rows, strict=True)]

    def balances(self) -> dict[str, float]:
        rows = self._signed("/account")["balances"]
        return {row["asset"]: float(row["free"]) + float(row["locked"]) for row in rows}

    def book(self, market: str) -> tuple[Levels, Levels]:
        book = fetch(Request(f"{self.base_url}/depth?symbol={market}&limit=5"))
        return _levels(book["bids"]), _levels(book["asks"])

    def _signed(self, path: str, **query: str) -> Any:
        text = urlencode({**query, "timestamp": round(time.time() * 1000)})
        signed = hmac.digest(self.secret.encode(), text.encode(), hashlib.sha256).hex()
        url = f"{self.base_url}{path}?{text}&signature={signed}"
        return fetch(Request(url, headers={"X-MBX-APIKEY": self.key}))


def host(base_url: str) -> str:
    """The address of a server without a scheme: 127.0.0.1:8765."""
    return urlsplit(base_url).netloc


def _row(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    number, price, amount = (raw[name] for name in names)
    return {"id": str(number), "price": float(price or 0), "amount": float(amount)}


def _levels(rows: list[list[str]]) -> Levels:
    return [(float(price), float(size)) for price, size, *_ in rows]
