"""One client of the stream: its subscriptions and commands, on Python objects.

The socket server and the in-process twin both speak through it. Every method must be called
under the engine's lock, so that an image and the deltas after it never miss or repeat a change.
"""

from collections.abc import Mapping
from typing import Any

from market_maker.simulator.auth import NAMES, identify
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_feed import Message, Scope
from market_maker.simulator.dialects.bitmex_orders import Call, cancel_all_after, find_symbol
from market_maker.simulator.dialects.bitmex_tables import PRIVATE, TABLES
from market_maker.simulator.exchange import Account, Refused
from market_maker.simulator.instruments import iso_time

DOCS = "https://www.bitmex.com/app/wsAPI"
REALTIME = "/realtime"
SEE_DOCS = f" Please see the documentation at {DOCS}."
OPS = ("subscribe", "unsubscribe", "authKeyExpires", "cancelAllAfter", "help")


class Session:
    """What one connection is subscribed to, and as whom."""

    def __init__(self, dialect: Dialect, account: Account | None = None) -> None:
        self.dialect = dialect
        self.account = account
        self.is_refused = False  # authentication failed: the connection ends
        self._topics: dict[str, tuple[str, str | None]] = {}  # as sent -> (table, symbol)
        self._follows: set[tuple[str, str | None]] = set()  # the same without their spelling

    def welcome(self) -> Message:
        """The first frame of a connection."""
        return {
            "info": "Welcome to the BitMEX Realtime API.",
            "version": "2.0.0",
            "timestamp": iso_time(self.dialect.engine.now()),
            "docs": DOCS,
            "heartbeatEnabled": False,
            "limit": {"remaining": 719} if self.dialect.is_classic else {},
        }

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
            return [self._help()]
        if not isinstance(message, Mapping):
            return [decode_error("not an object")]
        op, request = message.get("op"), {"op": message.get("op"), "args": message.get("args")}
        try:
            match op:
                case "subscribe":
                    return self.subscribe(_arguments(message), request)
                case "unsubscribe":
                    return self._unsubscribe(_arguments(message), request)
                case "authKeyExpires":
                    return [self._authenticate(_arguments(message), request)]
                case "cancelAllAfter":
                    return [self._cancel_all_after(_arguments(message), request)]
                case "help":
                    return [self._help()]
        except Refused as refused:
            return [_error(refused.status, refused.message, request)]
        return [_error(400, f"Unknown command: {op}.{SEE_DOCS}", request)]

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
            answers.append({"success": True, "subscribe": topic, "request": asked})
            number = self.account.number if self.account and table in PRIVATE else None
            answers.append(self.dialect.partial(table, symbol, number))
        return answers

    def _topic(self, topic: str) -> tuple[str, str | None, Message | None]:
        name, _, asked = topic.partition(":")
        table = TABLES.get(name)
        if table is None and name not in PRIVATE:
            return name, None, _error(400, f"Unknown table: {name}")
        if name in PRIVATE and self.account is None:
            return name, None, _locked()
        if table is None:
            return name, None, _error(400, f"Unknown table: {name}")
        if not asked or name == "margin":
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

    def _authenticate(self, arguments: list[Any], request: Mapping[str, Any]) -> Message:
        if self.account is not None:
            raise Refused("You are already authenticated.")
        credentials = dict(zip(NAMES, map(str, arguments), strict=False))
        self.is_refused = True
        self.account = identify(self.dialect.engine, credentials, "GET", REALTIME)
        if self.account is None:
            raise Refused("Invalid API Key.", 401)
        self.is_refused = False
        return {"success": True, "request": request}

    def _cancel_all_after(self, arguments: list[Any], request: Mapping[str, Any]) -> Message:
        timeout = {"timeout": arguments[0] if arguments else None}
        answer = cancel_all_after(Call(self.dialect.feed, timeout, self.account))
        return {**answer, "request": request}

    def _help(self) -> Message:
        return {
            "info": f"See {DOCS} for more information.",
            "usage": 'Send a message in the format: {"op": string, "args": Array<string>}',
            "ops": list(OPS),
            "subscribe": "To subscribe, send: {op: 'subscribe', args: [subscriptionTopic, ...]}.",
            "subscriptionSubjects": {
                "authenticationRequired": [name for name in TABLES if name in PRIVATE],
                "public": [name for name in TABLES if name not in PRIVATE],
            },
        }


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
