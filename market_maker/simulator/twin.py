"""The exchange's wire within the process: no JSON, no socket, no thread.

Messages reach the sink while the engine moves, in the order of events, each built fresh. Two
runs on a manual clock are equal to the byte.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from market_maker.model.wire import (
    Answer,
    Connected,
    Disconnected,
    Message,
    Ready,
    Request,
    StreamEvent,
)
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_tables import TABLES
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.session import Session

Sink = Callable[[StreamEvent], None]

TOPICS = tuple(name for name in TABLES if name != "orderBookL2_25")


class TwinTransport:
    """REST calls as function calls, each signed by its account."""

    def __init__(self, dialect: Dialect, account: Account) -> None:
        self._dialect = dialect
        self._account = account

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        return [self._dialect.handle(request, self._account) for request in requests]

    def close(self) -> None:
        """Nothing to close."""


class TwinStream:
    """A stream without a thread: it pushes to the attached sink as the engine moves."""

    pushed = True

    def __init__(self, dialect: Dialect, account: Account, topics: Sequence[str]) -> None:
        self.topics = list(topics)
        self._engine = dialect.engine
        self._dialect = dialect
        self._account = account
        self._session = Session(dialect, account)
        self._sink: Sink | None = None

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, welcome, Ready and the images now; deltas as they happen."""
        self._session = Session(self._dialect, self._account)
        self._sink = sink
        sink(Connected(self._now_ns()))
        self._push(self._session.welcome())
        sink(Ready(self._now_ns()))
        for message in self._session.subscribe(list(self.topics)):
            self._push(message)

    def on_event(self, messages: Sequence[tuple[Any, dict[str, Any]]]) -> None:
        for scope, message in messages:
            if self._sink is not None and self._session.wants(scope):
                self._push(message)

    def __iter__(self) -> Iterator[StreamEvent]:
        """Nothing to wait for: everything is pushed."""
        return iter(())

    def send(self, message: Mapping[str, Any]) -> None:
        """Act on a client's frame, such as cancelAllAfter; the answer is pushed."""
        for answer in self._session.receive(message):
            self._push(answer)

    def subscribe(self, topic: str) -> None:
        """Follow *topic* too, now and after every reconnect."""
        self.topics.append(topic)
        for message in self._session.subscribe([topic]):
            self._push(message)

    def reconnect(self) -> None:
        """Lose the connection and make a new one, with fresh images."""
        if self._sink is not None:
            sink = self._sink
            self.close()
            self.attach(sink)

    def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink(Disconnected(self._now_ns(), "closed"))

    def _push(self, message: dict[str, Any]) -> None:
        if self._sink is not None:
            self._sink(Message(self._now_ns(), message))

    def _now_ns(self) -> int:
        return int(self._engine.now() * 1e9)


class Twin:
    """One account's transport and stream over an engine in the same process."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        profile: str = "classic",
        topics: Sequence[str] = TOPICS,
    ) -> None:
        self.dialect = Dialect(engine, profile)
        self.transport = TwinTransport(self.dialect, account)
        self.stream = TwinStream(self.dialect, account, topics)
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        self.stream.on_event(self.dialect.render(event))
