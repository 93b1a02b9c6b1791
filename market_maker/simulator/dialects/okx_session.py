"""One client of one of OKX's sockets: its login, its channels and its orders.

The private socket takes orders too; its frames name the instrument by number (since 2026).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Message, Scope
from market_maker.simulator.dialects.okx_desk import OkxError
from market_maker.simulator.dialects.okx_dialect import OkxDialect
from market_maker.simulator.dialects.okx_stream import PRIVATE, PUBLIC
from market_maker.simulator.exchange import Account

LOGIN = "/users/self/verify"
SOCKETS = ("public", "private", "business")
_OPS = {  # op -> the call that does the same
    "order": "/trade/order",
    "batch-orders": "/trade/batch-orders",
    "amend-order": "/trade/amend-order",
    "batch-amend-orders": "/trade/amend-batch-orders",
    "cancel-order": "/trade/cancel-order",
    "batch-cancel-orders": "/trade/cancel-batch-orders",
}
_LOGIN_CODES = {"50111": "60005", "50113": "60007", "50105": "60024"}  # REST's code -> the login's
_CONNECTION = "a4d3ae55"

Charge = Callable[[Request, Account | None], Answer | None]


class OkxSession:
    """A client of the socket *kind*; *account* has shown its key already, if given.

    *charge* refuses calls beyond the client's rate limits.
    """

    def __init__(
        self,
        dialect: OkxDialect,
        kind: str,
        account: Account | None = None,
        charge: Charge = lambda *_: None,
    ) -> None:
        self.account = account
        self.ending = ""
        self._dialect, self._kind, self._charge = dialect, kind, charge
        self._say: Callable[[Message], None] = lambda _: None
        self._follows: set[tuple[str, str | None]] = set()  # channel and what of: _what(arg)

    def begin(self, topics: list[str], say: Callable[[Message], None]) -> list[Message]:
        """OKX says nothing before it is asked; *say* sends answers to orders."""
        del topics
        self._say = say
        return []

    def undecodable(self, reason: str) -> list[Message]:
        return [_error("60012", f"Illegal request: {reason}")]

    def wants(self, scope: Scope) -> bool:
        """Whether a push of *scope* is for this client."""
        listing = self._dialect.rest.market.listings.get(str(scope.symbol))
        kinds = (None, scope.symbol, listing.inst_type if listing else None)
        if not any((scope.table, kind) in self._follows for kind in kinds):
            return False
        return scope.account is None or (
            self.account is not None and self.account.number == scope.account
        )

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame; those to orders come by `say`."""
        if not isinstance(message, Mapping):
            return [_error("60012", "Illegal request")]
        op, args = str(message.get("op")), message.get("args")
        if op in _OPS:
            self._order(message, op, args)
            return []
        if not isinstance(args, list) or not all(isinstance(arg, Mapping) for arg in args):
            return [_error("60012", f"Illegal request: {op}")]
        if op == "login":
            return [self._log_in(args[0] if args else {})]
        if op == "subscribe":
            return [answer for arg in args for answer in self._subscribe(arg)]
        if op == "unsubscribe":
            return [self._unsubscribe(arg) for arg in args]
        return [_error("60012", f"Illegal request: {op}")]

    def _log_in(self, arg: Mapping[str, Any]) -> Message:
        rest = self._dialect.rest
        key, passphrase, timestamp, signed = (
            str(arg.get(name) or "") for name in ("apiKey", "passphrase", "timestamp", "sign")
        )
        try:
            if abs(float(timestamp or 0) - rest.now_s()) > 30:
                return _error("60006", "Timestamp request expired")
            self.account = rest.check(key, passphrase, signed, timestamp, "GET", LOGIN)
        except OkxError as error:
            self.ending = "login refused"
            return _error(_LOGIN_CODES.get(error.code, "60009"), error.message)
        except ValueError:
            return _error("60004", "Invalid timestamp")
        return {"event": "login", "code": "0", "msg": "", "connId": _CONNECTION}

    def _subscribe(self, arg: Mapping[str, Any]) -> Iterable[Message]:
        channel, inst_id = str(arg.get("channel")), arg.get("instId")
        known = {"public": PUBLIC, "private": PRIVATE}.get(self._kind, ())
        if channel not in known:
            return [_error("60018", f"Wrong URL or channel:{channel} doesn't exist.")]
        if channel in PRIVATE and self.account is None:
            return [_error("60011", "Please log in")]
        try:
            listings = self._dialect.rest.market.chosen(arg)
        except OkxError:
            return [_error("60018", f"Wrong URL or instId:{inst_id} doesn't exist.")]
        self._follows.add((channel, _what(arg)))
        feed = self._dialect.feed
        feed.asked.add(channel)
        answers: list[Message] = [
            {"event": "subscribe", "arg": dict(arg), "connId": _CONNECTION},
        ]
        data = feed.image(channel, listings, self.account)
        if data:
            image: Message = {"arg": dict(arg), "data": data}
            if channel == "books":
                image["action"] = "snapshot"
            answers.append(image)
        return answers

    def _unsubscribe(self, arg: Mapping[str, Any]) -> Message:
        self._follows.discard((str(arg.get("channel")), _what(arg)))
        return {"event": "unsubscribe", "arg": dict(arg), "connId": _CONNECTION}

    def _order(self, message: Mapping[str, Any], op: str, args: Any) -> None:
        frame: Message = {"id": str(message.get("id") or ""), "op": op}
        path = _OPS[op]
        try:
            if self.account is None:
                raise OkxError("60011", "Please log in")
            if not isinstance(args, list) or not args or (len(args) > 1 and "batch" not in path):
                raise OkxError("60012", "Illegal request")
            if any(isinstance(a, Mapping) and a.get("instIdCode") is None for a in args):
                raise OkxError("51000", "Parameter instIdCode can not be empty")
            self._dialect.rest.check_expiry(message.get("expTime"))
        except OkxError as error:
            self._say(frame | {"code": error.code, "msg": error.message, "data": []})
            return
        request = Request("POST", path, None, args if "batch" in path else args[0])

        def reply(answer: Answer) -> None:
            if isinstance(answer.body, Mapping):  # a page of a proxy has no form here
                now = str(round(self._dialect.rest.now_s() * 1_000_000))
                self._say(frame | dict(answer.body) | {"inTime": now, "outTime": now})

        refused = self._charge(request, self.account)
        if refused is not None:
            reply(refused)
        else:
            self._dialect.ask(request, self.account, reply)


def _what(arg: Mapping[str, Any]) -> str | None:
    """An instrument, all of a type, or (None) everything."""
    kind = arg.get("instType")
    found = arg.get("instId") or (None if kind == "ANY" else kind)
    return str(found) if found else None


def _error(code: str, text: str) -> Message:
    return {"event": "error", "code": code, "msg": text, "connId": _CONNECTION}
