"""One client of the stream: its subscriptions and commands, on Python objects.

The socket server and the in-process twin both speak through it. Every method must be called
under the engine's lock, so that an image and the deltas after it never miss or repeat a change.
"""

from collections.abc import Callable, Mapping
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.auth import NAMES, NONCE, identify
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_call import find_symbol
from market_maker.simulator.dialects.bitmex_feed import Message, Scope
from market_maker.simulator.dialects.bitmex_help import DOCS, websocket_help
from market_maker.simulator.dialects.bitmex_tables import PRIVATE, TABLES, WITHOUT_SYMBOL
from market_maker.simulator.exchange import Account, Refused
from market_maker.simulator.instruments import iso_time

REALTIME = "/realtime"
MULTIPLEXED = "/realtimemd"
STREAMS = (REALTIME, "/realtimePlatform", MULTIPLEXED)  # all sign the first of these paths
SEE_DOCS = f" Please see the documentation at {DOCS}."
MAX_TOPICS = 200  # of one request; our bound
MAX_ERRORS = 20  # of one connection; BitMEX disconnected after "many" and named no number
CLASSIC_VERSION = "2018-06-29T18:05:14.000Z"
CLASSIC_CONNECTS = 40  # per hour, which the classic welcome tells

Handle = Callable[[Request, Account | None], Answer]


