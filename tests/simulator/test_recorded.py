"""The recorded market: hand-worked queues, the real recording, and files that are wrong."""

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.events import OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.utils.errors import SettingsError

SHARED = Path(__file__).parents[3] / "shared" / "data"
DAY = "2020-03-10"
START_S = 1_600_000_000.0

# A recording in short: {second: (bids, asks)} and [(second, taker side, size, price)]
Books = dict[int, tuple[dict[float, int], dict[float, int]]]
Trades = list[tuple[int, str, int, float]]


def write(folder: Path, books: Books, trades: Trades) -> Path:
    """Write the files of a recording with two levels on each side."""
    header = ["timestamp", "symbol"]
    for column in ("askPrice", "askSize", "bidPrice", "bidSize"):
        header += [f"{column}{i}" for i in range(10)]
    lines = [",".join(header)]
    for second, (bids, asks) in books.items():
        row = [f"{DAY}T00:00:{second:02d}.000Z", "XBTUSD"]
        for levels, sign in ((asks, 1), (bids, -1)):
            far = [(max(levels) if sign > 0 else min(levels)) + sign * i / 2 for i in range(1, 11)]
            filled = [*levels.items(), *((price, 7) for price in far)][:10]
            row += [str(price) for price, _ in filled] + [str(size) for _, size in filled]
        lines.append(",".join(row))
    (folder / f"x_XBTUSD_book10_{DAY}.csv").write_text("\n".join(lines) + "\n")
    prints = ["timestamp,symbol,side,size,price,action"]
    prints.append(f"{DAY}T00:00:00.000Z,XBTUSD,Buy,999999,100,partial")
    for second, side, size, price in trades:
        prints.append(f"{DAY}T00:00:{second:02d}.000Z,XBTUSD,{side},{size},{price},insert")
    (folder / f"x_XBTUSD_trades_{DAY}.csv").write_text("\n".join(prints) + "\n")
    return folder


class Replay:
    """A recording being played with one customer in it."""

    def __init__(self, data: object, speed: float = 1.0) -> None:
        self.market = RecordedMarket(data, "XBTUSD", speed=speed)  # type: ignore[arg-type]
        self.clock = ManualClock(START_S)
        self.engine = Engine(self.clock, [self.market.instrument], market=self.market, seed=1)
        self.clock.attach(self.engine)
        self.us = self.engine.open_account(10**12).number
        self.events: list[object] = []
        self.engine.listeners.append(self.events.append)

    def place(self, qty: int, price: float) -> str:
        fields = {"symbol": "XBTUSD", "orderQty": qty, "price": price}
        return self.engine.place(self.us, fields).order_id

    def until(self, second: float) -> None:
        self.clock.sleep(START_S + second - self.clock.now())

    def fills(self) -> list[tuple[float, int, float]]:
        """(second, quantity, price) of our fills."""
        grid = self.engine.grid("XBTUSD")
        return [
            (event.time_s - START_S, event.fill.qty, grid.price(event.fill.price_ticks))
            for event in self.events
            if isinstance(event, OrderEvent) and event.fill
        ]

    def level(self, price: float) -> int:
        """What rests at a price, ours included."""
        ticks = self.engine.grid("XBTUSD").nearest(price)
        bids, asks = self.engine.book("XBTUSD")
        return next((level.size for level in (*bids, *asks) if level.price_ticks == ticks), 0)


ASKS = {100.5: 80}

