"""Binance's wire within the process: no JSON, no socket, no thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from market_maker.model.wire import (
    Answer,
    Connected,
    Disconnected,
    Message,
    Ready,
    Request,
)
from market_maker.simulator.dialects.binance import API, BinanceApi
from market_maker.simulator.dialects.binance_stream import (
    ApiSession,
    BinanceFeed,
    PublicSession,
    shutdown,
)
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.twin import Sink


class BinanceTwinTransport:
    """REST calls as function calls; the client has signed them."""

    def __init__(self, api: BinanceApi, account: Account | None) -> None:
        self._api, self._key = api, account.key if account else ""

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        return [
            self._api.rest(
                r.verb, r.path.removeprefix(API), urlencode(dict(r.query or {})), "", self._key
            )
            for r in requests
        ]

    def close(self) -> None:
        """Nothing to close."""


class BinanceTwinStream:
    """One socket without a thread: it pushes to the attached sink as the engine moves."""

    pushed = True

    def __init__(
        self, engine: Engine, begin: Callable[[list[str]], Any], topics: Sequence[str] = ()
    ) -> None:
        self.topics = list(topics)
        self._engine, self._begin = engine, begin
        self._session = begin(self.topics)
        self._sink: Sink | None = None

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, Ready, and what happens from now on."""
        self._session = self._begin(self.topics)
        self._sink = sink
        sink(Connected(self._now_ns()))
        sink(Ready(self._now_ns()))
        for message in self._session.first():
            self.push(message)

    def deliver(self, messages: Sequence[Scoped]) -> None:
        for scope, message in messages:
            if self._sink is not None and self._session.wants(scope):
                self.push(self._session.frame(scope, message))

    def __iter__(self) -> Iterator[Any]:
        """Nothing to wait for: everything is pushed."""
        return iter(())

    def send(self, message: Mapping[str, Any]) -> None:
        if self._sink is None:
            raise ConnectionError("the stream is not connected")
        for answer in self._session.receive(message):
            self.push(answer)

    def subscribe(self, topic: Any) -> None:
        self.topics.append(topic)
        self.send({"method": "SUBSCRIBE", "params": [topic], "id": 1})

    def reconnect(self) -> None:
        sink = self._sink
        if sink is not None:
            self.close()
            self.attach(sink)

    def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink(Disconnected(self._now_ns(), "closed"))

    def push(self, message: dict[str, Any]) -> None:
        """Hand one frame to the client."""
        if self._sink is not None:
            self._sink(Message(self._now_ns(), message))

    def _now_ns(self) -> int:
        return int(self._engine.now() * 1e9)


class BinanceTwin:
    """One account's transport and its two sockets over an engine in the same process."""

    def __init__(self, engine: Engine, account: Account, topics: Sequence[str]) -> None:
        self.api = BinanceApi(engine)
        self.feed = BinanceFeed(self.api)
        self.transport = BinanceTwinTransport(self.api, account)
        self.streams = {
            "public": BinanceTwinStream(engine, lambda t: PublicSession(self.feed, t), topics),
            "private": BinanceTwinStream(engine, lambda _: ApiSession(self.feed)),
        }
        engine.listeners.append(self._on_event)

    def shut_down(self) -> None:
        """Announce that the server goes down."""
        self.streams["private"].push(shutdown(self.api.engine.now()))

    def _on_event(self, event: Event) -> None:
        messages = self.feed.render(event)
        for stream in self.streams.values():
            stream.deliver(messages)
