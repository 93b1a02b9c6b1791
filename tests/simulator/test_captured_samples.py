"""Our rows beside rows captured from the exchange: same columns, same types, per profile.

Each difference stands in a table with its reason; a difference that is gone must leave it too.
Which samples are captured is told by the protocol notes (8.16) and by the data's own README.
"""

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_select import select
from market_maker.simulator.dialects.bitmex_tables import column_type
from market_maker.simulator.exchange import Engine

SHARED = Path(__file__).parents[3] / "shared"
SAMPLES, DATA = SHARED / "protocol/bitmex/samples", SHARED / "data"
PRIVATE_2018 = "bitmex_testnet_ws_private_session_2018-08-16.jsonl.gz"
MESSAGES_2018 = "bitmex_ws_message_samples_2018-08.jsonl.gz"
PUBLIC_2021 = "bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz"
BOOK_2025 = "bitmex_ws_orderBookL2_XBTUSD_2025-04-25.jsonl.gz"
INSTRUMENTS_2021 = "bitmex_instruments_active_2021-07-22.json.gz"
LIQUIDATION_2017 = "bitmex_ws_liquidation_deleverage_examples.jsonl.gz"

pytestmark = pytest.mark.skipif(not SAMPLES.exists(), reason="the captures in ../shared are absent")

Row = dict[str, Any]


# -- theirs


@cache
def messages(name: str) -> list[Row]:
    """The table messages of a recording, whatever surrounds them."""
    found = []
    with gzip.open(DATA / name, "rt") as lines:
        for line in lines:
            text = line if line.startswith("{") else line.partition(": ")[2]
            message = json.loads(text) if text.startswith("{") else {}
            message = message.get("msg", message)
            if "table" in message:
                found.append(message)
    return found


def theirs(name: str, table: str, action: str) -> list[Row]:
    """All rows that a recording has of one kind."""
    return [
        row
        for message in messages(name)
        if (message["table"], message["action"]) == (table, action)
        for row in message["data"]
    ]


def sample(name: str) -> Row:
    return dict(json.loads((SAMPLES / f"{name}.json").read_text()))


# -- ours


class Scene:
    """One of everything, seen by one account in one profile."""

    def __init__(self, profile: str) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, seed=1)
        self.clock.attach(self.engine)
        self.dialect = Dialect(self.engine, profile)
        self.mine, self.other = (self.engine.open_account(10**10) for _ in range(2))
        self.messages: list[Row] = []
        self._quote("Buy", 59_990)
        self._quote("Sell", 60_010)
        self._trade(self.other.number, 100, 60_010)
        self.images()
        self.engine.listeners.append(
            lambda event: self.messages.extend(m for _, m in self.dialect.render(event))
        )
        self._act()

    def images(self) -> dict[str, Row]:
        """The partial of every table as it is now."""
        number, tables = self.mine.number, self.dialect.feed.tables
        return {name: self.dialect.partial(name, None, number) for name in tables}

    def _quote(self, side: str, price: float) -> None:
        ticks = self.engine.grid("XBTUSD").nearest(price)
        self.engine.liquidity("XBTUSD").resize(side, ticks, 5000)

    def _trade(self, account: int, qty: int, price: float) -> None:
        self.engine.place(account, {"symbol": "XBTUSD", "orderQty": qty, "price": price})

    def _act(self) -> None:
        mine = self.mine.number
        self._trade(mine, 600, 60_010)
        fields = {"symbol": "XBTUSD", "orderQty": 300, "price": 59_990.5, "clOrdID": "mine"}
        order_id = self.engine.place(mine, fields).order_id
        self._trade(self.other.number, -100, 59_990.5)
        self._quote("Sell", 60_011)
        self.engine.amend(mine, {"orderID": order_id, "leavesQty": 100})
        self.engine.cancel(mine, [order_id])
        self._quote("Buy", 59_991)
        ticks = self.engine.grid("XBTUSD").nearest(59_991)
        self.engine.liquidity("XBTUSD").resize("Buy", ticks, 0)
        self.engine.liquidity("XBTUSD").set_index(60_100.0)
        self.clock.sleep(60)
        self._trade(self.other.number, 100, 60_010)
        self.engine.cancel(mine, ["ece0a2cc-7729-4f4c-bc6c-65d7c723e75b"])
        self.engine.request_withdrawal(mine, {"amount": 1000, "address": "there"})
        self.clock.sleep(24 * 3600)
        self.engine.place(mine, fields)
        self.partials = self.images()

    def rows(self, table: str, action: str) -> list[Row]:
        """All rows of one kind: of an image, or of the messages."""
        if action == "partial":
            return list(self.partials[table]["data"])
        return [
            row
            for message in self.messages
            if (message["table"], message["action"]) == (table, action)
            for row in message["data"]
        ]

    def get(self, path: str, **query: Any) -> list[Row]:
        answer = self.dialect.handle(Request("GET", path, query), self.mine)
        assert answer.status == 200, answer.body
        return list(answer.body)


