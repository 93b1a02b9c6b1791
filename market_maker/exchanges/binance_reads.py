"""What the bot asks Binance, as the venue's own rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.binance_calls import Call, Limits
from market_maker.exchanges.binance_orders import NOT_FOUND, code_of, is_yes, refusal, words_of
from market_maker.exchanges.binance_rows import SpotMarket
from market_maker.model.rows import Row
from market_maker.model.wire import Answer
from market_maker.utils.errors import AuthenticationError, SettingsError

_INVALID_SYMBOL = -1121
_MOST = "1000"


class ServerTime:
    """What time the exchange has, by its own word."""

    def __init__(self, clock: Clock) -> None:
        self.offset_s = 0.0
        self._clock = clock

    def now(self) -> float:
        """Unix seconds at the exchange."""
        return self._clock.now() + self.offset_s

    def learn(self, server_ms: int, asked_s: float) -> None:
        """The exchange said *server_ms* to a question of *asked_s* (our clock)."""
        self.offset_s = server_ms / 1000 - (asked_s + self._clock.now()) / 2

    def local(self) -> float:
        return self._clock.now()


class BinanceReads:
    """Queries about one symbol. All raise AuthenticationError or ExchangeError."""

    def __init__(
        self,
        send: Callable[[Sequence[Call]], list[Answer]],
        symbol: str,
        limits: Limits,
        time: ServerTime,
    ) -> None:
        self.symbol = symbol
        self._send, self._limits, self._time = send, limits, time
        self._of = {"symbol": symbol}

    def measure_time(self) -> None:
        asked_s = self._time.local()
        self._time.learn(int(self._read("time")["serverTime"]), asked_s)

    def market(self) -> SpotMarket:
        answer = self._ask("exchangeInfo", self._of)
        if code_of(answer) == _INVALID_SYMBOL:
            raise SettingsError([f"Binance spot has no {self.symbol}"])
        body = _body(answer)
        self._limits.read(body.get("rateLimits") or ())
        found = [raw for raw in body.get("symbols") or () if raw.get("symbol") == self.symbol]
        if not found:
            raise SettingsError([f"Binance spot has no {self.symbol}"])
        return SpotMarket.read(found[0])

    def open_orders(self) -> list[Row]:
        return self._rows("openOrders.status", self._of)

    def order(self, wire_id: str) -> Row | None:
        """One order by its client id; None where the venue does not know it."""
        answer = self._ask("order.status", {**self._of, "origClientOrderId": wire_id})
        if code_of(answer) in NOT_FOUND:
            return None
        return dict(_body(answer))

    def fills(self, **cursor: str) -> list[Row]:
        """Oldest first: the latest, or all from the cursor `fromId` or `startTime` on."""
        found: dict[int, Row] = {}
        while True:
            page = self._rows("myTrades", {**self._of, "limit": _MOST, **cursor})
            new = {int(row["id"]): row for row in page if int(row["id"]) not in found}
            found |= new
            if not cursor or not new or len(page) < int(_MOST):
                return list(found.values())
            cursor = {"fromId": str(max(found) + 1)}

    def trades(self, count: int) -> list[Row]:
        return self._rows("trades.recent", {**self._of, "limit": str(count)})

    def bars(self, size: str, count: int) -> list[list[Any]]:
        """Of a BitMEX `binSize`, which Binance calls the same; oldest first."""
        asked = {**self._of, "interval": size, "limit": str(min(int(_MOST), count))}
        return self._rows("klines", asked)  # type: ignore[return-value]  # rows are lists

    def touch(self) -> Row:
        return self._read("ticker.book", self._of)

    def account(self) -> Row:
        return self._read("account.status", {"omitZeroBalances": "true"})

    def _rows(self, method: str, params: Mapping[str, str]) -> list[Row]:
        answer = self._ask(method, params)
        if answer.status == 200 and isinstance(answer.body, list):
            return answer.body
        _body(answer)
        raise ExchangeError(answer.status, "an answer that holds no rows")

    def _read(self, method: str, params: Mapping[str, str] | None = None) -> Row:
        return dict(_body(self._ask(method, params or {})))

    def _ask(self, method: str, params: Mapping[str, str]) -> Answer:
        return self._send([Call(method, params)])[0]


def _body(answer: Answer) -> Mapping[str, Any]:
    if is_yes(answer):
        body: Mapping[str, Any] = answer.body
        return body
    judged = refusal(answer)
    if judged.answer is not None and judged.answer.refuses_key:
        raise AuthenticationError(f"the exchange refuses the key: {words_of(answer)}")
    raise ExchangeError(answer.status, words_of(answer))
