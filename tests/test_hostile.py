"""Whatever the wire carries, the bot neither crashes nor does wrong, and its log stays short.

What is sent comes from real traffic: the exchange's samples in ../shared where they are, and what
the built-in exchange has just said, each broken in some way.
"""

import copy
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market_maker import jsonx
from market_maker.model.wire import Answer, Message, Request
from tests.doubles import StillMarket, Wire
from tests.world import World

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "protocol" / "bitmex" / "samples"
ODD: list[Any] = [
    *(None, True, "", "abc", "-1", [], {}, [None], {"a": 1}, -1, 0, 10**18, 10**400, 1e308, -1e308),
    *(5e-324, "\x00", "NaN", "2020-01-01T00:00:00.000Z", "9" * 400, [[[[]]]], "%s%n", "\ud7ff"),
]
COLUMNS = ("orderID", "clOrdID", "symbol", "price", "leavesQty", "cumQty", "currentQty", "execID")
TABLES = ("order", "execution", "position", "margin", "instrument", "quote", "trade", "xyzzy", None)
LINES_AT_MOST = 200  # of what was not asked for
LONGEST_LINE = 600


def captured() -> list[Any]:
    """The exchange's own words, where they are at hand."""
    found = []
    for path in sorted(SAMPLES.glob("*.json")) if SAMPLES.is_dir() else ():
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:
            continue
    return found


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in *value*: what holds it, and its key there."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield value, key
        yield from parts(inner)


class Breaker:
    """Makes of good messages bad ones."""

    def __init__(self, seed: int, good: list[Any]) -> None:
        self.rng = random.Random(seed)
        self.good = good

    def value(self) -> Any:
        """A good message with some of its parts broken."""
        rng, value = self.rng, copy.deepcopy(self.rng.choice(self.good))
        for _ in range(rng.randint(1, 4)):
            places = list(parts(value))
            if not places:
                return rng.choice(ODD)
            holder, key = rng.choice(places)
            deed = rng.randrange(4)
            if deed == 0 and isinstance(holder, dict):
                del holder[key]
            elif deed == 1 and isinstance(holder, dict):
                holder[rng.choice(COLUMNS)] = copy.deepcopy(rng.choice(ODD))
            else:
                holder[key] = copy.deepcopy(rng.choice(ODD))
        return value

    def frame(self) -> Any:
        """A message that is none, or a broken one."""
        rng = self.rng
        if rng.random() < 0.1:
            return copy.deepcopy(rng.choice(ODD))
        if rng.random() < 0.1:
            return {
                "table": rng.choice(TABLES),
                "action": rng.choice(["insert", "update", "delete", "partial", "x", None, {}]),
                "data": rng.choice([rng.choice(ODD), [self.value()], [rng.choice(ODD)] * 3]),
            }
        return self.value()

    def text(self) -> bytes:
        """Bytes that were JSON once."""
        rng = self.rng
        raw = bytearray(json.dumps(rng.choice(self.good)).encode())
        for _ in range(rng.randint(1, 5)):
            at = rng.randrange(len(raw) or 1)
            deed = rng.randrange(3)
            if deed == 0:
                raw[at : at + 1] = bytes([rng.randrange(256)])
            elif deed == 1:
                del raw[at : at + rng.randint(1, 30)]
            else:
                raw[at:at] = raw[at : at + rng.randint(1, 30)]
        return bytes(raw)


class Lines(logging.Handler):
    """Counts what the log is told at WARNING and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Target:
    """A bot that quotes three pairs in a still market, with everything that it has heard."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.market = StillMarket()
        self.world = World(self.market)
        self.bot = self.world.bot(
            wrap=self.wire, ORDER_PAIRS=3, MAX_LOSS=None, LOG_LEVEL=logging.WARNING
        )
        self.state = self.bot.exchange.desk.state
        self.heard: list[Any] = []
        self.world.run(self.bot, 3)
        stream: Any = self.bot.exchange.desk.connector.stream
        stream._sink = self._hear(stream._sink)
        stream.reconnect()
        self.market.take("Sell", 50_100, 59_990.0)
        self.market.show(60_000.0, 60_000.5)
        self.world.run(self.bot, 3)
        self.lines = Lines()
        logging.getLogger().addHandler(self.lines)

    def _hear(self, put: Any) -> Any:
        def hear(event: Any) -> None:
            if isinstance(event, Message) and len(self.heard) < 500:
                self.heard.append(copy.deepcopy(event.data))
            put(event)

        return hear

    def check_harm(self) -> None:
        sides = [order.side for order in self.world.open_orders()]
        assert max(sides.count("Buy"), sides.count("Sell")) <= 3, "an order was doubled"

    def recover(self, lines_at_most: int = LINES_AT_MOST) -> None:
        """All is well again: it quotes as before, and ends clean."""
        stream: Any = self.bot.exchange.desk.connector.stream
        self.wire.script = lambda request: None
        stream.reconnect()
        self.world.run(self.bot, 40)
        assert len(self.world.open_orders()) == 6
        self.bot.shut_down()
        assert (self.bot.exit_code, self.world.open_orders()) == (0, [])
        logging.getLogger().removeHandler(self.lines)
        assert len(self.lines.texts) <= lines_at_most, self.lines.texts[:20]
        assert max(map(len, self.lines.texts), default=0) <= LONGEST_LINE


