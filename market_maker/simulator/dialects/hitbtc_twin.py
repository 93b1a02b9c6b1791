"""HitBTC's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.hitbtc import signature
from market_maker.simulator.dialects.hitbtc_dialect import HitbtcDialect
from market_maker.simulator.dialects.hitbtc_session import HitbtcSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.twin import Sink


class HitbtcTwinTransport:
    """REST calls as function calls, each signed by its account."""

    def __init__(self, dialect: HitbtcDialect, account: Account | None) -> None:
        self._dialect, self._account = dialect, account

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        return [self._dialect.handle(request, self._account) for request in requests]

    def close(self) -> None:
        """Nothing to close."""


class HitbtcTwinStream:
    """One socket without a thread: it pushes to the attached sink as the engine moves.

    With `answers_first` the reports of what a request has done come after its answer.
    """

    pushed = True

    def __init__(
        self, dialect: HitbtcDialect, kind: str, topics: Sequence[Row], account: Account | None
    ) -> None:
        self.topics = list(topics)
        self.answers_first = False
        self._dialect, self._kind, self._account = dialect, kind, account
        self._session = HitbtcSession(dialect, kind)
        self._sink: Sink | None = None
        self._waiting: list[Scoped] | None = None  # pushes that wait for an answer

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, the login, Ready and the first pushes now; the rest as it happens."""
        self._session = HitbtcSession(self._dialect, self._kind)
        self._session.begin([], self._push)
        self._sink = sink
        sink(Connected(self._now_ns()))
        if self._account is not None:
            self._session.receive(self._login(self._account))
        sink(Ready(self._now_ns()))
        for topic in self.topics:
            self.send(topic)

    def deliver(self, messages: Sequence[Scoped]) -> None:
        if self._waiting is not None:
            self._waiting += messages
            return
        for scope, message in messages:
            if self._sink is not None and self._session.wants(scope):
                self._push(message)

    def __iter__(self) -> Iterator[Any]:
        """Nothing to wait for: everything is pushed."""
        return iter(())

    def send(self, message: Mapping[str, Any]) -> None:
        if self._sink is None:
            raise ConnectionError("the stream is not connected")
        self._waiting = [] if self.answers_first else None
        for answer in self._session.receive(message):
            self._push(answer)
        waiting, self._waiting = self._waiting or [], None
        self.deliver(waiting)

    def subscribe(self, topic: Any) -> None:
        self.topics.append(topic)
        self.send(topic)

    def reconnect(self) -> None:
        sink = self._sink
        if sink is not None:
            self.close()
            self.attach(sink)

    def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink(Disconnected(self._now_ns(), "closed"))

    def _login(self, account: Account) -> Row:
        now = int(self._dialect.engine.now() * 1000)
        signed = signature(account.secret, str(now))
        params = {"type": "HS256", "api_key": account.key, "timestamp": now, "signature": signed}
        return {"method": "login", "params": params}

    def _push(self, message: dict[str, Any]) -> None:
        if self._sink is not None:
            self._sink(Message(self._now_ns(), message))

    def _now_ns(self) -> int:
        return int(self._dialect.engine.now() * 1e9)


class HitbtcTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        public_topics: Sequence[Row],
        private_topics: Sequence[Row],
    ) -> None:
        self.dialect = dialect = HitbtcDialect(engine)
        self.transport = HitbtcTwinTransport(dialect, account)
        self.streams = {
            "public": HitbtcTwinStream(dialect, "public", public_topics, None),
            "private": HitbtcTwinStream(dialect, "trading", private_topics, account),
        }
        dialect.deliver = self._deliver
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        self._deliver(self.dialect.render(event))

    def _deliver(self, messages: Sequence[Scoped]) -> None:
        for stream in self.streams.values():
            stream.deliver(messages)
