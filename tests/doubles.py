"""Stand-ins that a test tells what to do: a market, and a wire between bot and exchange."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from market_maker import jsonx
from market_maker.model.wire import Answer, Connected, Message, Ready, Request
from market_maker.simulator.exchange import Engine

Script = Callable[[Request], Answer | None]


class StillMarket:
    """A market that moves only when told: one price level on each side of the first symbol."""

    def __init__(self, bid: float | None = 60_000.0, ask: float | None = 60_000.5) -> None:
        self._first = (bid, ask)
        self._shown: list[tuple[str, int]] = []
        self._due: deque[Callable[[], None]] = deque()

    def bind(self, engine: Engine) -> None:
        self._engine = engine
        self._book = engine.liquidity(engine.symbols()[0])
        self._show(*self._first)

    def next_time(self) -> float | None:
        return self._engine.now() if self._due else None

    def step(self) -> None:
        self._due.popleft()()

    def show(self, bid: float | None, ask: float | None, size: int = 50_000) -> None:
        """From the next move of the clock the touch is this; None is an empty side."""
        self._due.append(lambda: self._show(bid, ask, size))

    def take(self, side: str, qty: int, limit: float) -> None:
        """At the next move of the clock somebody buys or sells."""
        ticks = self._book.grid.nearest(limit)
        self._due.append(lambda: self._book.take(side, qty, ticks))

    def _show(self, bid: float | None, ask: float | None, size: int = 50_000) -> None:
        for side, ticks in self._shown:
            self._book.resize(side, ticks, 0)
        touch = (("Buy", bid), ("Sell", ask))
        self._shown = [(s, self._book.grid.nearest(p)) for s, p in touch if p is not None]
        for side, ticks in self._shown:
            self._book.resize(side, ticks, size)


class Wire:
    """A transport that writes down what passes, and may answer in the exchange's place."""

    def __init__(self, transport: Any = None) -> None:
        self._transport = transport
        self.requests: list[Request] = []
        self.statuses: Counter[int] = Counter()  # of the answers
        self.script: Script = lambda request: None

    def __call__(self, transport: Any) -> "Wire":
        """Step between, as the `wrap` of a World's bot."""
        self._transport = transport
        return self

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        answers = []
        for request in requests:
            self.requests.append(request)
            scripted = self.script(request)
            answers.append(scripted or self._transport.send([request])[0])
            self.statuses[answers[-1].status] += 1
        return answers

    def close(self) -> None:
        """Nothing to close."""

    def sent(self, verb: str, path: str = "") -> list[Request]:
        """Requests of *verb* whose path begins so."""
        return [r for r in self.requests if r.verb == verb and r.path.startswith(path)]

    def orders(self, verb: str = "POST") -> list[Any]:
        """The order rows that went out by *verb*, single or in bulk."""
        rows: list[Any] = []
        for request in self.sent(verb, "/order"):
            if request.path in ("/order", "/order/bulk"):
                rows += request.body.get("orders", [request.body])
        return rows


class HandStream:
    """A pushed stream whose messages the test writes."""

    pushed = True

    def __init__(self, images: Iterable[dict[str, Any]] = ()) -> None:
        self._images = list(images)
        self.subscribed: list[str] = []
        self.reconnects = 0

    def attach(self, sink: Any) -> None:
        self.sink = sink
        sink(Connected(0))
        sink(Ready(0))
        for image in self._images:
            sink(Message(0, image))

    def push(self, table: str, action: str, *rows: dict[str, Any]) -> None:
        self.sink(Message(0, {"table": table, "action": action, "data": list(rows)}))

    def subscribe(self, topic: str) -> None:
        self.subscribed.append(topic)

    def reconnect(self) -> None:
        self.reconnects += 1

    def close(self) -> None:
        """Nothing to close."""


def refusal(status: int, text: str, **headers: str) -> Answer:
    """The exchange says no, in its own form. Header names with _ for -."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"message": text, "name": "HTTPError"}}, names)


def asked_for(request: Request) -> Any:
    """The `filter` of a query, decoded."""
    return jsonx.loads((request.query or {}).get("filter", "{}"))


DECISIONS = (
    *("OPEN_LONG", "NONE", "CANCEL_LONG"),
    *("OPEN_SHORT", "NONE", "NONE", "NONE", "CANCEL_SHORT"),
)


def decide(told: dict[str, Any]) -> str:
    """A source for the strategy "decision": by the clock alone, whoever asks."""
    return DECISIONS[int(told["time"]) % len(DECISIONS)]