class Session:
    """What one connection is subscribed to, and as whom."""

    def __init__(
        self,
        dialect: Dialect,
        account: Account | None = None,
        handle: Handle | None = None,
        connects_left: int | None = None,
    ) -> None:
        """*handle* answers what a command asks of the REST side; without it, the dialect."""
        self.dialect = dialect
        self.account = account
        self.ending = ""  # why the connection ends after its last answers
        self._handle = handle or dialect.handle
        self._connects_left = CLASSIC_CONNECTS - 1 if connects_left is None else connects_left
        self._errors = 0
        self._topics: dict[str, tuple[str, str | None]] = {}  # as sent -> (table, symbol)
        self._follows: set[tuple[str, str | None]] = set()  # the same without their spelling

    def sibling(self) -> "Session":
        """A fresh session of the same client."""
        return Session(self.dialect, self.account, self._handle, self._connects_left)

    def welcome(self) -> Message:
        """The first frame of a connection."""
        now = iso_time(self.dialect.engine.now())
        info = "Welcome to the BitMEX Realtime API."
        if self.dialect.is_classic:
            limit = {"remaining": self._connects_left}
            return {
                "info": info, "version": CLASSIC_VERSION, "timestamp": now, "docs": DOCS,
                "limit": limit,
            }  # fmt: skip
        return {
            "info": info, "version": "2.0.0", "timestamp": now, "docs": DOCS,
            "heartbeatEnabled": False, "limit": {}, "appName": "ws-feedhandler-1",
        }  # fmt: skip

    def begin(self, topics: list[str], say: Callable[[Message], None]) -> list[Message]:
        """The first frames of a connection."""
        del say  # every frame here answers another, or tells of an event
        return [self.welcome(), *self.counted(self.subscribe(topics))]

    def undecodable(self, reason: str) -> list[Message]:
        return self.counted([decode_error(reason)])

    def wants(self, scope: Scope) -> bool:
        """Whether a message of *scope* is for this client."""
        follows = self._follows
        if (scope.table, scope.symbol) not in follows and (scope.table, None) not in follows:
            return False
        number = self.account.number if self.account else None
        return scope.account is None or scope.account == number

    def receive(self, message: Any) -> list[Message]:
        """The answer to one decoded frame of the client."""
        if message == "help":
            return [websocket_help()]
        if not isinstance(message, Mapping):
            return self.counted([decode_error("not an object")])
        request = {"op": message.get("op"), "args": message.get("args")}
        try:
            return self.counted(self._obey(request["op"], _arguments(message), request))
        except Refused as refused:
            return self.counted([_error(refused.status, refused.message, request)])

    def _obey(self, op: Any, arguments: list[Any], request: Message) -> list[Message]:
        if len(arguments) > MAX_TOPICS:  # each answer repeats the whole request
            text = "Max Pending subscription limit reached, please try again later."
            return [_error(503, text, request)]
        match op:
            case "subscribe":
                return self.subscribe(arguments, request)
            case "unsubscribe":
                return self._unsubscribe(arguments, request)
            case "authKeyExpires":
                return [self._authenticate(dict(zip(NAMES, arguments, strict=False)), request)]
            case "authKey":  # the scheme before: key, nonce, signature
                names = (NAMES[0], NONCE, NAMES[2])
                return [self._authenticate(dict(zip(names, arguments, strict=False)), request)]
            case "cancelAllAfter":
                return self._cancel_all_after(arguments, request)
            case "help":
                return [websocket_help()]
        return [_error(400, f"Unknown command: {op}.{SEE_DOCS}", request)]

    def counted(self, answers: list[Message]) -> list[Message]:
        """*answers*; too many errors among them end the connection."""
        self._errors += sum("error" in answer for answer in answers)
        if self._errors > MAX_ERRORS and not self.ending:
            self.ending = "too many errors"
        return answers

    def subscribe(
        self, topics: list[Any], request: Mapping[str, Any] | None = None
    ) -> list[Message]:
        """Acknowledge each topic and begin it with its image; one bad topic fails them all."""
        answers: list[Message] = []
        found = []
        for topic in topics:
            asked = request or {"op": "subscribe", "args": topic}
            table, symbol, error = self._topic(str(topic))
            if error is not None:
                return [{**error, "request": asked}]
            found.append((str(topic), table, symbol, asked))
        for topic, table, symbol, asked in found:
            if topic in self._topics:
                text = f"You are already subscribed to this topic:{topic}.{SEE_DOCS}"
                answers.append(_error(400, text, asked))
                continue
            self._topics[topic] = (table, symbol)
            self._follows.add((table, symbol))
            answers.append(self._acknowledge(topic, table, asked))
            number = self.account.number if self.account and table in PRIVATE else None
            answers.append(self.dialect.partial(table, symbol, number))
        return answers

    def _acknowledge(self, topic: str, table: str, request: Mapping[str, Any]) -> Message:
        ack: Message = {"success": True, "subscribe": topic, "request": request}
        if not self.dialect.is_classic and table not in PRIVATE:
            ack["pool"] = "Primary"  # since May 2026; we have one book
        return ack

    def _topic(self, topic: str) -> tuple[str, str | None, Message | None]:
        name, _, asked = topic.partition(":")
        table = TABLES.get(name)
        if table is None and name not in PRIVATE:
            return name, None, _error(400, f"Unknown table: {name}")
        if name in PRIVATE and self.account is None:
            return name, None, _locked()
        if table is None:
            return name, None, _error(400, f"Unknown table: {name}")
        if not asked or name in WITHOUT_SYMBOL:
            return name, None, None
        symbol = find_symbol(self.dialect.feed, asked)
        if symbol is None:
            text = "Unknown or expired symbol."
            if not self.dialect.is_classic:
                text = f"Unknown or expired symbol: {asked}.{SEE_DOCS}"
            return name, None, _error(400, text)
        return name, symbol, None

    def _unsubscribe(self, topics: list[Any], request: Mapping[str, Any]) -> list[Message]:
        answers: list[Message] = []
        for topic in map(str, topics):
            if self._topics.pop(topic, None) is None:
                text = f"You are not subscribed to this topic:{topic}.{SEE_DOCS}"
                answers.append(_error(400, text, request))
            else:
                answers.append({"success": True, "unsubscribe": topic, "request": request})
        self._follows = set(self._topics.values())
        return answers

    def _authenticate(self, credentials: Mapping[str, Any], request: Message) -> Message:
        if self.account is not None:
            raise Refused("You are already authenticated.")
        self.ending = "authentication failed"
        texts = {name: str(value) for name, value in credentials.items()}
        self.account = identify(self.dialect.engine, texts, "GET", REALTIME)
        if self.account is None:
            raise Refused("Invalid API Key.", 401)
        self.ending = ""
        return {"success": True, "request": request}

    def _cancel_all_after(self, arguments: list[Any], request: Message) -> list[Message]:
        timeout = {"timeout": arguments[0] if arguments else None}
        asked = Request("POST", "/order/cancelAllAfter", None, timeout)
        answer = self._handle(asked, self.account)
        if answer.status == 200:
            return [{**answer.body, "request": request}]
        if not isinstance(answer.body, Mapping):
            return []  # lost on its way, or a page of a proxy: the stream has no form for it
        frame = _error(answer.status, answer.body["error"]["message"], request)
        if "retry-after" in answer.headers:
            frame["meta"] = {"retryAfter": int(answer.headers["retry-after"])}
        return [frame]


def decode_error(reason: str) -> Message:
    """The frame for input that is not JSON; it repeats no request."""
    text = f"Failed to decode incoming data: {reason}.{SEE_DOCS}"
    return {"status": 400, "error": text, "meta": {}}


def _error(status: int, text: str, request: Mapping[str, Any] | None = None) -> Message:
    frame: Message = {"status": status, "error": text, "meta": {}}
    return frame if request is None else {**frame, "request": request}


def _locked() -> Message:
    notes = f"Account-locked tables include the following: {','.join(PRIVATE)}"
    text = "User requested an account-locked subscription but no authorization was provided."
    return {"status": 401, "error": text, "meta": {"notes": notes}}


def _arguments(message: Mapping[str, Any]) -> list[Any]:
    arguments = message.get("args")
    if arguments is None:
        return []
    return list(arguments) if isinstance(arguments, list) else [arguments]
