"""Where clients meet the engine: one lock, the requests, and who hears which event.

A request is answered only after its events are queued for every subscriber, and an image is
taken under the same lock that registers its subscription: no delta is lost or doubled. Requests
enter the exchange in `_handle` only, its events leave it in `_on_event` only.
"""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.auth import NAMES, NONCE, identify
from market_maker.simulator.dialects.bitmex import API_ROOT, Dialect, error_answer, route_path
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.limits import RateLimits
from market_maker.simulator.parameters import parse_body, parse_query
from market_maker.simulator.session import REALTIME, Session, decode_error


class Call(NamedTuple):
    """One HTTP request as it came: `target` is path and query, byte for byte."""

    verb: str
    target: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    address: str  # of the client

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query_text(self) -> str:
        return self.target.partition("?")[2]


class Subscriber(Protocol):
    """A connection of the stream."""

    session: Session

    def put(self, text: str) -> None:
        """Queue one frame; never blocks."""

    def drop(self) -> None:
        """Cut the line."""


class Hub:
    """One engine and one dialect, shared by all connections of a server."""

    def __init__(
        self, engine: Engine, dialect: Dialect, clock: Clock, limits: RateLimits | None = None
    ) -> None:
        self.engine = engine
        self.dialect = dialect
        self.clock = clock
        self.lock = threading.RLock()
        self.thawed = threading.Event()  # cleared while the sockets of the stream are frozen
        self.thawed.set()
        self._limits = limits
        self._subscribers: list[Subscriber] = []
        self.engine.listeners.append(self._on_event)

    def now(self) -> float:
        """The time (Unix seconds) that answers are dated with."""
        return self.clock.now() + self.engine.skew_s

    def advance(self) -> float | None:
        """Let the engine act out what is due; seconds until it wants to act again, or None."""
        with self.lock:
            self.engine.advance_to(self.clock.now())
            due = self.engine.next_event_time()
            return None if due is None else due - self.clock.now()

    # -- REST

    def answer(self, call: Call) -> Answer:
        """Authenticate, count and answer one REST call."""
        path, query = route_path(call.path), parse_query(call.query_text)
        with self.lock:
            self.advance()
            account, body, refusal = None, None, None
            try:
                account = identify_call(self.engine, call, query)
                body = parse_body(call.body, call.headers.get("content-type", ""))
            except Refused as refused:
                refusal = error_answer(refused.status, refused.message, refused.name)
            except ValueError:
                refusal = error_answer(400, "Invalid JSON in the body", "ValidationError")
            if not f"{path}/".startswith(f"{API_ROOT}/"):
                refusal = error_answer(404, "Not Found")
            request = Request(call.verb, path[len(API_ROOT) :], query, body)
            return self._counted(request, account, call.address, refusal)

    def _counted(
        self, request: Request, account: Account | None, address: str, refusal: Answer | None = None
    ) -> Answer:
        if self._limits is None:
            return refusal or self._handle(request, account)
        client = f"account {account.number}" if account else f"address {address}"
        charge = self._limits.charge(client, account is not None, request, self.engine.now())
        if charge.retry_after_s:
            refusal = error_answer(429, charge.message, "RateLimitError")
        answer = refusal or self._handle(request, account)
        return answer._replace(headers={**answer.headers, **charge.headers})

    def _handle(self, request: Request, account: Account | None) -> Answer:
        return self.dialect.handle(request, account)

    # -- stream

    def open_session(self, call: Call) -> tuple[Session, list[str]] | Answer:
        """A session for an upgrade request and the topics its query asks for, or a refusal."""
        query = parse_query(call.query_text)
        with self.lock:
            now_s, left = self.engine.now(), None
            if self._limits is not None:
                charge = self._limits.connect(call.address, now_s)
                if charge.retry_after_s:
                    return Answer(429, {"error": charge.message}, charge.headers)
                left = int(charge.headers["x-ratelimit-remaining"])
            try:
                account = identify(self.engine, _credentials(call, query), "GET", REALTIME)
            except Refused as refused:
                return error_answer(refused.status, refused.message, refused.name)

            def handle(request: Request, account: Account | None) -> Answer:
                return self._counted(request, account, call.address)

            return Session(self.dialect, account, handle, left), _topics(query.get("subscribe"))

    def join(self, subscriber: Subscriber, topics: list[str]) -> None:
        """Welcome a connection and begin its first subscriptions."""
        with self.lock:
            self.advance()
            self._subscribers.append(subscriber)
            subscriber.put(jsonx.dumps(subscriber.session.welcome()))
            session = subscriber.session
            self._send(subscriber, session.counted(session.subscribe(topics)))

    @property
    def streams(self) -> int:
        """How many connections of the stream there are."""
        return len(self._subscribers)

    def cut(self) -> None:
        """Cut every connection of the stream."""
        for subscriber in list(self._subscribers):
            subscriber.drop()

    def leave(self, subscriber: Subscriber) -> None:
        with self.lock:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

    def receive(self, subscriber: Subscriber, text: str) -> None:
        """Act on one text frame of a client; the answers are queued for it."""
        if text == "ping":
            subscriber.put("pong")
            return
        with self.lock:
            self.advance()
            self._send(subscriber, self._answers(subscriber.session, text))

    def _answers(self, session: Session, text: str) -> list[dict[str, Any]]:
        if text == "help":
            return session.receive(text)
        try:
            message = jsonx.loads(text)
        except (ValueError, RecursionError) as error:
            return session.counted([decode_error(str(error))])
        return session.receive(message)

    def _send(self, subscriber: Subscriber, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            subscriber.put(jsonx.dumps(message))

    def _on_event(self, event: Event) -> None:
        self.deliver(self.dialect.render(event))

    def deliver(self, messages: list[Scoped]) -> None:
        """Queue each message for everyone who follows what it is about."""
        for scope, message in messages:
            text = ""
            for subscriber in self._subscribers:
                if subscriber.session.wants(scope):
                    text = text or jsonx.dumps(message)
                    subscriber.put(text)


def identify_call(engine: Engine, call: Call, query: dict[str, Any]) -> Account | None:
    """Whose key signed *call*; takes a signature in the query out of it. Raises Refused."""
    target = call.target
    if NAMES[0] in query and NAMES[0] not in call.headers:
        # a signature cannot cover itself: what is signed is the query without the three
        kept = [part for part in call.query_text.split("&") if part.partition("=")[0] not in NAMES]
        target = call.path + ("?" + "&".join(kept) if kept else "")
    credentials = _credentials(call, query)
    for name in (*NAMES, NONCE):
        query.pop(name, None)
    return identify(engine, credentials, call.verb, target, call.body)


def _credentials(call: Call, query: Mapping[str, Any]) -> dict[str, str]:
    source = call.headers if NAMES[0] in call.headers else query
    return {name: str(source[name]) for name in (*NAMES, NONCE) if name in source}


def _topics(asked: Any) -> list[str]:
    lists = asked if isinstance(asked, list) else [asked or ""]
    return [topic for text in lists for topic in str(text).split(",") if topic]