@cache
def scene(profile: str) -> Scene:
    return Scene(profile)


# -- the comparison

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def kind(value: Any) -> str:
    """What a JSON value is, as far as a client's parser cares."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "guid" if GUID.fullmatch(value) else "time" if STAMP.fullmatch(value) else "text"
    return type(value).__name__


def columns(rows: Iterable[Row]) -> dict[str, set[str]]:
    """Column to the kinds of its values that are neither null nor empty."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds = found.setdefault(name, set())
            if value not in (None, ""):
                kinds.add(kind(value))
    return found


def differences(theirs: list[Row], ours: list[Row]) -> dict[str, str]:
    """Column to what is different about it."""
    assert theirs
    assert ours
    had, have = columns(theirs), columns(ours)
    found = dict.fromkeys(had.keys() - have.keys(), "missing")
    found |= dict.fromkeys(have.keys() - had.keys(), "added")
    for name in had.keys() & have.keys():
        if had[name] and have[name] and not had[name] & have[name]:
            found[name] = f"{min(had[name])} became {min(have[name])}"
    return found


def explained(*reasons: tuple[str, str]) -> set[str]:
    """The columns that reasons are given for: (columns, reason) pairs."""
    assert all(reason for _, reason in reasons)
    return {name for names, _ in reasons for name in names.split()}


def check(theirs: list[Row], ours: list[Row], table: str, *reasons: tuple[str, str]) -> None:
    found = differences(theirs, ours)
    assert {name: found.get(name) for name in found.keys() ^ explained(*reasons)} == {}
    for row in ours:
        for name, value in row.items():
            if column_type(table, name) == "long" and value is not None:
                assert isinstance(value, int), name


# -- the stream

NEWER = "the last API had it; a client of that age leaves it aside, and swagger defines it"
STREAM = [
    ("classic", PRIVATE_2018, "quote", "partial", ()),
    ("classic", PRIVATE_2018, "quote", "insert", ()),
    ("classic", PRIVATE_2018, "trade", "partial", (("trdType", NEWER),)),
    (
        "classic",
        PRIVATE_2018,
        "instrument",
        "partial",
        (("instantPnl minTick settledPriceAdjustmentRate listedSettle", NEWER),),
    ),
    ("classic", PRIVATE_2018, "order", "insert", ()),
    ("classic", PRIVATE_2018, "execution", "insert", (("feeType", NEWER),)),
    ("classic", PRIVATE_2018, "position", "partial", ()),
    ("classic", PRIVATE_2018, "margin", "partial", (("makerFeeDiscount takerFeeDiscount", NEWER),)),
    ("classic", MESSAGES_2018, "trade", "insert", (("trdType", NEWER),)),
    ("classic", MESSAGES_2018, "execution", "insert", (("feeType", NEWER),)),
    ("classic", MESSAGES_2018, "order", "insert", ()),
    ("classic", MESSAGES_2018, "position", "partial", ()),
    (
        "classic",
        MESSAGES_2018,
        "margin",
        "partial",
        (("makerFeeDiscount takerFeeDiscount", NEWER),),
    ),
    ("classic", LIQUIDATION_2017, "execution", "insert", (("feeType", NEWER),)),
    ("classic", PUBLIC_2021, "quote", "insert", ()),
    ("classic", PUBLIC_2021, "trade", "insert", (("trdType", NEWER),)),
    ("classic", PUBLIC_2021, "orderBookL2", "partial", (("timestamp transactTime", NEWER),)),
    ("classic", PUBLIC_2021, "orderBookL2", "insert", (("timestamp transactTime", NEWER),)),
    ("classic", PUBLIC_2021, "orderBookL2", "update", (("price timestamp transactTime", NEWER),)),
    ("classic", PUBLIC_2021, "orderBookL2", "delete", (("price timestamp transactTime", NEWER),)),
    ("last", BOOK_2025, "orderBookL2", "partial", ()),
    ("last", BOOK_2025, "orderBookL2", "insert", ()),
    ("last", BOOK_2025, "orderBookL2", "update", ()),
    ("last", BOOK_2025, "orderBookL2", "delete", ()),
]


