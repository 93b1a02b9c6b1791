"""The exchange's wire within the process: no JSON, no socket, no thread.

Messages reach the sink while the engine moves, in the order of events, each built fresh. Two
runs on a manual clock are equal to the byte.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from market_maker.clock import Clock
from market_maker.model.wire import (
    Answer,
    Connected,
    Disconnected,
    Message,
    Ready,
    Request,
    StreamEvent,
)
from market_maker.simulator.dialects.bitmex_feed import Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import (
    CONNECTION_LOST,
    REFUSED,
    TIMED_OUT,
    UNHARMED,
    Fate,
    Faults,
)
from market_maker.simulator.faulty_dialect import Faulty, FaultyDialect
from market_maker.simulator.session import Session as BitmexSession
from market_maker.simulator.tongue import Session

Sink = Callable[[StreamEvent], None]

TOPICS = (
    "instrument",
    "orderBookL2",
    "quote",
    "trade",
    "order",
    "execution",
    "position",
    "margin",
)  # what the bot follows


PATIENCE_S = 7.0  # how long a client waits for an answer
_RETRY_S = 1.0  # after which a stream that was cut connects again


class TwinTransport:
    """REST calls as function calls, each signed by its account.

    With a clock, what faults make a client wait for takes its time there, as it would on the
    wire; without one nothing waits.
    """

    def __init__(
        self,
        dialect: Faulty,
        account: Account | None,
        clock: Clock | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        self._dialect = dialect
        self._account = account
        self._clock = clock
        self._timeout_s = timeout_s

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        """All at the same time: each acts when it arrives, and the slowest answer ends it."""
        if self._dialect.faults.is_refusing:
            return [REFUSED] * len(requests)
        fates = [self._dialect.fate(request, self._account) for request in requests]
        if all(fate is UNHARMED for fate in fates):
            return [self._dialect.meet(UNHARMED, request, self._account) for request in requests]
        start_s = self._now_s()
        answers: dict[int, Answer] = {}
        end_s = start_s
        for index in sorted(range(len(requests)), key=lambda index: fates[index].before_s):
            fate = fates[index]
            arrival_s = min(fate.before_s, self._timeout_s)
            self._wait_until(start_s + arrival_s)
            answers[index], waited_s = self._ask(fate, requests[index])
            end_s = max(end_s, start_s + arrival_s + waited_s)
        self._wait_until(end_s)
        return [answers[index] for index in range(len(requests))]

    def _ask(self, fate: Fate, request: Request) -> tuple[Answer, float]:
        """The answer as the client sees it, and how long after the arrival it has it."""
        left_s = self._timeout_s - fate.before_s
        if left_s <= 0:  # it arrives when the client has given up
            late = Fate(acts=False, late_s=-left_s) if fate.acts else Fate(acts=False)
            self._dialect.meet(late, request, self._account)
            return TIMED_OUT, 0.0
        answer = self._dialect.meet(fate, request, self._account)
        if answer == CONNECTION_LOST:
            return answer, 0.0
        if answer == TIMED_OUT or fate.after_s >= left_s:
            return TIMED_OUT, left_s
        return answer, fate.after_s

    def _now_s(self) -> float:
        return self._clock.now() if self._clock is not None else 0.0

    def _wait_until(self, time_s: float) -> None:
        if self._clock is not None and time_s > self._clock.now():
            self._clock.sleep(time_s - self._clock.now())

    def close(self) -> None:
        """Nothing to close."""


class TwinStream:
    """A stream without a thread: it pushes to the attached sink as the engine moves."""

    pushed = True

    def __init__(
        self, dialect: Faulty, open_session: Callable[[], Session], topics: Sequence[Any]
    ) -> None:
        """*open_session* makes a client that has shown its key, for each connection."""
        self.topics = list(topics)
        self._engine = dialect.engine
        self._dialect = dialect
        self._open_session = open_session
        self._session = open_session()
        self._sink: Sink | None = None
        self._lost: Sink | None = None  # whose connection was cut and is not yet back
        self._is_new = False  # whoever listens is being told of this connection
        self._frozen: list[dict[str, Any]] = []  # what waits for the socket to thaw
        dialect.faults.on_close.append(self.lose)
        dialect.faults.on_change.append(self._thaw)

    def attach(self, sink: Sink) -> None:
        """Connect: Connected, welcome, Ready and the images now; deltas as they happen."""
        self._session = self._open_session()
        self._sink, self._lost, self._is_new = sink, None, True
        try:
            sink(Connected(self._now_ns()))
            for message in self._session.begin([], self._push):
                self._push(message)
            sink(Ready(self._now_ns()))
        finally:
            self._is_new = False
        if self._sink is not None:
            self.send({"op": "subscribe", "args": list(self.topics)})

    def lose(self) -> None:
        """The exchange cuts the connection; a new one comes as soon as it takes one again."""
        sink = self._sink
        if sink is not None:
            self.close()
            self._lost = sink
            self._engine.call_at(self._engine.now() + _RETRY_S, self._retry)

    def _retry(self) -> None:
        if self._lost is None:
            return
        if self._dialect.faults.is_refusing:
            self._engine.call_at(self._engine.now() + _RETRY_S, self._retry)
        else:
            self.attach(self._lost)

    def _thaw(self) -> None:
        if not self._dialect.faults.is_frozen:
            frozen, self._frozen = self._frozen, []
            for message in frozen:
                self._push(message)

    def on_event(self, messages: Sequence[Scoped]) -> None:
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

    def subscribe(self, topic: Any) -> None:
        """Follow *topic* too, now and after every reconnect."""
        self.topics.append(topic)
        self.send({"op": "subscribe", "args": [topic]})

    def reconnect(self) -> None:
        """Lose the connection and make a new one, with fresh images; a moment later where the
        new one itself was not good enough."""
        if self._is_new:
            self.lose()
        elif self._sink is not None:
            sink = self._sink
            self.close()
            self.attach(sink)

    def close(self) -> None:
        sink, self._sink, self._lost = self._sink, None, None
        self._frozen.clear()
        if sink is not None:
            sink(Disconnected(self._now_ns(), "closed"))

    def _push(self, message: dict[str, Any]) -> None:
        if self._dialect.faults.is_frozen:
            self._frozen.append(message)
        elif self._sink is not None:
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
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        """*faults* may be shared by several twins; *clock* is whose time their waiting takes."""
        self.faults = faults or Faults(engine)
        self.dialect = FaultyDialect(engine, profile, self.faults)
        self.transport = TwinTransport(self.dialect, account, clock, timeout_s)
        self.stream = TwinStream(self.dialect, lambda: BitmexSession(self.dialect, account), topics)
        self.dialect.deliver = self.stream.on_event
        engine.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        self.stream.on_event(self.dialect.render(event))
