"""What crosses the wire, as plain values: requests, answers, and the events of a stream.

`Transport.send(requests) -> answers` and a `Stream` are all that faces an exchange. Each has
an in-process twin over the built-in exchange, with no JSON, no socket and no thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class Request(NamedTuple):
    """One REST call. `path` is below the API root, such as "/order/bulk"."""

    verb: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None


class Answer(NamedTuple):
    """What came back. `status` 0 means that no answer arrived.

    `sent` is False only when no byte of the request can have reached the exchange; a request
    with `sent` and status 0 has an unknown outcome. Header names are lower case; `body` is the
    parsed JSON, or the text where it is not JSON; `error` is a phrase for a failure of the
    transport, such as "timed out", or for a page that came in place of an answer.
    """

    status: int
    body: Any
    headers: Mapping[str, str]
    sent: bool = True
    error: str = ""

    @property
    def is_page(self) -> bool:
        """Whether a firewall or a proxy has answered in the exchange's place: it tells nothing
        of the key."""
        return isinstance(self.body, str) and self.body.lstrip()[:1] == "<"

    @property
    def refuses_key(self) -> bool:
        return self.status in (401, 403) and not self.is_page


class Connected(NamedTuple):
    """The socket is up; nothing is subscribed yet."""

    recv_ns: int


class Ready(NamedTuple):
    """Every subscription is sent; data images follow."""

    recv_ns: int


class Message(NamedTuple):
    """One decoded frame. `recv_ns` is the local monotonic time of its arrival; `more` says that
    another one has arrived with it and follows at once."""

    recv_ns: int
    data: Any
    more: bool = False


class Poll(NamedTuple):
    """Nothing arrived for a while; the link was asked for a sign of life."""

    recv_ns: int


class Disconnected(NamedTuple):
    """The socket is gone. What we know of the market is stale from here on."""

    recv_ns: int
    reason: str


class BackOff(NamedTuple):
    """The stream will wait *delay_s* before it connects again."""

    recv_ns: int
    delay_s: float


StreamEvent = Connected | Ready | Message | Poll | Disconnected | BackOff


class Transport(Protocol):
    """Sends requests, all at the same time, and returns one answer each, in order."""

    def send(self, requests: Sequence[Request]) -> list[Answer]: ...

    def close(self) -> None: ...


class Stream(Protocol):
    """Yields events until closed; it alone knows how to reconnect.

    A live stream blocks and is iterated by a thread of its own. An in-process stream is
    `pushed`: it has no thread, and hands its events to the sink while the clock moves.
    """

    def __iter__(self) -> Iterator[StreamEvent]: ...

    def send(self, message: Mapping[str, Any]) -> None: ...

    def subscribe(self, topic: str) -> None:
        """Follow *topic* too, now and after every reconnect."""

    def reconnect(self) -> None:
        """Drop the connection, so that it comes back with fresh images."""

    def close(self) -> None: ...
