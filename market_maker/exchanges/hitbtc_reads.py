"""What the bot asks HitBTC over REST, as the venue's own rows."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from market_maker.exchanges.base import ExchangeError, UnknownSymbol
from market_maker.exchanges.hitbtc_orders import API, NO_SUCH_ORDER
from market_maker.exchanges.hitbtc_rows import Market, venue_symbol
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.utils.errors import AuthenticationError, SettingsError

_PAGE = 100
_PERIODS = {"1m": "M1", "5m": "M5", "1h": "H1", "1d": "D1"}
_MOST_BARS = 1000
_NO_SUCH_SYMBOL = 2001


class HitbtcReads:
    """Queries about one symbol. All raise AuthenticationError or ExchangeError."""

    def __init__(self, send: Callable[[Request], Answer], symbol: str) -> None:
        self.name = venue_symbol(symbol)
        self._send = send

    def market(self, symbol: str) -> Market:
        """The symbol; raises SettingsError for one that HitBTC does not list."""
        answer = self.get(f"/public/symbol/{self.name}")
        if code_of(answer) == _NO_SUCH_SYMBOL:
            nearest = difflib.get_close_matches(self.name, _body(self.get("/public/symbol")), 1)
            hint = f": did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError([f"HitBTC has no {self.name}{hint}"])
        try:
            return Market.read(_body(answer), symbol)
        except (KeyError, ValueError, ArithmeticError) as error:
            text = f"HitBTC's {self.name} cannot be traded: {error}"
            raise UnknownSymbol(200, text) from None

    def touch(self) -> Row:
        return dict(self._read(f"/public/orderbook/{self.name}", {"depth": 1}))

    def ticker(self) -> Row:
        return dict(self._read(f"/public/ticker/{self.name}"))

    def trades(self, count: int) -> list[Row]:
        return _rows(self._read(f"/public/trades/{self.name}", {"limit": count}))

    def bars(self, size: str, count: int) -> list[Row]:
        """Of a BitMEX `binSize`, the newest first."""
        query = {"period": _PERIODS[size], "sort": "DESC", "limit": min(_MOST_BARS, count)}
        return _rows(self._read(f"/public/candles/{self.name}", query))

    def balances(self) -> list[Row]:
        return _rows(self._read("/spot/balance"))

    def open_orders(self) -> list[Row]:
        return _rows(self._read("/spot/order", {"symbol": self.name}))

    def past_order(self, wire_id: str) -> Row | None:
        """An order by client order id, open or not; None where the venue does not know it."""
        query = {"client_order_id": wire_id, "symbol": self.name}
        answer = self.get("/spot/history/order", query)
        if code_of(answer) == NO_SUCH_ORDER:
            return None
        found = _rows(_body(answer))
        return next((row for row in found if row.get("client_order_id") == wire_id), None)

    def fills(self, start: int = 0) -> list[Row]:
        """A page of them, newest first, from the *start*-th on."""
        query = {"symbol": self.name, "by": "id", "sort": "DESC", "limit": _PAGE, "offset": start}
        return _rows(self._read("/spot/history/trade", query))

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        texts = {name: str(value) for name, value in (query or {}).items()}
        return self._send(Request("GET", API + path, texts or None))

    def _read(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return _body(self.get(path, query))


def _body(answer: Answer) -> Any:
    if answer.refuses_key:
        raise AuthenticationError(f"the exchange refuses the key: {words_of(answer)}")
    if answer.status != 200 or not isinstance(answer.body, list | dict):
        raise ExchangeError(answer.status, words_of(answer))
    return answer.body


def _rows(body: Any) -> list[Row]:
    if not isinstance(body, list):
        raise ExchangeError(200, "an answer that holds no rows")
    return body


def _error(answer: Answer) -> Mapping[str, Any]:
    error = answer.body.get("error") if isinstance(answer.body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def code_of(answer: Answer) -> int:
    """The venue's own code of a refusal, 0 without one."""
    return int(_error(answer).get("code") or 0)


def words_of(answer: Answer) -> str:
    """The venue's words in a refusal, or a phrase for what came instead."""
    error = _error(answer)
    if error.get("message"):
        return f"{error['message']} ({error.get('code')})"
    return answer.error or f"HTTP {answer.status}"
