"""Every format of recorded data: what is read of it, and how our orders fare in it."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.events import OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine
from market_maker.simulator.market.items import UNKNOWN_SIZE, Change, Item, Print, Snapshot
from market_maker.simulator.market.messages import read_messages
from market_maker.simulator.market.recorded import RecordedMarket
from market_maker.simulator.market.recordings import read_recording
from market_maker.utils.errors import SettingsError

SHARED = Path(__file__).parents[3] / "shared" / "data"
START_S = 1_600_000_000.0
NOON_S = 1_583_841_600.0  # 2020-03-10T12:00:00Z
NOON_US = int(NOON_S) * 1_000_000
MANY = UNKNOWN_SIZE


def l2(action: str, *rows: tuple[int, str, int | None, float | None]) -> str:
    """A message of orderBookL2; id, side, size, price."""
    data = []
    for level, side, size, price in rows:
        row = {"symbol": "XBTUSD", "id": level, "side": side, "size": size, "price": price}
        data.append({name: value for name, value in row.items() if value is not None})
    return json.dumps({"table": "orderBookL2", "action": action, "data": data})


def trade(side: str, size: int, price: float, action: str = "insert") -> str:
    row = {"symbol": "XBTUSD", "side": side, "size": size, "price": price}
    return json.dumps({"table": "trade", "action": action, "data": [row]})


IMAGE = l2("partial", (1, "Buy", 50, 100.0), (2, "Buy", 9, 99.5), (3, "Sell", 80, 100.5))

# name: (file content, items)
FORMATS: dict[str, tuple[str, list[Item]]] = {
    "BitMEX's public dump of quotes": (
        "timestamp,symbol,bidSize,bidPrice,askPrice,askSize\n"
        "2020-03-10D12:00:00.500000000,ETHUSD,1,2,3,4\n"
        "2020-03-10D12:00:00.500000000,XBTUSD,50,100,100.5,80\n",
        [Snapshot(NOON_S + 0.5, 1, {100.0: 50}, {100.5: 80})],
    ),
    "BitMEX's public dump of trades": (
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
        "foreignNotional\n"
        "2020-03-10D12:00:01.123456000,XBTUSD,Sell,7,100,MinusTick,x,1,1,1\n",
        [
            Print(NOON_S + 1.123456, 0, "Sell", 100.0, 7),
            Snapshot(NOON_S + 1.123456, 1, {100.0: MANY}, {100.1: MANY}),
        ],
    ),
    "Tardis trades": (
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
        f"bitmex,XBTUSD,{NOON_US - 9},{NOON_US},a,sell,8531.5,2152\n"
        f"bitmex,XBTUSD,{NOON_US - 8},{NOON_US + 1_000_000},b,unknown,8531.5,1\n"
        f"bitmex,XBTUSD,{NOON_US - 8},{NOON_US + 2_000_000},c,buy,8532,3\n"
        f"bitmex,XBTUSD,{NOON_US - 8},{NOON_US + 3_000_000},d,buy,8531,3\n",
        [
            Print(NOON_S, 0, "Sell", 8531.5, 2152),
            Snapshot(NOON_S, 1, {8531.5: MANY}, {8532.5: MANY}),
            Print(NOON_S + 2, 0, "Buy", 8532.0, 3),
            Snapshot(NOON_S + 2, 1, {8531.5: MANY}, {8532.0: MANY}),
            Print(NOON_S + 3, 0, "Buy", 8531.0, 3),
            Snapshot(NOON_S + 3, 1, {8530.5: MANY}, {8531.0: MANY}),
        ],
    ),
    "Tardis incremental_book_L2": (
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US},true,ask,100.5,80\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US},true,bid,100,50\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US},true,bid,99.5,0\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US + 500_000},false,bid,100,0\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US + 500_000},false,ask,100.5,7.0\n",
        [
            Snapshot(NOON_S, 1, {100.0: 50}, {100.5: 80}),
            Change(NOON_S + 0.5, 1, {100.0: 0}, {100.5: 7}),
        ],
    ),
    "Tardis quotes": (
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US},80,100.5,100,50\n",
        [Snapshot(NOON_S, 1, {100.0: 50}, {100.5: 80})],
    ),
    "Tardis book_snapshot": (
        "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,"
        "bids[0].amount,asks[1].price,asks[1].amount,bids[1].price,bids[1].amount\n"
        f"bitmex,XBTUSD,{NOON_US},{NOON_US},100.5,80,100,50,101,3,,\n",
        [Snapshot(NOON_S, 1, {100.0: 50}, {100.5: 80, 101.0: 3})],
    ),
    "best bid and ask without sizes, repeated": (
        "timestamp,xbtusd_bid,xbtusd_ask,xbtm19_bid,xbtm19_ask\n"
        "2020-03-10T12:00:00.000Z,100,100.5,102,102.5\n"
        "2020-03-10T12:00:00.000Z,100,100.5,102,102.5\n"
        "2020-03-10T12:00:01.000Z,100,100.5,103,103.5\n"
        "2020-03-10T12:25:00.000Z,99.5,100,102,102.5\n",
        [
            Snapshot(NOON_S, 1, {100.0: MANY}, {100.5: MANY}),
            Snapshot(NOON_S + 1500, 1, {99.5: MANY}, {100.0: MANY}),
        ],
    ),
    "one-minute bins, a rising one": (
        "timestamp,symbol,open,high,low,close,trades,volume\n"
        "2020-03-10T12:01:00.000Z,XBTUSD,100,102,99,101,5,40\n",
        [
            item
            for second, side, price, bid, ask in (
                (0, "Buy", 100.0, 99.9, 100.0),
                (15, "Sell", 99.0, 99.0, 100.0),
                (30, "Buy", 102.0, 99.0, 102.0),
                (45, "Sell", 101.0, 101.0, 102.0),
            )
            for item in (
                Print(NOON_S + second, 0, side, price, 10),
                Snapshot(NOON_S + second, 1, {bid: MANY}, {ask: MANY}),
            )
        ],
    ),
    "a raw WebSocket log": (
        "wss://x/realtime <-> 1583841590.1\n"
        'wss://x/realtime <- 1583841590.2: {"op":"subscribe","args":["trade:XBTUSD"]}\n'
        '1583841590.3: {"info":"Welcome"}\n'
        + "".join(
            f"{NOON_S + i}: {message}\n"
            for i, message in enumerate(
                (
                    l2("update", (1, "Buy", 4, None)),  # before the image: to be dropped
                    IMAGE,
                    l2("update", (1, "Buy", 40, None), (3, "Sell", 81, None)),
                    l2("delete", (2, "Buy", None, None)),
                    l2("insert", (4, "Sell", 5, 101.0)),
                    trade("Sell", 1, 99.0, "partial"),
                    trade("Sell", 7, 100.0),
                )
            )
        ),
        [
            Snapshot(NOON_S + 1, 1, {100.0: 50, 99.5: 9}, {100.5: 80}),
            Change(NOON_S + 2, 1, {100.0: 40}, {100.5: 81}),
            Change(NOON_S + 3, 1, {99.5: 0}, {}),
            Change(NOON_S + 4, 1, {}, {101.0: 5}),
            Print(NOON_S + 6, 0, "Sell", 100.0, 7),
        ],
    ),
    "messages with a price on every row": (
        json.dumps({"recv": "2020-03-10T12:00:00.000Z", "msg": json.loads(IMAGE)})
        + "\n"
        + json.dumps(
            {
                "recv": "2020-03-10T12:00:01.000Z",
                "msg": json.loads(l2("delete", (77, "Buy", None, 99.5))),
            }
        )
        + "\n",
        [
            Snapshot(NOON_S, 1, {100.0: 50, 99.5: 9}, {100.5: 80}),
            Change(NOON_S + 1, 1, {99.5: 0}, {}),
        ],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_known_by_what_it_holds(name: str, is_packed: bool, tmp_path: Path) -> None:
    content, expected = FORMATS[name]
    path = tmp_path / "whatever.txt"
    path.write_bytes(gzip.compress(content.encode()) if is_packed else content.encode())
    assert list(read_recording([path], "XBTUSD").items) == expected


def test_a_line_cut_off_when_the_recorder_died_ends_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(f"{NOON_S}: {IMAGE}\n{NOON_S + 1}: {trade('Sell', 7, 100.0)[:-9]}")
    assert len(list(read_recording(path, "XBTUSD").items)) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1.0: {broken\n", "line 2 cannot be used"),
        (f"1.0: {l2('update', (9, 'Buy', 4, None))}\n", "line 2 cannot be used .level 9 is not"),
        (f"1.0: {l2('update', (1, 'Sell', 4, None))}\n", "line 2 cannot be used .level 1 changes"),
        (f"1.0: {trade('Up', 4, 1.0)}\n", "line 2 cannot be used .side 'Up'"),
        (f"1.0: {trade('Buy', -4, 1.0)}\n", "line 2 cannot be used .size -4"),
    ],
)
def test_a_broken_message_is_told_with_its_line(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(f"{NOON_S}: {IMAGE}\n{line.replace('{broken', '{broken XBTUSD')}")
    if "broken" in line:
        path.write_text(path.read_text().replace("{broken", '{broken "XBTUSD"'))
    with pytest.raises(SettingsError, match=words) as fault:
        list(read_recording(path, "XBTUSD").items)
    assert str(path) in str(fault.value)


class Replay:
    """A file being played with one customer in it."""

    def __init__(self, *paths: Path, symbol: str = "XBTUSD") -> None:
        self.market = RecordedMarket(paths, symbol)
        self.clock = ManualClock(START_S)
        self.engine = Engine(self.clock, [self.market.instrument], market=self.market, seed=1)
        self.clock.attach(self.engine)
        self.us = self.engine.open_account(10**12).number
        self.events: list[object] = []
        self.engine.listeners.append(self.events.append)

    def place(self, qty: int, price: float) -> None:
        fields = {"symbol": self.market.instrument.symbol, "orderQty": qty, "price": price}
        self.engine.place(self.us, fields)

    def fills(self) -> list[tuple[float, int]]:
        """(second, quantity)"""
        return [
            (event.time_s - START_S, event.fill.qty)
            for event in self.events
            if isinstance(event, OrderEvent) and event.fill
        ]


# what a log says after the image; the fills of our bid of 10 at 100.0, behind 50
QUEUES: dict[str, tuple[list[str], list[tuple[float, int]]]] = {
    "a trade takes from the front": (
        [trade("Sell", 50, 100.0), l2("delete", (1, "Buy", None, None)), trade("Sell", 4, 100.0)],
        [(3, 4)],
    ),
    "a decrease with nobody behind was ahead of us": (
        [l2("update", (1, "Buy", 8, None)), trade("Sell", 9, 100.0)],
        [(2, 1)],
    ),
    "a decrease takes who joined behind us first": (
        [
            l2("update", (1, "Buy", 90, None)),
            l2("update", (1, "Buy", 52, None)),
            trade("Sell", 51, 100.0),
        ],
        [(3, 1)],
    ),
    "the effect of a trade on the book is not taken twice": (
        [
            trade("Sell", 30, 100.0),
            l2("update", (1, "Buy", 20, None)),
            trade("Sell", 20, 100.0),
            l2("delete", (1, "Buy", None, None)),
        ],
        [],
    ),
    "an ask inserted at our price fills us up to its size": (
        [l2("delete", (1, "Buy", None, None)), l2("insert", (5, "Sell", 3, 100.0))],
        [(2, 3)],
    ),
    "a new image goes on from where the deltas were": (
        [l2("update", (1, "Buy", 20, None)), IMAGE, trade("Sell", 22, 100.0)],
        [(3, 2)],
    ),
}


@pytest.mark.parametrize("case", QUEUES)
def test_our_place_in_the_queue_follows_the_deltas(case: str, tmp_path: Path) -> None:
    messages, expected = QUEUES[case]
    lines = [f"{NOON_S + i}: {message}\n" for i, message in enumerate([IMAGE, *messages])]
    (tmp_path / "x.log").write_text("".join(lines))
    replay = Replay(tmp_path / "x.log")
    replay.place(10, 100.0)
    replay.clock.sleep(20)
    assert replay.fills() == expected
    assert replay.engine.imbalance_sat() == 0


def test_without_sizes_we_are_filled_when_the_opposite_quote_reaches_us(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    pairs = [(100, 100.5), (99.5, 100.5), (99, 100.5), (98.5, 99.5), (98, 98.5)]
    rows = [f"2020-03-10T12:00:0{i}.000Z,{bid},{ask}" for i, (bid, ask) in enumerate(pairs)]
    path.write_text("timestamp,xbtusd_bid,xbtusd_ask\n" + "\n".join(rows))
    replay = Replay(path)
    replay.place(300, 99.5)
    replay.clock.sleep(2.5)
    assert replay.fills() == []
    replay.clock.sleep(10)
    assert replay.fills() == [(3, 300)]


def test_funding_rates_beside_the_market_apply(tmp_path: Path) -> None:
    (tmp_path / "quotes.csv").write_text(FORMATS["BitMEX's public dump of quotes"][0])
    (tmp_path / "funding.csv").write_text(
        "timestamp,symbol,fundingInterval,fundingRate,fundingRateDaily\n"
        "2020-03-10T12:00:00.000Z,XBTUSD,2000-01-01T08:00:00.000Z,0.001,0.003\n"
        "2020-03-10T20:00:00.000Z,XBTUSD,2000-01-01T08:00:00.000Z,-0.002,-0.006\n"
    )
    assert RecordedMarket(tmp_path, "XBTUSD").instrument.funding_rate == -0.002


def test_an_unknown_symbol_is_guessed_and_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.csv"
    header = "timestamp,symbol,bidSize,bidPrice,askPrice,askSize\n"
    rows = [f"2020-03-10T12:00:0{i}.000Z,TRXU21,50,0.0000017{i},0.00000180,80\n" for i in (1, 2)]
    path.write_text(header + "".join(rows))
    with caplog.at_level(logging.WARNING):
        spec = RecordedMarket(path, "TRXU21").instrument
    assert spec.tick_size == 1e-8
    assert spec.grid().price(171) == 0.00000171
    (line,) = caplog.messages
    assert "TRXU21: nothing describes it" in line


needs_recording = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data of ../shared/data is not here"
)
LOG_2021 = SHARED / "bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz"


@needs_recording
def test_an_instruments_file_describes_a_future() -> None:
    described = SHARED / "bitmex_instruments_active_2021-07-22.json.gz"
    spec = RecordedMarket([LOG_2021, described], "XRPU21").instrument
    assert (spec.tick_size, spec.lot_size, spec.multiplier) == (1e-8, 1, 100_000_000)
    assert (spec.is_inverse, spec.is_quanto, spec.init_margin) == (False, False, 0.05)


def log_lines() -> Iterator[str]:
    with gzip.open(LOG_2021, "rt") as lines:
        yield from lines


@needs_recording
@pytest.mark.parametrize("symbol", ["XBTUSD", "BCHUSD", "ADAUSDT"])
def test_a_book_built_from_real_deltas_shows_the_quotes_of_the_exchange(symbol: str) -> None:
    quotes = [
        (*item.bids.items(), *item.asks.items())
        for item in read_messages(log_lines(), symbol, "quote")
        if isinstance(item, Snapshot)
    ]
    replay = Replay(LOG_2021, symbol=symbol)
    replay.clock.sleep(40)
    grid = replay.engine.grid(symbol)
    built = {
        ((grid.price(e.bid_ticks), e.bid_size), (grid.price(e.ask_ticks), e.ask_size))
        for e in replay.events
        if isinstance(e, QuoteEvent) and e.bid_ticks and e.ask_ticks
    }
    shown = sum(quote in built for quote in quotes)
    print(f"{symbol}: {shown} of {len(quotes)} recorded quotes seen in the rebuilt book")
    assert shown >= 0.85 * len(quotes)


@needs_recording
@pytest.mark.parametrize(
    ("name", "symbol", "touch", "trades"),
    [
        ("bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz", "XBTUSD", (64373, 64374), 15),
        ("bitmex_ws_raw_10symbols_LTCUSD_2021-04-17.log.gz", "LTCUSD", (31276, 31322), 4),
        ("bitmex_ws_orderBookL2_XBTUSD_2025-04-25.jsonl.gz", "XBTUSD", (948892, 948893), 0),
        ("bitmex_testnet_ws_private_session_2018-08-16.jsonl.gz", "XBTUSD", (12739, 12740), 0),
        ("tardis_bitmex_trades_XBTUSD_2020-03-01_sample.csv.gz", "XBTUSD", (17063, 17065), 9),
        (
            "bitmex_XBTUSD_XBTM19_bidask_1s_2019-05-30T18_2019-05-31T18.csv.gz",
            "XBTM19",
            (17409, 17410),
            0,
        ),
        ("bitmex_XBTUSD_1m_bins_2020-03.csv.gz", "XBTUSD", (17080, 17081), 240),
        ("binance_coinm_BTCUSD_PERP_raw_2024-08-08.gz", "BTCUSD_PERP", None, None),
    ],
)
def test_real_recordings_of_every_format_play(
    name: str, symbol: str, touch: tuple[int, int] | None, trades: int | None
) -> None:
    replay = Replay(SHARED / name, symbol=symbol)
    replay.clock.sleep(60 if "bins" not in name else 3600)
    quote = replay.engine.quote(symbol)
    assert quote.bid_ticks is not None
    assert quote.ask_ticks is not None
    assert quote.bid_ticks < quote.ask_ticks
    printed = sum(isinstance(event, TradeEvent) for event in replay.events)
    print(f"{symbol}: touch {quote[2:]}, {printed} trades")
    assert touch is None or (quote.bid_ticks, quote.ask_ticks) == touch
    assert trades is None or printed == trades
