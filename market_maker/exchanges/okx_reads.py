"""What the bot asks OKX over REST, as the venue's own rows."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.okx_rows import Market, instrument_id
from market_maker.exchanges.pages import read_pages
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.utils.errors import AuthenticationError, SettingsError

API = "/api/v5"
_PAGE = 100
_BARS = {"1m": "1m", "5m": "5m", "1h": "1H", "1d": "1Dutc"}
_MOST_BARS = 300
_FUNDING = "8"  # the type of a bill
_NO_SUCH_INSTRUMENT = "51001"
_NO_SUCH_ORDER = "51603"
_NOT_KNOWN_HERE = ("50101", "50111", "50119")
_ELSEWHERE = (
    "; a key of another region needs BASE_URL, such as https://eea.okx.com, "
    "and one of the demo environment EXCHANGE = 'okx-demo'"
)


def instrument_type(symbol: str) -> str:
    """SWAP for BTC-USD-SWAP, SPOT for BTC-USDT."""
    return "SWAP" if instrument_id(symbol).endswith("-SWAP") else "SPOT"


class OkxReads:
    """Queries about one instrument. All raise AuthenticationError or ExchangeError."""

    def __init__(self, send: Callable[[Request], Answer], symbol: str) -> None:
        self.inst_id, self.inst_type = instrument_id(symbol), instrument_type(symbol)
        self._send = send
        self._of_type = {"instType": self.inst_type, "instId": self.inst_id}
        self._past: list[Row] = []  # the fills of a look back so far

    def market(self, symbol: str) -> Market:
        """The instrument; raises SettingsError for one that OKX does not list."""
        answer = self.get("/public/instruments", self._of_type)
        found = [] if code_of(answer) == _NO_SUCH_INSTRUMENT else _data(answer)
        if not found:
            kinds = ("SWAP", "SPOT")
            listed = [self._read("/public/instruments", {"instType": kind}) for kind in kinds]
            names = [str(row.get("instId")) for rows in listed for row in rows]
            nearest = difflib.get_close_matches(self.inst_id, names, 1)
            hint = f": did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError([f"OKX has no {self.inst_id}{hint}"])
        return Market.read(found[0], symbol)

    def config(self) -> Row:
        return self._read("/account/config")[0]

    def leverages(self, margin_mode: str) -> list[str]:
        query = {"instId": self.inst_id, "mgnMode": margin_mode}
        levers = {str(row.get("lever")) for row in self._read("/account/leverage-info", query)}
        return sorted(levers)

    def open_orders(self) -> list[Row]:
        return read_pages(self._page("/trade/orders-pending", "ordId"), _PAGE, "ordId")

    def order(self, name: str, value: str) -> Row | None:
        """One order by "ordId" or "clOrdId"; None where the venue does not know it. That it does
        not know the instrument proves nothing of the order."""
        answer = self.get("/trade/order", {"instId": self.inst_id, name: value})
        if code_of(answer) == _NO_SUCH_ORDER:
            return None
        found = _data(answer)
        return found[0] if found else None

    def fills(self, is_enough: Callable[[list[Row]], bool]) -> list[Row]:
        """The newest fills first, page by page until *is_enough* (of a page) or the first one."""
        return read_pages(self._page("/trade/fills", "billId"), _PAGE, "billId", is_enough)

    def past_fills(self, start: int) -> list[Row]:
        """A page of them, the newest first, from the *start*-th on. Who looks back asks for one
        page after the other: what came before is remembered, since it begins anew with each 0."""
        if start < len(self._past) or not start:
            self._past = []
        read = self._page("/trade/fills", "billId")
        while len(self._past) <= start:
            page = read(self._past)
            self._past += page
            if len(page) < _PAGE:
                break
        return self._past[start:]

    def _page(self, path: str, cursor: str) -> Callable[[list[Row]], list[Row]]:
        """Reads the page that comes after the rows found so far, by their *cursor*."""
        query = {**self._of_type, "limit": str(_PAGE)}

        def read(found: list[Row]) -> list[Row]:
            return self._read(path, query | ({"after": found[-1][cursor]} if found else {}))

        return read

    def trades(self, count: int) -> list[Row]:
        return self._read("/market/trades", {"instId": self.inst_id, "limit": str(count)})

    def bars(self, size: str, count: int) -> list[list[str]]:
        """Of a BitMEX `binSize`, the newest first."""
        query = {"instId": self.inst_id, "bar": _BARS[size], "limit": str(min(_MOST_BARS, count))}
        return self._read("/market/candles", query)  # type: ignore[return-value]  # rows are lists

    def touch(self) -> Row:
        return self._read("/market/books", {"instId": self.inst_id, "sz": "1"})[0]

    def mark(self) -> Row:
        """The last price, what bounds prices now and, where there is one, the mark price."""
        last = self._read("/market/ticker", {"instId": self.inst_id})[0]
        last |= self._price_limit()
        if self.inst_type == "SPOT":
            return last
        return {**last, **self._read("/public/mark-price", self._of_type)[0]}

    def _price_limit(self) -> Row:
        answer = self.get("/public/price-limit", {"instId": self.inst_id})
        found = _data(answer) if code_of(answer) == "0" else []  # where it is not told, none
        return found[0] if found else {}

    def positions(self) -> list[Row]:
        if self.inst_type == "SPOT":
            return []
        return self._read("/account/positions", {"instId": self.inst_id})

    def funding(self, since_ms: int | None) -> list[Row]:
        """Bills of funding since then, or the last ones; the newest first."""
        if self.inst_type == "SPOT":
            return []
        query: Row = {"instType": self.inst_type, "type": _FUNDING, "limit": str(_PAGE)}
        if since_ms:
            query["begin"] = str(since_ms)
        return self._read("/account/bills", query)

    def details(self) -> list[Row]:
        """The balance of each currency."""
        return [row for raw in self._read("/account/balance") for row in raw.get("details") or ()]

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        return self._send(Request("GET", API + path, query))

    def _read(self, path: str, query: Mapping[str, Any] | None = None) -> list[Row]:
        return _data(self.get(path, query))


def _data(answer: Answer) -> list[Row]:
    if answer.refuses_key:
        hint = _ELSEWHERE if code_of(answer) in _NOT_KNOWN_HERE else ""
        raise AuthenticationError(f"the exchange refuses the key: {words_of(answer)}{hint}")
    if answer.status != 200 or code_of(answer) != "0":
        raise ExchangeError(answer.status, words_of(answer))
    found = answer.body.get("data")
    if not isinstance(found, list):
        raise ExchangeError(answer.status, "an answer that holds no rows")
    return found


def code_of(answer: Answer) -> str:
    """The venue's own code; "0" is yes."""
    return str(answer.body.get("code", "")) if isinstance(answer.body, Mapping) else ""


def words_of(answer: Answer) -> str:
    """The venue's words in a refusal, or a phrase for what came instead."""
    text = str(answer.body.get("msg") or "") if isinstance(answer.body, Mapping) else ""
    return f"{text} ({code_of(answer)})" if text else answer.error or f"HTTP {answer.status}"
