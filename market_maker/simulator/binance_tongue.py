"""Binance spot's language on the wire: signatures, its sockets, its own form of every failure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance import API, refused
from market_maker.simulator.dialects.binance_desk import BinanceError
from market_maker.simulator.dialects.binance_dialect import BinanceDialect
from market_maker.simulator.dialects.binance_session import ApiSession, PublicSession
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import Fate, Faults
from market_maker.simulator.faulty_dialect import Faulty
from market_maker.simulator.tongue import Call, Heard, Line

WS_API, COMBINED, RAW = "/ws-api/v3", "/stream", "/ws"
_REFUSALS = {  # HTTP status -> what Binance says with it
    400: (-1100, "Illegal characters found in a parameter."),
    401: (-2015, "Invalid API-key, IP, or permissions for action."),
    403: (-2015, "Invalid API-key, IP, or permissions for action."),
    404: (-1000, "Not found."),
    429: (-1003, "Too much request weight used."),
    500: (-1000, "An unknown error occurred while processing the request."),
    503: (-1008, "Server is currently overloaded with other requests."),
}
# The bot's names of tables, which faults use, by the stream that tells of them.
_TABLES = {
    "account": ("order", "execution", "margin", "position"),
    "bookTicker": ("quote",), "trade": ("trade",),
}  # fmt: skip
_TIMES = frozenset(
    {"E", "T", "O", "W", "time", "updateTime", "transactTime", "workingTime", "serverTime"}
)


class _Paths(tuple[str, ...]):
    """Raw streams have a name or a number of the client's own behind their path."""

    __slots__ = ()

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or str(path).startswith(f"{RAW}/")


class BinanceTongue:
    """Binance spot."""

    root = API
    stream = WS_API
    sockets: tuple[str, ...] = _Paths((WS_API, COMBINED, RAW))

    def __init__(self, dialect: BinanceDialect) -> None:
        self.dialect = dialect

    def keys(self, account: Account) -> dict[str, str]:
        return {"key": account.key, "secret": account.secret}

    def key_of(self, call: Call) -> str:
        return call.headers.get("x-mbx-apikey", "")

    def read(self, call: Call) -> Heard:
        request = Request(call.verb, call.path, {})
        try:
            body = call.body.decode("ascii", "replace")
            read = self.dialect.api.read(
                call.verb, call.path, call.query_text, body, self.key_of(call)
            )
            return Heard(request._replace(query=read.params), read.account)
        except BinanceError as error:
            return Heard(request, None, refused(error))

    def open_session(
        self, call: Call, line: Line
    ) -> tuple[ApiSession | PublicSession, list[str]] | Answer:
        del line  # the dialect counts what each request weighs
        if call.path.startswith(WS_API):
            return ApiSession(self.dialect), []
        named = parse_qs(call.query_text).get("streams", [""])[0]
        named = named or call.path.removeprefix(f"{RAW}/").removeprefix(COMBINED)
        streams = [name for name in named.split("/") if "@" in name]
        return PublicSession(self.dialect, streams, call.path.startswith(COMBINED)), []

    def refusal(self, status: int, message: str, name: str = "") -> Answer:
        del name
        return refused(BinanceError(*_REFUSALS.get(status, (-1000, message)), status))


class FaultyBinance(Faulty, BinanceDialect):
    """Binance's dialect on a wire that breaks."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        super().__init__(engine)
        self.break_by(faults)

    def fate(self, request: Request, account: Account | None) -> Fate:
        return super().fate(request._replace(path=request.path.removeprefix(API)), account)

    def worded(self, answer: Answer) -> Answer:
        if not isinstance(answer.body, Mapping) or answer.status not in _REFUSALS:
            return answer
        told = refused(BinanceError(*_REFUSALS[answer.status], answer.status))
        return told._replace(headers=answer.headers)

    def shifted(self, body: Any, seconds: float) -> Any:
        if isinstance(body, list):
            return [self.shifted(item, seconds) for item in body]
        if not isinstance(body, Mapping):
            return body
        return {
            name: value + round(seconds * 1000)
            if name in _TIMES and isinstance(value, int)
            else self.shifted(value, seconds)
            for name, value in body.items()
        }

    def names_of(self, table: str) -> tuple[str, ...]:
        kind = table.removeprefix("raw:").partition("@")[0]
        return (table, *_TABLES.get(kind, ("orderBookL2",)))


def faulty_binance(engine: Engine, faults: Faults | None = None) -> BinanceTongue:
    """Binance's language on a wire that breaks as *faults* say."""
    return BinanceTongue(FaultyBinance(engine, faults or Faults(engine)))
