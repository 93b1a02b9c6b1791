"""One socket of an account for several bots in a process.

Every member hears everything: answers find who asked by an id that nobody guesses, and events
find their bot by the symbol. A new connection is news to all; the last to leave closes it.
"""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from market_maker.exchanges.base import Sink
from market_maker.exchanges.receiver import start_receiving
from market_maker.model.wire import Connected, Disconnected, Ready, Stream, StreamEvent


class SharedLine:
    """A stream whose events go to every member."""

    def __init__(self, stream: Stream) -> None:
        self.is_closed = False
        self._stream = stream
        self._members: list[Member] = []
        self._state: list[StreamEvent] = []  # Connected and Ready, while the line is up
        self._has_begun = False
        self._lock = threading.RLock()

    def member(self) -> "Member":
        return Member(self)

    def join(self, member: "Member") -> None:
        """Let *member* hear what happens, and where the line stands already."""
        with self._lock:
            self._members.append(member)
            for event in self._state:
                member.sink(event)
            if not self._has_begun:
                self._has_begun = True
                start_receiving(self._stream, self._hear, "receive-account")

    def leave(self, member: "Member") -> None:
        with self._lock:
            if member in self._members:
                self._members.remove(member)
            if not self._members and not self.is_closed:
                self.is_closed = True
                self._stream.close()

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises ConnectionError without a connection."""
        self._stream.send(message)

    def reconnect(self) -> None:
        """For all members: half a view of one is none."""
        self._stream.reconnect()

    def _hear(self, event: StreamEvent) -> None:
        with self._lock:
            if isinstance(event, Connected):
                self._state = [event]
            elif isinstance(event, Ready):
                self._state.append(event)
            elif isinstance(event, Disconnected):
                self._state = []
            members = list(self._members)
        for member in members:
            member.sink(event)


class Member:
    """One bot's end of a shared line: a stream like any other."""

    pushed = True  # the line has the thread

    def __init__(self, line: SharedLine) -> None:
        self.sink: Sink = lambda _: None
        self._line = line

    def attach(self, sink: Sink) -> None:
        self.sink = sink
        self._line.join(self)

    def __iter__(self) -> Iterator[StreamEvent]:
        return iter(())

    def send(self, message: Mapping[str, Any]) -> None:
        self._line.send(message)

    def subscribe(self, topic: Any) -> None:
        """The account's line has no topics."""

    def reconnect(self) -> None:
        self._line.reconnect()

    def close(self) -> None:
        self._line.leave(self)
