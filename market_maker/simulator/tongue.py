"""What a venue's language is to the wire: whose call this is, its sessions, its refusals.

The engine, the matching, faults and sockets are the same for every language. A *dialect* puts
rows into words (`handle`, `render`); a *tongue* is that dialect on the wire.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex_feed import Message, Scope, Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine

Say = Callable[[Message], None]


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


class Heard(NamedTuple):
    """What a call asks, by whose key, and why it is refused before it is looked at, if it is."""

    request: Request
    account: Account | None
    refusal: Answer | None = None


class Line(NamedTuple):
    """What the hub does for a session: calls within the client's rate limits."""

    handle: Callable[[Request, Account | None], Answer]
    charge: Callable[[Request, Account | None], Answer | None]  # a refusal, or None to go on
    connects_left: int | None = None


class Dialect(Protocol):
    """Words for what the engine does."""

    engine: Engine
    deliver: Callable[[list[Scoped]], None]  # sends what no event carries; the wire sets it

    def handle(self, request: Request, account: Account | None) -> Answer: ...

    def render(self, event: Event) -> list[Scoped]: ...


class Session(Protocol):
    """One client of the stream. Every method is called under the engine's lock."""

    ending: str  # why the connection ends after its last answers

    def begin(self, topics: list[str], say: Say) -> list[Message]:
        """The first frames of a connection; *say* sends those that come later by themselves."""

    def receive(self, message: Any) -> list[Message]:
        """The answers to one decoded frame."""

    def undecodable(self, reason: str) -> list[Message]:
        """The answer to what is no JSON."""

    def wants(self, scope: Scope) -> bool: ...


class Tongue(Protocol):
    """A dialect on the wire."""

    root: str  # path of REST
    stream: str  # path of the stream, as announced
    sockets: tuple[str, ...]  # every path that may be upgraded

    @property
    def dialect(self) -> Any: ...

    def keys(self, account: Account) -> dict[str, str]:
        """What a client must know to use the account."""

    def key_of(self, call: Call) -> str:
        """The key a call names, its signature unseen."""

    def read(self, call: Call) -> Heard:
        """Whose call this is and what it asks."""

    def open_session(self, call: Call, line: Line) -> tuple[Session, list[str]] | Answer:
        """A session for an upgrade request and the topics its query asks for, or a refusal."""

    def refusal(self, status: int, message: str, name: str = "HTTPError") -> Answer:
        """A refusal of the wire itself, in the venue's own form."""
