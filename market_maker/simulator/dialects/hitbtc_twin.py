"""HitBTC's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready, Request
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.hitbtc import API, HitbtcRest, signature
from market_maker.simulator.dialects.hitbtc_stream import HitbtcFeed, HitbtcSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.twin import Sink


class HitbtcTwinTransport:
    """REST calls as function calls, each signed by its account."""

    def __init__(self, rest: HitbtcRest, account: Account | None) -> None:
        self._rest, self._account = rest, account

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        return [
            self._rest.handle(r._replace(path=r.path.removeprefix(API)), self._account)
            for r in requests
        ]

    def close(self) -> None:
        """Nothing to close."""


class HitbtcTwinStream:
    """One socket without a thread: it pushes to the attached sink as the engine moves.

    With `answers_first` the reports of what a request has done come after its answer.
    """

    pushed = True

    def __init__(
        self, feed: HitbtcFeed, kind: str, topics: Sequence[Row], account: Account | None
    ) -> None:
        self.topics = list(topics)
        self.answers_first = False
        self._feed, self._kind, self._account = feed, kind, account
        self._session = HitbtcSession(feed, kind)
        self._sink: Sink | None = None
        self._waiting: list[Scoped] | None = None  # pushes that wait for an answer

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, the login, Ready and the first pushes now; the rest as it happens."""
        self._session = HitbtcSession(self._feed, self._kind)
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
        answers = self._session.receive(message)
        if self._waiting is None:
            self.deliver(self._feed.take_late())
        for answer in answers:
            self._push(answer)
        waiting, self._waiting = self._waiting or [], None
        self.deliver([*waiting, *self._feed.take_late()])

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
        now = int(self._feed.rest.engine.now() * 1000)
        signed = signature(account.secret, str(now))
        params = {"type": "HS256", "api_key": account.key, "timestamp": now, "signature": signed}
        return {"method": "login", "params": params}

    def _push(self, message: dict[str, Any]) -> None:
        if self._sink is not None:
            self._sink(Message(self._now_ns(), message))

    def _now_ns(self) -> int:
        return int(self._feed.rest.engine.now() * 1e9)


class HitbtcTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        public_topics: Sequence[Row],
        private_topics: Sequence[Row],
    ) -> None:
        self.rest = HitbtcRest(engine)
        self.feed = HitbtcFeed(self.rest)
        self.transport = HitbtcTwinTransport(self.rest, account)
        self.streams = {
            "public": HitbtcTwinStream(self.feed, "public", public_topics, None),
            "private": HitbtcTwinStream(self.feed, "trading", private_topics, account),
        }
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        messages = self.feed.render(event)
        for stream in self.streams.values():
            stream.deliver(messages)