# our bid of 10 at 100.0 is placed behind the 50 that the first book shows there
CASES: dict[str, tuple[Books, Trades, list[tuple[float, int, float]]]] = {
    "a trade no larger than what is ahead fills nothing": (
        {0: ({100.0: 50}, ASKS), 1: ({100.0: 1}, ASKS)},
        [(1, "Sell", 49, 100.0)],
        [],
    ),
    "a trade that eats exactly what is ahead fills nothing": (
        {0: ({100.0: 50}, ASKS), 1: ({99.5: 60}, ASKS)},
        [(1, "Sell", 50, 100.0)],
        [],
    ),
    "only the part beyond what is ahead is ours": (
        {0: ({100.0: 50}, ASKS), 1: ({99.5: 60}, ASKS)},
        [(1, "Sell", 54, 100.0)],
        [(1, 4, 100.0)],
    ),
    "never more than we have": (
        {0: ({100.0: 50}, ASKS), 1: ({99.5: 60}, ASKS)},
        [(1, "Sell", 400, 100.0)],
        [(1, 10, 100.0)],
    ),
    "several trades add up": (
        {0: ({100.0: 50}, ASKS), 1: ({100.0: 20}, ASKS), 2: ({99.5: 9}, ASKS)},
        [(1, "Sell", 30, 100.0), (2, "Sell", 15, 100.0), (2, "Sell", 8, 100.0)],
        [(2, 3, 100.0)],
    ),
    "what joins later stands behind us": (
        {0: ({100.0: 50}, ASKS), 1: ({100.0: 90}, ASKS), 2: ({100.0: 35}, ASKS)},
        [(2, "Sell", 55, 100.0)],
        [(2, 5, 100.0)],
    ),
    "cancels come from behind us while anything is there": (
        {
            0: ({100.0: 50}, ASKS),
            1: ({100.0: 90}, ASKS),
            2: ({100.0: 60}, ASKS),
            3: ({100.0: 8}, ASKS),
        },
        [(3, "Sell", 52, 100.0)],
        [(3, 2, 100.0)],
    ),
    "with nothing behind us cancels are from ahead": (
        {0: ({100.0: 50}, ASKS), 1: ({100.0: 20}, ASKS), 2: ({99.5: 9}, ASKS)},
        [(2, "Sell", 22, 100.0)],
        [(2, 2, 100.0)],
    ),
    "a trade through our price met us first, whatever stood ahead": (
        {0: ({100.0: 50}, ASKS), 1: ({99.0: 9}, {99.5: 5})},
        [(1, "Sell", 6, 99.5)],
        [(1, 6, 100.0), (1, 4, 100.0)],  # the rest meets the ask that is now at 99.5
    ),
    "an ask at our price fills us up to its size": (
        {0: ({100.0: 50}, ASKS), 1: ({99.5: 9}, {100.0: 3})},
        [],
        [(1, 3, 100.0)],
    ),
    "the same ask is not met twice": (
        {
            0: ({100.0: 50}, ASKS),
            1: ({99.5: 9}, {100.0: 3}),
            2: ({99.5: 8}, {100.0: 3}),
            3: ({99.5: 8}, {100.0: 5}),
        },
        [],
        [(1, 3, 100.0), (3, 2, 100.0)],
    ),
    "an ask that moves away leaves the rest of us alone": (
        {0: ({100.0: 50}, ASKS), 1: ({99.5: 9}, {100.0: 3}), 2: ({99.5: 9}, {100.5: 80})},
        [],
        [(1, 3, 100.0)],
    ),
    "a buyer does not fill a bid": (
        {0: ({100.0: 50}, ASKS), 1: ({100.0: 50}, {100.5: 70})},
        [(1, "Buy", 1000, 100.5)],
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_our_bid_is_filled_as_the_queue_allows(case: str, tmp_path: Path) -> None:
    books, trades, expected = CASES[case]
    replay = Replay(write(tmp_path, books, trades))
    replay.place(10, 100.0)
    replay.until(50)
    assert replay.fills() == expected
    assert all(event.fill.is_maker for event in replay.events
               if isinstance(event, OrderEvent) and event.fill)  # fmt: skip
    assert replay.engine.imbalance_sat() == 0
    bid, _, ask, _ = replay.engine.quote("XBTUSD")[2:]
    assert bid is None or ask is None or bid < ask
    printed = sum(event.qty for event in replay.events if isinstance(event, TradeEvent))
    recorded, ours = sum(size for _, _, size, _ in trades), sum(qty for _, qty, _ in expected)
    assert recorded <= printed <= recorded + ours


@pytest.mark.parametrize("case", CASES)
def test_our_ask_is_filled_as_the_queue_allows(case: str, tmp_path: Path) -> None:
    def mirror(levels: dict[float, int]) -> dict[float, int]:
        return {200.0 - price: size for price, size in levels.items()}

    books, trades, expected = CASES[case]
    mirrored = {second: (mirror(asks), mirror(bids)) for second, (bids, asks) in books.items()}
    flipped = [
        (second, "Sell" if side == "Buy" else "Buy", size, 200.0 - price)
        for second, side, size, price in trades
    ]
    replay = Replay(write(tmp_path, mirrored, flipped))
    replay.place(-10, 100.0)
    replay.until(50)
    assert replay.fills() == expected


def test_what_a_taker_of_ours_took_stays_gone(tmp_path: Path) -> None:
    bids = {100.0: 50}
    books: Books = {
        0: (bids, {100.5: 80}), 1: ({100.0: 51}, {100.5: 80}), 2: (bids, {100.5: 95}),
        3: (bids, {100.5: 20}), 4: (bids, {101.0: 5}), 5: (bids, {100.5: 40}),
    }  # fmt: skip
    replay = Replay(write(tmp_path, books, []))
    replay.place(30, 100.5)
    sizes = []
    for second in range(6):
        replay.until(second)
        sizes.append(replay.level(100.5))
    assert sizes == [50, 50, 65, 0, 0, 40]


def test_a_level_the_recording_did_not_show_may_hold_others_ahead_of_us(tmp_path: Path) -> None:
    far = {0: ({110.0: 5}, {110.5: 5}), 1: ({100.0: 40}, {100.5: 5}), 2: ({99.5: 9}, {100.5: 5})}
    replay = Replay(write(tmp_path, far, [(2, "Sell", 40, 100.0)]))
    replay.place(10, 100.0)
    replay.until(50)
    assert replay.fills() == []


def test_speed_shrinks_time_and_the_end_is_quiet(tmp_path: Path) -> None:
    books: Books = {0: ({100.0: 50}, ASKS), 10: ({100.0: 60}, ASKS), 20: ({100.0: 70}, ASKS)}
    replay = Replay(write(tmp_path, books, []), speed=10.0)
    assert replay.engine.next_event_time() == START_S + 1
    replay.until(1.5)
    assert replay.level(100.0) == 60
    replay.until(2.5)
    assert replay.level(100.0) == 70
    assert replay.market.next_time() is None
    count = len(replay.events)
    replay.until(3600)
    assert len(replay.events) == count
    assert replay.engine.instrument_row("XBTUSD")["state"] == "Open"
    order_id = replay.place(10, 100.0)
    assert replay.engine.cancel(replay.us, [order_id])[0].error == ""


def test_a_changed_tick_and_a_halt_leave_the_recorded_book_as_it_is(tmp_path: Path) -> None:
    books: Books = {i: ({100.0: 50 + i, 99.5: 7}, {100.5: 80, 101.0: 9}) for i in range(8)}
    replay = Replay(write(tmp_path, books, []))
    replay.until(1.5)
    replay.engine.change_grid("XBTUSD", 0.1, 1)
    replay.until(2)
    assert [replay.level(price) for price in (100.0, 99.5, 100.5, 101.0)] == [52, 7, 80, 9]
    replay.engine.close_symbol("XBTUSD")
    replay.until(4)
    replay.engine.close_symbol("XBTUSD", "Open")
    replay.until(6)
    assert [replay.level(price) for price in (100.0, 99.5, 100.5, 101.0)] == [56, 7, 80, 9]
    bid, bid_size, ask, ask_size = replay.engine.quote("XBTUSD")[2:]
    assert (bid, bid_size, ask, ask_size) == (1000, 56, 1005, 80)


def test_quotes_alone_make_a_book_of_one_level(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv.gz"
    rows = [
        "timestamp,symbol,bidSize,bidPrice,askPrice,askSize",
        f"{DAY}T00:00:00.000Z,XBTUSD,50,100,100.5,80",
        f"{DAY}T00:00:01.000Z,ETHUSD,50,1,2,80",
        f"{DAY}T00:00:01.000Z,XBTUSD,40,100,101,70",
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    replay = Replay([path])
    assert replay.engine.quote("XBTUSD")[2:] == (200, 50, 201, 80)
    replay.until(1)
    assert replay.engine.quote("XBTUSD")[2:] == (200, 40, 202, 70)


BAD_FILES = {
    "nothing there": (None, "no such file or folder"),
    "an empty file": (b"", "is no recording of a known format"),
    "another table": (b"a,b\n1,2\n", "is no recording of a known format"),
    "no text": (b"\xff\xfe\x00", "cannot be read"),
    "a broken archive": (b"\x1f\x8b\x08\x00garbage", "cannot be read"),
    "trades only, and none": (b"timestamp,symbol,side,size,price,action\n", "holds no row of"),
    "a header alone": (
        b"timestamp,symbol,bidSize,bidPrice,askPrice,askSize\n",
        "holds no row of XBTUSD",
    ),
    "a word for a time": (
        b"timestamp,symbol,bidSize,bidPrice,askPrice,askSize\nnoon,XBTUSD,1,2,3,4\n",
        "line 2 cannot be used",
    ),
    "a short row": (
        b"timestamp,symbol,bidSize,bidPrice,askPrice,askSize\n2020-03-10T00:00:00Z,XBTUSD,1\n",
        "line 2 cannot be used (3 columns, not 6)",
    ),
    "a word for a price": (
        b"timestamp,symbol,bidSize,bidPrice,askPrice,askSize\n2020-03-10T00:00:00Z,XBTUSD,1,x,3,4\n",
        "line 2 cannot be used",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_played_is_one_clear_line(case: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[case]
    path = tmp_path / ("data.csv.gz" if case == "a broken archive" else "data.csv")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as fault:
        RecordedMarket([path], "XBTUSD")
    (line,) = fault.value.faults
    assert message in line
    assert "\n" not in line


def test_a_file_that_breaks_off_says_where_and_ends_the_market(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "quotes.csv"
    rows = ["timestamp,symbol,bidSize,bidPrice,askPrice,askSize"]
    rows += [f"{DAY}T00:{i // 60:02d}:{i % 60:02d}Z,XBTUSD,{i + 1},100,101,80" for i in range(400)]
    path.write_text("\n".join([*rows, f"{DAY}T01:00:00Z,XBTUSD,1,none,101,80"]))
    replay = Replay(path)
    replay.until(5000)
    (line,) = caplog.messages
    assert "quotes.csv: line 402 cannot be used" in line
    assert "The recording ends here" in line
    assert replay.market.next_time() is None
    assert replay.level(100.0) == 400


def test_a_file_that_breaks_off_early_is_told_before_it_starts(tmp_path: Path) -> None:
    books: Books = {0: ({100.0: 50}, ASKS), 1: ({100.0: 40}, ASKS), 2: ({100.0: 30}, ASKS)}
    path = write(tmp_path, books, []) / f"x_XBTUSD_book10_{DAY}.csv"
    path.write_text(path.read_text().replace(":02.000Z,XBTUSD,100.5", ":02.000Z,XBTUSD,none"))
    with pytest.raises(SettingsError, match="line 4 cannot be used"):
        RecordedMarket(path)


def test_a_folder_without_the_symbol_and_a_wrong_speed_are_faults(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no recording of XBTUSD"):
        RecordedMarket(tmp_path, "XBTUSD")
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(SettingsError, match="speed must be a number above 0"):
            RecordedMarket(tmp_path, "XBTUSD", speed=speed)


needs_recording = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data of ../shared/data is not here"
)


@needs_recording
@pytest.mark.parametrize("symbol", ["XBTUSD", "ETHUSD"])
def test_a_folder_plays_its_latest_day(symbol: str) -> None:
    market = RecordedMarket(SHARED, symbol)
    clock = ManualClock(START_S)
    engine = Engine(clock, [market.instrument], market=market)
    clock.attach(engine)
    quote = engine.quote(symbol)
    first = {"XBTUSD": (15645, 347116, 15646, 1448760), "ETHUSD": None}[symbol]
    assert first is None or quote[2:] == first
    assert market.instrument.lot_size == 1
    clock.sleep(10)
    assert len(engine.book(symbol)[0]) == 10


class PaperQueue:
    """Our bid of one contract in the real recording, worked out on paper beside the exchange.

    It knows the two files only, and the rules of docs/markets.md.
    """

    def __init__(self, placed_s: float) -> None:
        self.rows = sorted([*self.books(), *self.trades()], key=lambda row: row[:2])
        self.zero_s = next(row[0] for row in self.rows if row[1] == 1)
        self.placed_s = self.zero_s + placed_s
        self.price = self.ahead = self.behind = 0.0

    @staticmethod
    def read(kind: str) -> Iterator[dict[str, str]]:
        with gzip.open(SHARED / f"bitmex_XBTUSD_{kind}_{DAY}.csv.gz", "rt") as file:
            yield from csv.DictReader(file)

    def books(self) -> Iterator[tuple[float, int, dict[float, int], float]]:
        for row in islice(self.read("book10"), 30_000):
            bids = {float(row[f"bidPrice{i}"]): int(row[f"bidSize{i}"]) for i in range(10)}
            time_s = datetime.fromisoformat(row["timestamp"]).timestamp()
            yield time_s, 1, bids, float(row["askPrice0"])

    def trades(self) -> Iterator[tuple[float, int, dict[float, int], float]]:
        for row in islice(self.read("trades"), 1, 3_000):
            sold = {float(row["price"]): int(row["size"])} if row["side"] == "Sell" else {}
            yield datetime.fromisoformat(row["timestamp"]).timestamp(), 0, sold, 0.0

    def filled_after_s(self) -> float:
        """When it is filled, in seconds from the start of the recording."""
        for time_s, kind, bids, ask in self.rows:
            if time_s <= self.placed_s:
                if kind == 1:
                    self.price = max(bids)
                    self.ahead = bids[self.price]
                continue
            is_filled = self.trade(bids) if kind == 0 else self.book(bids, ask)
            if is_filled:
                return time_s - self.zero_s
        raise AssertionError("never filled")

    def trade(self, sold: dict[float, int]) -> bool:
        for price, size in sold.items():
            if price < self.price or (price == self.price and size > self.ahead):
                return True
            if price == self.price:
                self.ahead -= size
        return False

    def book(self, bids: dict[float, int], ask: float) -> bool:
        if ask <= self.price:
            return True
        if self.price >= min(bids):
            less = self.ahead + self.behind - bids.get(self.price, 0)
            if less < 0:
                self.behind -= less
            else:
                self.ahead -= max(0, less - self.behind)
                self.behind = max(0, self.behind - less)
        return False


@needs_recording
@pytest.mark.parametrize("placed_s", [0.05, 13.0, 33.0, 40.0, 140.0, 200.0])
def test_a_real_queue_fills_us_when_paper_says(placed_s: float) -> None:
    paper = PaperQueue(placed_s)
    filled_s = paper.filled_after_s()
    replay = Replay(SHARED)
    replay.until(placed_s)
    bid = replay.engine.grid("XBTUSD").price(replay.engine.quote("XBTUSD").bid_ticks or 0)
    assert bid == paper.price
    replay.place(1, bid)
    replay.until(filled_s - 0.0005)
    assert replay.fills() == []
    replay.until(filled_s + 0.0005)
    print(f"placed at {bid} after {placed_s} s, filled after {filled_s:.3f} s")
    assert [(qty, price) for _, qty, price in replay.fills()] == [(1, bid)]


@needs_recording
def test_the_real_recording_with_our_quotes_stays_uncrossed_and_balanced() -> None:
    replay = Replay(SHARED)
    engine, us = replay.engine, replay.us
    grid = engine.grid("XBTUSD")
    for _ in range(240):
        engine.cancel_all(us)
        bid, _, ask, _ = engine.quote("XBTUSD")[2:]
        for level in (0, 1, 3):
            for qty, ticks in ((100, bid - level), (-100, ask + level)):
                fields = {"symbol": "XBTUSD", "orderQty": qty, "price": grid.price(ticks)}
                engine.place(us, {**fields, "execInst": "ParticipateDoNotInitiate"})
        replay.clock.sleep(1)
    for quote in replay.events:
        if isinstance(quote, QuoteEvent):
            assert quote.bid_ticks is not None
            assert quote.ask_ticks is not None
            assert quote.bid_ticks < quote.ask_ticks
    fills = [event for event in replay.events if isinstance(event, OrderEvent) and event.fill]
    assert len(fills) >= 20
    assert engine.imbalance_sat() == 0
    row = engine.position_row(us, "XBTUSD")
    assert row["currentCost"] == sum(event.fill.cost_sat for event in fills if event.fill)
    assert row["currentComm"] == sum(event.fill.comm_sat for event in fills if event.fill)
