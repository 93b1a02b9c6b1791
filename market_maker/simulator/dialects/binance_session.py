"""One client of Binance's public streams, and one of its WebSocket API."""

from collections.abc import Callable, Mapping
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.binance import API, ROUTES
from market_maker.simulator.dialects.binance_desk import BinanceError
from market_maker.simulator.dialects.binance_dialect import BinanceDialect
from market_maker.simulator.dialects.binance_limits import rows_of
from market_maker.simulator.dialects.binance_stream import ACCOUNT, is_stream
from market_maker.simulator.dialects.bitmex_feed import Message, Scope
from market_maker.simulator.exchange import Account

Say = Callable[[Message], None]


class PublicSession:
    """A client of the public streams; *is_combined* has each frame in its stream's name."""

    def __init__(
        self, dialect: BinanceDialect, streams: list[str], is_combined: bool = True
    ) -> None:
        self.ending = ""
        self._feed, self._is_combined = dialect.feed, is_combined
        self._wanted = streams
        self._follows: set[str] = set()

    def begin(self, topics: list[str], say: Say) -> list[Message]:
        """Begin the streams that the address names."""
        del say
        return [frame for name in [*self._wanted, *topics] for frame in self._follow(name)]

    def undecodable(self, reason: str) -> list[Message]:
        return [{"error": {"code": 3, "msg": f"Invalid JSON: {reason}"}, "id": None}]

    def wants(self, scope: Scope) -> bool:
        is_kind = scope.table.startswith("raw:") != self._is_combined
        return scope.account is None and is_kind and _name(scope) in self._follows

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""
        told = message if isinstance(message, Mapping) else {}
        number, params, method = told.get("id"), told.get("params"), told.get("method")
        if method == "LIST_SUBSCRIPTIONS":
            return [{"result": sorted(self._follows), "id": number}]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not isinstance(params, list):
            return [{"error": {"code": 2, "msg": "Invalid request: unknown method"}, "id": number}]
        done: Message = {"result": None, "id": number}
        if method == "UNSUBSCRIBE":
            self._follows -= set(map(str, params))
            return [done]
        return [done, *(frame for name in map(str, params) for frame in self._follow(name))]

    def _follow(self, name: str) -> list[Message]:
        symbol, _, stream = name.partition("@")
        pair = self._feed.api.pairs.get(symbol.upper())
        if pair is None or not is_stream(stream):
            return []  # Binance says nothing of it
        self._follows.add(name)
        self._feed.asked.add(stream if self._is_combined else f"raw:{stream}")
        image = self._feed.image(stream, pair)
        if image is None:
            return []
        return [{"stream": name, "data": image} if self._is_combined else image]


class ApiSession:
    """A client of the WebSocket API."""

    def __init__(self, dialect: BinanceDialect) -> None:
        self.ending = ""
        self._dialect = dialect
        self._say: Say = lambda _: None
        self._account_no: int | None = None  # whose events it hears

    def begin(self, topics: list[str], say: Say) -> list[Message]:
        """Binance says nothing before it is asked; *say* sends the answers."""
        del topics
        self._say = say
        return []

    def undecodable(self, reason: str) -> list[Message]:
        return [_error(None, BinanceError(-1000, f"Invalid JSON: {reason}"))]

    def wants(self, scope: Scope) -> bool:
        is_own = scope.account is not None and scope.account == self._account_no
        return scope.table == ACCOUNT and is_own

    def receive(self, message: Any) -> list[Message]:
        """What is wrong with a frame at once; answers to requests come by `say`."""
        if not isinstance(message, Mapping) or not isinstance(message.get("method"), str):
            return [_error(None, BinanceError(-1000, "Invalid request."))]
        number, params = message.get("id"), message.get("params") or {}
        try:
            if not isinstance(params, Mapping):
                raise BinanceError(-1102, "Mandatory parameter 'params' was malformed.")
            return self._obey(number, message["method"], params)
        except BinanceError as error:
            return [_error(number, error)]

    def _obey(self, number: Any, method: str, params: Mapping[str, Any]) -> list[Message]:
        api = self._dialect.api
        done: Message = {"id": number, "status": 200, "result": {}, "rateLimits": []}
        if method == "userDataStream.subscribe.signature":
            account = api.identify_frame(params)
            if self._account_no == account.number:
                raise BinanceError(-2035, "User Data Stream subscription already active.")
            self._account_no = account.number
            return [done | {"result": {"subscriptionId": 0}}]
        if method == "userDataStream.unsubscribe":
            self._account_no = None
            return [done]
        route = ROUTES.get(method)
        if route is None:
            raise BinanceError(-1020, "This operation is not supported.")
        who: Account | None = api.identify_frame(params) if route.is_signed else None
        query = {name: value for name, value in params.items() if name != "signature"}
        request = Request(route.verb, API + route.path, query)
        self._dialect.ask(request, who, lambda answer: self._say(_told(number, answer)))
        return []


def _told(number: Any, answer: Answer) -> Message:
    frame: Message = {"id": number, "status": answer.status}
    limits = rows_of(answer.headers)
    if answer.status == 200:
        return frame | {"result": answer.body, "rateLimits": limits}
    error = answer.body
    if not isinstance(error, Mapping):  # a page of a proxy has no form here
        error = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
    return frame | {"error": dict(error), "rateLimits": limits}


def _error(number: Any, error: BinanceError) -> Message:
    return {"id": number, "status": error.status, "error": error.body, "rateLimits": []}


def _name(scope: Scope) -> str:
    return f"{str(scope.symbol).lower()}@{scope.table.removeprefix('raw:')}"
