"""Where clients meet the engine: one lock, the requests, and who hears which event.

A request is answered only after its events are queued for every subscriber, and an image is
taken under the same lock that registers its subscription: no delta is lost or doubled.
"""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.auth import NAMES, identify
from market_maker.simulator.dialects.bitmex import API_ROOT, Dialect, error_answer, route_path
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.limits import RateLimits
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


class Hub:
    """One engine and one dialect, shared by all connections of a server."""

    def __init__(
        self, engine: Engine, dialect: Dialect, clock: Clock, limits: RateLimits | None = None
    ) -> None:
        self.engine = engine
        self.dialect = dialect
        self.lock = threading.RLock()
        self._clock = clock
        self._limits = limits
        self._subscribers: list[Subscriber] = []
        self.engine.listeners.append(self._on_event)

    def advance(self) -> float | None:
        """Let the engine act out what is due; seconds until it wants to act again, or None."""
        with self.lock:
            self.engine.advance_to(self._clock.now())
            due = self.engine.next_event_time()
            return None if due is None else due - self._clock.now()

    # -- REST

    def answer(self, call: Call) -> Answer:
        """Authenticate, count and answer one REST call."""
        path = route_path(call.path)
        if not f"{path}/".startswith(f"{API_ROOT}/"):
            return error_answer(404, "Not Found")
        query = dict(parse_qsl(call.query_text, keep_blank_values=True))
        with self.lock:
            self.advance()
            account, refusal = None, None
            try:
                account = identify_call(self.engine, call, query)
                body = parse_body(call)
            except Refused as refused:
                refusal = error_answer(refused.status, refused.message, refused.name)
            except ValueError:
                refusal = error_answer(400, "Invalid JSON in the body", "ValidationError")
            request = Request(call.verb, path[len(API_ROOT) :], query, None if refusal else body)
            return self._counted(call, request, account, refusal)

    def _counted(
        self, call: Call, request: Request, account: Account | None, refusal: Answer | None
    ) -> Answer:
        if self._limits is None:
            return refusal or self.dialect.handle(request, account)
        client = f"account {account.number}" if account else f"address {call.address}"
        charge = self._limits.charge(client, account is not None, request, self.engine.now())
        if charge.retry_after_s:
            refusal = error_answer(429, charge.message, "RateLimitError")
        answer = refusal or self.dialect.handle(request, account)
        return answer._replace(headers=charge.headers)

    # -- stream

    def open_session(self, call: Call) -> tuple[Session, list[str]]:
        """A session for an upgrade request, and the topics its query asks for; raises Refused."""
        query = dict(parse_qsl(call.query_text, keep_blank_values=True))
        with self.lock:
            account = identify(self.engine, _credentials(call, query), "GET", REALTIME)
            topics = [topic for topic in query.get("subscribe", "").split(",") if topic]
            return Session(self.dialect, account), topics

    def join(self, subscriber: Subscriber, topics: list[str]) -> None:
        """Welcome a connection and begin its first subscriptions."""
        with self.lock:
            self.advance()
            self._subscribers.append(subscriber)
            subscriber.put(jsonx.dumps(subscriber.session.welcome()))
            self._send(subscriber, subscriber.session.subscribe(topics))

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
        except ValueError as error:
            return [decode_error(str(error))]
        return session.receive(message)

    def _send(self, subscriber: Subscriber, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            subscriber.put(jsonx.dumps(message))

    def _on_event(self, event: Event) -> None:
        for scope, message in self.dialect.render(event):
            text = ""
            for subscriber in self._subscribers:
                if subscriber.session.wants(scope):
                    text = text or jsonx.dumps(message)
                    subscriber.put(text)


def identify_call(engine: Engine, call: Call, query: dict[str, str]) -> Account | None:
    """Whose key signed *call*; takes a signature in the query out of it. Raises Refused."""
    target = call.target
    if NAMES[0] in query and NAMES[0] not in call.headers:
        # a signature cannot cover itself: what is signed is the query without the three
        kept = [part for part in call.query_text.split("&") if part.partition("=")[0] not in NAMES]
        target = call.path + ("?" + "&".join(kept) if kept else "")
    credentials = _credentials(call, query)
    for name in NAMES:
        query.pop(name, None)
    return identify(engine, credentials, call.verb, target, call.body)


def _credentials(call: Call, query: Mapping[str, str]) -> dict[str, str]:
    source = call.headers if NAMES[0] in call.headers else query
    return {name: source[name] for name in NAMES if name in source}


def parse_body(call: Call) -> Any:
    """The parameters of a JSON or form body; raises ValueError."""
    if not call.body.strip():
        return None
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" and call.body.lstrip()[:1] not in (b"{", b"["):
        return dict(parse_qsl(call.body.decode(), keep_blank_values=True))
    return jsonx.loads(call.body)