def hear_frames(count: int, seed: int) -> None:
    target = Target()
    breaker = Breaker(seed, [*target.heard, *captured()])
    for number in range(count):
        if number % 5:
            frame = breaker.frame()
        else:
            try:
                frame = jsonx.loads(breaker.text())
            except ValueError:
                continue
        target.state.put(Message(0, frame))
        if not number % 10:
            target.world.run(target.bot, 0.5)
            target.check_harm()
        if not number % 500:  # what it has come to believe must not hide what comes next
            target.bot.exchange.desk.connector.stream.reconnect()  # type: ignore[attr-defined]
    target.recover()


def take_answers(count: int, seed: int) -> None:
    target = Target()
    breaker = Breaker(seed, captured() or [{"orderID": "x"}])
    taken = 0

    def answer(request: Request) -> Answer | None:
        nonlocal taken
        taken += 1
        rng = breaker.rng
        if request.path.endswith("cancelAllAfter") or rng.random() < 0.3:
            return None
        if rng.random() < 0.5:  # it acts, and what comes back is broken
            breaker.good.append(target.wire._transport.send([request])[0].body)
            breaker.good[:-40] = breaker.good[:-40][:60]
        status = rng.choice([200, 200, 200, 201, 204, 302, 400, 404, 429, 500, 502, 503, 999])
        body = breaker.frame() if rng.random() < 0.8 else breaker.text().decode(errors="replace")
        headers = {
            "x-ratelimit-remaining": repr(rng.choice([None, -1, "x", [], 50])),
            "retry-after": "\x00",
        }
        return Answer(status, body, headers if rng.random() < 0.02 else {})

    target.wire.script = answer
    price = 60_000.0
    while taken < count:
        price += breaker.rng.choice([-30.0, 30.0])
        target.market.show(price, price + 0.5)
        target.world.run(target.bot, 1.0)
        target.check_harm()
    target.recover(LINES_AT_MOST + taken)  # an order that is refused is worth a line


BOUNDS = {"minQty", "maxOrderQty", "minPrice", "maxPrice", "minNotional"}  # not every row has them


@pytest.mark.parametrize("table", ["instrument", "position", "margin"])
def test_no_value_of_any_column_ends_the_run(table: str) -> None:
    target = Target()
    state, bot = target.state, target.bot
    row = dict(state.tables.rows(table)[0])
    keys = {name: row[name] for name in state.tables.keys[table] if name in row}
    for column in sorted((row.keys() | BOUNDS) - keys.keys()):
        for value in ODD:
            data = [{**keys, column: copy.deepcopy(value)}]
            state.put(Message(0, {"table": table, "action": "update", "data": data}))
            bot.run_once()
            bot.print_status()
        state.put(Message(0, {"table": table, "action": "update", "data": [row]}))
    target.check_harm()
    target.recover()


def test_ten_thousand_bad_frames_and_answers_do_no_harm() -> None:
    hear_frames(8_000, seed=1)
    take_answers(2_000, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_nor_does_a_million(seed: int) -> None:
    hear_frames(80_000, seed)
    take_answers(20_000, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_cannot_be_read_changes_nothing(seed: int) -> None:
    target = Target()
    rng, state = random.Random(seed), target.state
    tables = ("order", "position", "instrument", "quote", "execution", "margin")

    def known() -> Any:
        rows = {table: state.tables.rows(table) for table in tables}
        return copy.deepcopy((rows, state.orders.open_orders(), state.position_range()))

    before = known()
    good = [m for m in target.heard if m.get("table") in tables and m["data"]]
    for _ in range(3_000):
        message = copy.deepcopy(rng.choice(good))
        for row in message["data"]:
            row[rng.choice(["symbol", "orderID", "timestamp"])] = rng.choice([5, [], {}, True])
        message["action"] = rng.choice(["insert", "update"])
        target.state.put(Message(0, rng.choice([message, {**message, "data": {}}, [message], "x"])))
        target.state.drain()
    assert known() == before
    target.recover()
