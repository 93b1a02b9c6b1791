"""OKX's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from market_maker.model.wire import (
    Answer,
    Connected,
    Disconnected,
    Message,
    Ready,
    Request,
)
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.dialects.okx import API, OkxRest, passphrase_of, signature
from market_maker.simulator.dialects.okx_stream import LOGIN, OkxFeed, OkxSession
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.twin import Sink


class OkxTwinTransport:
    """REST calls as function calls, each signed by its account."""

    def __init__(self, rest: OkxRest, account: Account | None) -> None:
        self._rest, self._account = rest, account

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        return [
            self._rest.handle(r._replace(path=r.path.removeprefix(API)), self._account)
            for r in requests
        ]

    def close(self) -> None:
        """Nothing to close."""


class OkxTwinStream:
    """One socket without a thread: it pushes to the attached sink as the engine moves."""

    pushed = True

    def __init__(
        self, feed: OkxFeed, kind: str, topics: Sequence[Any], account: Account | None
    ) -> None:
        self.topics = list(topics)
        self._feed, self._kind, self._account = feed, kind, account
        self._session = OkxSession(feed, kind)
        self._sink: Sink | None = None

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, the login, Ready and the first pushes now; the rest as it happens."""
        self._session = OkxSession(self._feed, self._kind)
        self._sink = sink
        sink(Connected(self._now_ns()))
        if self._account is not None:
            self._session.receive(self._login(self._account))
        answers = self._session.receive({"op": "subscribe", "args": self.topics})
        sink(Ready(self._now_ns()))
        for answer in answers:
            self._push(answer)

    def deliver(self, messages: Sequence[Scoped]) -> None:
        for scope, message in messages:
            if self._sink is not None and self._session.wants(scope):
                self._push(message)

    def __iter__(self) -> Iterator[Any]:
        """Nothing to wait for: everything is pushed."""
        return iter(())

    def send(self, message: Mapping[str, Any]) -> None:
        for answer in self._session.receive(message):
            self._push(answer)

    def subscribe(self, topic: Any) -> None:
        self.topics.append(topic)
        self.send({"op": "subscribe", "args": [topic]})

    def reconnect(self) -> None:
        sink = self._sink
        if sink is not None:
            self.close()
            self.attach(sink)

    def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink(Disconnected(self._now_ns(), "closed"))

    def _login(self, account: Account) -> dict[str, Any]:
        now = str(int(self._feed.rest.engine.now()))
        argument = {
            "apiKey": account.key,
            "passphrase": passphrase_of(account),
            "timestamp": now,
            "sign": signature(account.secret, now, "GET", LOGIN),
        }
        return {"op": "login", "args": [argument]}

    def _push(self, message: dict[str, Any]) -> None:
        if self._sink is not None:
            self._sink(Message(self._now_ns(), message))

    def _now_ns(self) -> int:
        return int(self._feed.rest.engine.now() * 1e9)


class OkxTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        public_topics: Sequence[Any],
        private_topics: Sequence[Any],
    ) -> None:
        self.rest = OkxRest(engine)
        self.feed = OkxFeed(self.rest)
        self.transport = OkxTwinTransport(self.rest, account)
        self.streams = {
            "public": OkxTwinStream(self.feed, "public", public_topics, None),
            "private": OkxTwinStream(self.feed, "private", private_topics, account),
        }
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        messages = [*self.feed.take_late(), *self.feed.render(event)]
        for stream in self.streams.values():
            stream.deliver(messages)