@pytest.mark.parametrize(
    ("profile", "recording", "table", "action", "reasons"),
    STREAM,
    ids=["-".join(case[:4]) for case in STREAM],
)
def test_rows_of_the_stream_are_those_of_a_recording(
    profile: str, recording: str, table: str, action: str, reasons: Any
) -> None:
    ours = scene(profile).rows(table, action)
    if table == "trade":
        ours = [row for row in ours if row["symbol"][0] != "."]  # none of an index was recorded
    check(theirs(recording, table, action), ours, table, *reasons)


# table -> what each of its updates carried, changed or not
ALWAYS = {
    "order": "orderID clOrdID account symbol timestamp",
    "position": "account symbol currency currentQty markPrice simpleQty liquidationPrice timestamp",
    "margin": "account currency timestamp",
    "instrument": "symbol timestamp",
}


@pytest.mark.parametrize("recording", [PRIVATE_2018, MESSAGES_2018, LIQUIDATION_2017])
@pytest.mark.parametrize("table", ALWAYS)
def test_updates_carry_what_they_carried_and_only_known_columns(recording: str, table: str) -> None:
    recorded = theirs(recording, table, "update")
    if not recorded:
        pytest.skip(f"{recording} has no update of {table}")
    always, known = set(ALWAYS[table].split()), set(scene("classic").partials[table]["types"])
    for row in recorded:
        assert always <= row.keys() <= known
    for row in scene("classic").rows(table, "update"):
        assert always <= row.keys() <= known


def partials(recording: str) -> Iterator[Row]:
    seen = set()
    for message in messages(recording):
        if message["action"] == "partial" and message["table"] not in seen:
            seen.add(message["table"])
            yield message


@pytest.mark.parametrize(
    ("profile", "recording", "tables"),
    [("classic", PRIVATE_2018, 7), ("classic", PUBLIC_2021, 3), ("last", BOOK_2025, 1)],
)
def test_partials_describe_their_table_as_recorded(
    profile: str, recording: str, tables: int
) -> None:
    recorded = list(partials(recording))
    assert len(recorded) == tables
    for message in recorded:
        ours = scene(profile).partials[message["table"]]
        assert set(message) == set(ours)
        for part in ("keys", "foreignKeys", "attributes"):
            assert message.get(part) == ours.get(part), message["table"]
        for name, kind_of in message["types"].items():
            assert ours["types"][name] == kind_of, (message["table"], name)


# -- the captured samples of the last API

