"""Where clients meet the engine: one lock, the requests, and who hears which event.

A request is answered only after its events are queued for every subscriber, and an image is
taken under the same lock that registers its subscription: no delta is lost or doubled. Requests
enter the exchange in `_handle` only, its events leave it in `_on_event` only.
"""

import threading
from typing import Any, Protocol

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.limits import Limits
from market_maker.simulator.tongue import Call, Line, Session, Tongue


class Subscriber(Protocol):
    """A connection of the stream."""

    @property
    def session(self) -> Session: ...

    def put(self, text: str) -> None:
        """Queue one frame; never blocks."""

    def drop(self) -> None:
        """Cut the line."""


class Hub:
    """One engine and one language, shared by all connections of a server."""

    def __init__(self, tongue: Tongue, clock: Clock, limits: Limits | None = None) -> None:
        self.tongue = tongue
        self.dialect = tongue.dialect
        self.engine: Engine = self.dialect.engine
        self.clock = clock
        self.lock = threading.RLock()
        self.thawed = threading.Event()  # cleared while the sockets of the stream are frozen
        self.thawed.set()
        self._limits = limits
        self._subscribers: list[Subscriber] = []
        self.dialect.deliver = self.deliver
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
        with self.lock:
            self.advance()
            heard = self.tongue.read(call)
            return self._counted(heard.request, heard.account, call.address, heard.refusal)

    def _counted(
        self, request: Request, account: Account | None, address: str, refusal: Answer | None = None
    ) -> Answer:
        late, headers = self._charge(request, account, address)
        answer = late or refusal or self._handle(request, account)
        return answer._replace(headers={**answer.headers, **headers}) if headers else answer

    def _charge(
        self, request: Request, account: Account | None, address: str
    ) -> tuple[Answer | None, dict[str, str]]:
        """Count a call: the refusal of one too many, and what the answer's headers tell."""
        if self._limits is None:
            return None, {}
        client = f"account {account.number}" if account else f"address {address}"
        charge = self._limits.charge(client, account is not None, request, self.engine.now())
        if not charge.retry_after_s:
            return None, charge.headers
        return self.tongue.refusal(429, charge.message, "RateLimitError"), charge.headers

    def _handle(self, request: Request, account: Account | None) -> Answer:
        answer: Answer = self.dialect.handle(request, account)
        return answer

    # -- stream

    def open_session(self, call: Call) -> tuple[Session, list[str]] | Answer:
        """A session for an upgrade request and the topics its query asks for, or a refusal."""
        with self.lock:
            left = None
            if self._limits is not None:
                counted = self._limits.connect(call.address, self.engine.now())
                if counted.retry_after_s:
                    return Answer(429, {"error": counted.message}, counted.headers)
                left = int(counted.headers.get("x-ratelimit-remaining", 0))

            def handle(request: Request, account: Account | None) -> Answer:
                return self._counted(request, account, call.address)

            def charge(request: Request, account: Account | None) -> Answer | None:
                return self._charge(request, account, call.address)[0]

            return self.tongue.open_session(call, Line(handle, charge, left))

    def join(self, subscriber: Subscriber, topics: list[str]) -> None:
        """Welcome a connection and begin its first subscriptions."""
        with self.lock:
            self.advance()
            self._subscribers.append(subscriber)
            say = lambda message: subscriber.put(jsonx.dumps(message))  # noqa: E731
            self._send(subscriber, subscriber.session.begin(topics, say))

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
            return session.undecodable(str(error))
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
