"""One client of one of HitBTC's sockets: its login, its channels and its orders.

The answer to a request is the report itself; that report is also pushed, before the answer or
after it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Message, Scope
from market_maker.simulator.dialects.hitbtc import API, unauthorized
from market_maker.simulator.dialects.hitbtc_desk import HitbtcError
from market_maker.simulator.dialects.hitbtc_dialect import HitbtcDialect
from market_maker.simulator.dialects.hitbtc_feed import BALANCES, ORDERS, channel_of
from market_maker.simulator.dialects.hitbtc_rows import error_body
from market_maker.simulator.exchange import Account

_VERBS = {  # method -> the verb of the call that does the same
    "spot_new_order": "POST",
    "spot_replace_order": "PATCH",
    "spot_cancel_order": "DELETE",
    "spot_cancel_orders": "DELETE",
}


class HitbtcSession:
    """One client of one socket: "public" or "trading"; *account* has logged in already."""

    def __init__(self, dialect: HitbtcDialect, kind: str, account: Account | None = None) -> None:
        self.account = account
        self.ending = ""
        self._dialect, self._feed, self._kind = dialect, dialect.feed, kind
        self._say: Callable[[Message], None] = lambda _: None
        self._follows: set[tuple[str, str | None]] = set()
        self._methods: dict[str, Callable[[Account, Mapping[str, Any]], Any]] = {
            "spot_get_orders": lambda a, p: self._feed.rest.open_orders(a, p),
            "spot_balances": lambda a, _: self._feed.rest.balances(a),
        }

    def wants(self, scope: Scope) -> bool:
        """Whether a push of *scope* is for this client."""
        if (scope.table, scope.symbol) not in self._follows:
            return False
        return scope.account is None or (
            self.account is not None and self.account.number == scope.account
        )

    def begin(self, topics: list[str], say: Callable[[Message], None]) -> list[Message]:
        """HitBTC says nothing before it is asked; *say* sends answers to orders."""
        del topics
        self._say = say
        return []

    def undecodable(self, reason: str) -> list[Message]:
        return [_failure({}, HitbtcError(10001, "Validation error", reason))]

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""
        if not isinstance(message, Mapping) or not isinstance(message.get("method"), str):
            return [_failure({}, HitbtcError(10001, "Validation error", "no method"))]
        params = message.get("params")
        try:
            if params is not None and not isinstance(params, Mapping):
                raise HitbtcError(10001, "Validation error", "params: must be an object")
            return list(self._answer(message, str(message["method"]), params or {}))
        except HitbtcError as error:
            return [_failure(message, error)]

    def _answer(
        self, message: Mapping[str, Any], method: str, params: Mapping[str, Any]
    ) -> Iterable[Message]:
        if self._kind == "public":
            return self._subscribe(message, method, params)
        if method == "login":
            return [self._log_in(message, params)]
        if self.account is None:
            raise unauthorized("log in first")
        if method == "spot_subscribe":
            self._follow(ORDERS)
            orders = [{**row, "report_type": "status"} for row in self._open_orders()]
            snapshot = {"jsonrpc": "2.0", "method": "spot_orders", "params": orders}
            return [_result(message, True), snapshot]
        if method == "spot_balance_subscribe":
            self._follow(BALANCES)
            return [_result(message, True), self._feed.balance(self.account)]
        if method in _VERBS:
            self._order(message, method, params)
            return []
        if method in self._methods:
            return [_result(message, self._methods[method](self.account, params))]
        raise HitbtcError(10001, "Validation error", f"method {method} is not known")

    def _order(self, message: Mapping[str, Any], method: str, params: Mapping[str, Any]) -> None:
        wire, path = dict(params), f"{API}/spot/order"
        if method in ("spot_replace_order", "spot_cancel_order"):
            path += f"/{wire.pop('client_order_id', '')}"

        def reply(answer: Answer) -> None:
            body = answer.body
            if isinstance(body, Mapping) and "error" in body:
                self._say(_echo(message, dict(body)))
            elif answer.status == 200:  # a page of a proxy has no form here
                self._say(_result(message, body))

        self._dialect.ask(Request(_VERBS[method], path, None, wire), self.account, reply)

    def _open_orders(self) -> list[Row]:
        assert self.account is not None
        return self._feed.rest.open_orders(self.account, {})

    def _follow(self, what: str) -> None:
        self._follows.add((what, None))
        self._feed.ask(what)

    def _log_in(self, message: Mapping[str, Any], params: Mapping[str, Any]) -> Message:
        key, signed, timestamp, window = (
            str(params.get(name) or "") for name in ("api_key", "signature", "timestamp", "window")
        )
        if params.get("type") != "HS256":
            raise unauthorized("unsupported authorization method")
        try:
            self.account = self._feed.rest.check(
                key, signed, timestamp, window, f"{timestamp}{window}"
            )
        except HitbtcError:
            self.ending = "login refused"
            raise
        return _result(message, True)

    def _subscribe(
        self, message: Mapping[str, Any], method: str, params: Mapping[str, Any]
    ) -> Iterable[Message]:
        name = str(message.get("ch") or "")
        channel, symbols = channel_of(name), params.get("symbols") or []
        if method not in ("subscribe", "unsubscribe") or not channel:
            raise HitbtcError(10001, "Validation error", f"{method} {name} is not known")
        if not isinstance(symbols, list):
            raise HitbtcError(10001, "Validation error", "symbols: must be a list")
        rest = self._feed.rest
        chosen = list(rest.spots) if symbols == ["*"] else symbols
        spots = [rest.desk.spot({"symbol": symbol}) for symbol in chosen]
        told = {"ch": name, "subscriptions": chosen}
        if method == "unsubscribe":
            for spot in spots:
                self._follows.discard((name, spot.name))
            return [_result(message, told)]
        answers = [_result(message, told)]
        self._feed.ask(name)
        for spot in spots:
            self._follows.add((name, spot.name))
            image = self._feed.image(channel, spot)
            if image is not None:
                answers.append({"ch": name, image[0]: {spot.name: image[1]}})
        return answers


def _echo(message: Mapping[str, Any], body: Row) -> Message:
    answer: Message = {"jsonrpc": "2.0", **body}
    return answer | ({"id": message["id"]} if message.get("id") is not None else {})


def _result(message: Mapping[str, Any], result: Any) -> Message:
    return _echo(message, {"result": result})


def _failure(message: Mapping[str, Any], error: HitbtcError) -> Message:
    return _echo(message, error_body(error))