LEGS = "only a spread has legs, a price below zero and a pool; there are no spreads here"
OF_A_FUTURE = "the spread has no margin, no risk limit and no mark of its own; our future has"
SAMPLE_ROWS = [
    ("ws_orderbook_l2", "orderBookL2", lambda s: s.rows("orderBookL2", "partial"), ()),
    ("ws_orderbook_10", "orderBook10", lambda s: s.rows("orderBook10", "partial"), ()),
    ("ws_orderbook_10", "orderBook10", lambda s: s.rows("orderBook10", "update"), ()),
    ("ws_quote", "quote", lambda s: s.rows("quote", "insert"), ()),
    ("ws_trade", "trade", lambda s: [r for r in s.rows("trade", "insert") if r["size"]], ()),
    ("ws_trade_bin_1m", "tradeBin1m", lambda s: s.rows("tradeBin1m", "insert")[:2], ()),
    (
        "ws_execution_cancel_reject",
        "execution",
        lambda s: [
            row for row in s.rows("execution", "insert") if row["execType"] == "CancelReject"
        ],
        (),
    ),
    (
        "http_get_instrument_xbtusd",
        "instrument",
        lambda s: s.get("/instrument", symbol="XBTUSD"),
        (("openingTimestamp closingTimestamp", "the spread of 2026 shows them, this row not"),),
    ),
    (
        "http_get_instrument_xbtm26_xbtu26_spread",
        "instrument",
        lambda s: [row for row in s.get("/instrument") if row["typ"] == "FFCCSX"],
        (
            ("instrumentID nearLegSymbol farLegSymbol referencePrice minPrice pool", LEGS),
            (
                "riskLimit riskStep initMargin maintMargin fairMethod fairBasis fairBasisRate "
                "fairPrice markMethod markPrice indicativeSettlePrice minTick settlementFee "
                "reference listedSettle openInterest prevClosePrice",
                OF_A_FUTURE,
            ),
            ("askPrice vwap", "nobody quoted or traded our future in this scene"),
        ),
    ),
]


@pytest.mark.parametrize(
    ("name", "table", "ours", "reasons"), SAMPLE_ROWS, ids=[case[0] for case in SAMPLE_ROWS]
)
def test_rows_of_the_last_api_are_those_of_its_samples(
    name: str, table: str, ours: Any, reasons: Any
) -> None:
    check([sample(name)], ours(scene("last")), table, *reasons)


@pytest.mark.parametrize("name", ["ws_instrument_index_update", "ws_instrument_mark_update"])
def test_instrument_updates_have_only_columns_that_ours_have(name: str) -> None:
    assert sample(name).keys() <= scene("last").partials["instrument"]["types"].keys()
    assert {"symbol", "timestamp"} <= sample(name).keys()


def test_instruments_over_rest_are_those_of_2021() -> None:
    with gzip.open(DATA / INSTRUMENTS_2021, "rt") as file:
        recorded = json.load(file)
    ours = scene("classic").get("/instrument/active")
    check(recorded, ours, "instrument", ("instantPnl minTick", NEWER))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("bitmex_XBTUSD_1m_bins_2019-06.csv.gz", "tradeBin1m"),
        ("bitmex_XBTUSD_quotes_2020-03-10.csv.gz", "quoteBin1m"),
    ],
)
def test_recorded_columns_are_those_of_the_table(name: str, table: str) -> None:
    with gzip.open(DATA / name, "rt") as file:
        header = next(csv.reader(file))
    assert set(header) == set(scene("last").partials[table]["types"])


def test_a_cancel_in_vain_was_not_told_by_the_old_api() -> None:
    kinds = {row["execType"] for row in scene("classic").rows("execution", "insert")}
    assert "CancelReject" not in kinds


PRINTED = {"timestamp", "symbol", "side", "size", "price", "tickDirection", "trdType"}


def test_an_index_prints_on_its_own_symbol_without_a_size() -> None:
    # captured in September 2025: side Buy, size 0, no match, no values
    for profile in ("classic", "last"):
        prints = [r for r in scene(profile).rows("trade", "insert") if r["symbol"] == ".BXBT"]
        assert prints
        for row in prints:
            said = {name for name, value in row.items() if value is not None}
            assert said == PRINTED
            assert (row["side"], row["size"], row["trdType"]) == ("Buy", 0, "Referential")


def test_hand_made_samples_are_read_and_not_compared() -> None:
    """They hold columns of several ages, and sums that do not add up (8.16)."""
    orders = json.loads((SAMPLES / "http_get_orders.json").read_text())
    assert [row["side"] for row in select(orders, {"filter": '{"open":true}'})] == ["Buy"]
    trades = json.loads((SAMPLES / "http_get_trades.json").read_text())
    early = select(trades, {"endTime": "2024-11-25T10:35:00.000Z", "columns": "price"}, ["symbol"])
    assert early == [{"symbol": "XBTUSD", "price": 98949.5}]
