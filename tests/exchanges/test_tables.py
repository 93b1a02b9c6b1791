"""The table store against hand-made cases, recorded streams and a naive model."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.exchanges.tables import TableStore

SHARED = Path(__file__).resolve().parents[3] / "shared"
DATA = SHARED / "data"
SAMPLES = SHARED / "protocol" / "bitmex" / "samples"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout")
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no ../shared/protocol there")

BOOK_KEYS = ["symbol", "id", "side"]


def image(table: str, keys: list[str], rows: list[dict[str, Any]], **scope: Any) -> dict[str, Any]:
    return {"table": table, "action": "partial", "keys": keys, "filter": scope, "data": rows}


def change(table: str, action: str, *rows: Any) -> dict[str, Any]:
    return {"table": table, "action": action, "data": list(rows)}


def level(
    level_id: int, size: int = 1, side: str = "Buy", symbol: str = "XBTUSD"
) -> dict[str, Any]:
    return {"symbol": symbol, "id": level_id, "side": side, "size": size}


@pytest.fixture
def store() -> TableStore:
    return TableStore()


def test_an_update_merges_into_its_row_and_tells_the_merged_row(store: TableStore) -> None:
    store.apply(image("instrument", ["symbol"], [{"symbol": "XBTUSD", "lastPrice": 1.0, "lot": 1}]))

    told = store.apply(change("instrument", "update", {"symbol": "XBTUSD", "lastPrice": 2.0}))

    assert told == (
        "instrument",
        "update",
        [{"symbol": "XBTUSD", "lastPrice": 2.0, "lot": 1}],
    )
    assert store.row("instrument", symbol="XBTUSD") == told.rows[0]


def test_rows_are_replaced_and_never_edited(store: TableStore) -> None:
    store.apply(image("margin", ["account"], [{"account": 1, "amount": 5}]))
    before = store.row("margin", account=1)

    store.apply(change("margin", "update", {"account": 1, "amount": 6}))

    assert before == {"account": 1, "amount": 5}
    assert store.row("margin", account=1) == {"account": 1, "amount": 6}


def test_a_delete_tells_the_row_as_it_last_was(store: TableStore) -> None:
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1), level(2)]))

    told = store.apply(
        change("orderBookL2", "delete", {"symbol": "XBTUSD", "id": 1, "side": "Buy"})
    )

    assert told is not None and told.rows == [level(1)]
    assert store.rows("orderBookL2") == [level(2)]


@pytest.mark.parametrize("action", ["insert", "update", "delete"])
def test_what_comes_before_the_first_image_is_dropped_and_counted(
    store: TableStore, action: str
) -> None:
    assert store.apply(change("order", action, {"orderID": "a"})) is None
    assert store.dropped == 1
    assert not store.has("order")


def test_an_empty_image_still_counts_as_an_image(store: TableStore) -> None:
    assert store.apply(image("position", ["account", "symbol"], [])) == ("position", "partial", [])
    assert store.has("position")
    assert store.rows("position") == []
    assert store.keys == {"position": ["account", "symbol"]}


@pytest.mark.parametrize("action", ["update", "delete"])
def test_a_change_of_an_unknown_row_is_dropped_and_the_rest_applies(
    store: TableStore, action: str
) -> None:
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1)]))

    told = store.apply(change("orderBookL2", action, level(9, 5), level(1, 5)))

    assert told is not None and len(told.rows) == 1
    assert store.dropped == 1


def test_two_subscriptions_of_one_table_stand_side_by_side(store: TableStore) -> None:
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1, symbol="A")], symbol="A"))
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1, symbol="B")], symbol="B"))
    assert len(store.rows("orderBookL2")) == 2

    store.apply(image("orderBookL2", BOOK_KEYS, [level(7, symbol="A")], symbol="A"))

    assert store.rows("orderBookL2") == [level(1, symbol="B"), level(7, symbol="A")]


def test_an_image_filtered_by_a_column_the_rows_lack_replaces_them(store: TableStore) -> None:
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1)], symbol="XBTUSD", pool="Primary"))
    store.apply(image("orderBookL2", BOOK_KEYS, [level(2)], symbol="XBTUSD", pool="Primary"))
    assert store.rows("orderBookL2") == [level(2)]


def test_an_image_without_a_filter_replaces_everything(store: TableStore) -> None:
    store.apply(image("trade", [], [{"symbol": "A", "price": 1.0}], symbol="A"))
    store.apply(image("trade", [], [{"symbol": "B", "price": 2.0}]))
    assert store.rows("trade") == [{"symbol": "B", "price": 2.0}]


def test_an_image_with_other_keys_starts_the_table_anew(store: TableStore) -> None:
    store.apply(image("position", ["account", "symbol"], [{"account": 1, "symbol": "A"}]))
    row = {"account": 1, "symbol": "A", "strategy": "OneWay"}
    store.apply(image("position", ["account", "symbol", "strategy"], [row], symbol="B"))
    assert store.rows("position") == [row]


@pytest.mark.parametrize("table, keys", [("trade", []), ("quote", []), ("execution", ["execID"])])
def test_tables_of_events_keep_only_the_newest_rows(table: str, keys: list[str]) -> None:
    store = TableStore(max_rows=3)
    store.apply(image(table, keys, [{"execID": "p"}]))
    for number in range(5):
        store.apply(change(table, "insert", {"execID": str(number)}))

    assert [row["execID"] for row in store.rows(table)] == ["2", "3", "4"]
    assert store.row(table, execID="3") == {"execID": "3"}


@pytest.mark.parametrize("leaves_qty, rests", [(0, False), (-1, False), (1, True), (None, True)])
def test_an_order_with_nothing_left_is_told_once_and_dropped(
    store: TableStore, leaves_qty: int | None, rests: bool
) -> None:
    store.apply(image("order", ["orderID"], [{"orderID": "a", "leavesQty": 10}]))

    told = store.apply(change("order", "update", {"orderID": "a", "leavesQty": leaves_qty}))

    assert told is not None and told.rows == [{"orderID": "a", "leavesQty": leaves_qty}]
    assert (store.row("order", orderID="a") is not None) is rests


def test_a_post_only_order_inserted_as_cancelled_is_told_and_not_kept(store: TableStore) -> None:
    store.apply(image("order", ["orderID"], []))
    row = {"orderID": "a", "leavesQty": 0, "ordStatus": "Canceled"}
    told = store.apply(change("order", "insert", row))
    assert told is not None and told.rows == [row]
    assert store.rows("order") == []


@pytest.mark.parametrize("have", [{}, {"strategy": None}])
@pytest.mark.parametrize("update", [{}, {"strategy": None}])
def test_a_null_key_column_and_a_missing_one_mean_the_same_row(
    store: TableStore, have: dict[str, Any], update: dict[str, Any]
) -> None:
    keys = ["account", "symbol", "strategy"]
    base = {"account": 1, "symbol": "XBTUSD"}
    store.apply(image("position", keys, [{**base, **have, "currentQty": 0}]))

    told = store.apply(change("position", "update", {**base, **update, "currentQty": 5}))

    assert told is not None and told.rows[0]["currentQty"] == 5
    assert len(store.rows("position")) == 1


def test_a_row_is_found_by_any_of_its_columns(store: TableStore) -> None:
    rows = [{"account": 1, "symbol": s, "currency": "XBt"} for s in ("A", "B")]
    store.apply(image("position", ["account", "symbol", "currency"], rows))
    assert store.row("position", symbol="B") is rows[1]
    assert store.row("position", account=1, symbol="B", currency="XBt") is rows[1]
    assert store.row("position", a=1, b=2, c=3) is None
    assert store.row("position", symbol="C") is None
    assert store.row("nothing", symbol="A") is None


def test_clear_forgets_the_images(store: TableStore) -> None:
    store.apply(image("order", ["orderID"], [{"orderID": "a", "leavesQty": 1}]))
    store.clear()
    assert not store.has("order")
    assert store.keys == {}
    assert store.apply(change("order", "update", {"orderID": "a"})) is None


@pytest.mark.parametrize(
    "message",
    [
        {"info": "Welcome", "version": "2"},
        {"success": True, "subscribe": "trade:XBTUSD", "request": {}},
        {"status": 400, "error": "Unknown table: x", "meta": {}, "request": {}},
        {"now": "2020", "cancelTime": 0},
    ],
)
def test_frames_that_are_no_tables_pass_silently(
    store: TableStore, message: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert store.apply(message) is None
    assert (store.malformed, store.dropped, caplog.records) == (0, 0, [])


MALFORMED: list[Any] = [
    None,
    7,
    "text",
    [],
    [0, "id", "topic", {}],
    {"table": "order"},
    {"table": "order", "action": "update"},
    {"table": "order", "action": "upsert", "data": []},
    {"table": "order", "action": ["update"], "data": []},
    {"table": ["order"], "action": "update", "data": []},
    {"table": "order", "action": "update", "data": None},
    {"table": "order", "action": "update", "data": {"orderID": "a"}},
    {"table": "order", "action": "partial", "data": []},
    {"table": "order", "action": "partial", "keys": "orderID", "data": []},
    {"table": "order", "action": "partial", "keys": [1], "data": []},
    {"table": "order", "action": "partial", "keys": ["orderID"], "data": None},
    {"table": "order", "action": "partial", "keys": ["orderID"], "filter": "x", "data": []},
    {"table": 5, "action": "partial", "keys": ["orderID"], "data": []},
    change("order", "insert", {"price": 5.0}),
    change("order", "insert", {"orderID": None}),
    change("order", "insert", {"orderID": ["a"]}),
    change("order", "insert", "a"),
    change("order", "update", None),
    change("order", "update", {"orderID": {}}),
    change("order", "update", {"price": 5.0}),
    change("order", "delete", 5),
    change("trade", "insert", "x"),
    change("orderBookL2", "insert", {"symbol": "XBTUSD", "side": "Buy", "size": 1}),
]


@pytest.mark.parametrize("message", MALFORMED, ids=repr)
def test_a_malformed_message_changes_nothing_and_is_logged_once(
    store: TableStore, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.apply(image("order", ["orderID"], [{"orderID": "a", "leavesQty": 1}]))
    store.apply(image("trade", [], [{"price": 1.0}]))
    store.apply(image("orderBookL2", BOOK_KEYS, [level(1)]))
    before = {name: store.rows(name) for name in store.keys}

    with caplog.at_level(logging.INFO):
        assert store.apply(message) is None
        assert store.apply(message) is None

    assert {name: store.rows(name) for name in store.keys} == before
    assert store.malformed == 2
    assert len(caplog.records) == 1


def test_a_broken_row_does_not_keep_the_good_ones_of_its_frame(store: TableStore) -> None:
    store.apply(image("order", ["orderID"], []))
    told = store.apply(change("order", "insert", None, {"orderID": "b", "leavesQty": 1}))
    assert told is not None and [row["orderID"] for row in told.rows] == ["b"]


def test_endless_kinds_of_garbage_fill_neither_log_nor_memory(
    store: TableStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for number in range(500):
            store.apply(change(f"table {number}", "update", {}))
    assert store.dropped == 500
    assert len(caplog.records) == 64


# Recorded data


def raw_log(name: str) -> Iterator[Any]:
    with gzip.open(DATA / name, "rt") as lines:
        for line in lines:
            head, _, text = line.partition(": ")
            if text and " " not in head:  # else a blank line, or what the client sent
                yield json.loads(text)


def json_lines(name: str) -> Iterator[Any]:
    with gzip.open(DATA / name, "rt") as lines:
        yield from map(json.loads, lines)


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz",
        "bitmex_ws_raw_10symbols_LTCUSD_2021-04-17.log.gz",
    ],
)
def test_books_rebuilt_from_a_raw_log_have_no_unknown_id(name: str) -> None:
    store = TableStore()
    early = set()  # a few trades come before the image of their table
    for message in raw_log(name):
        before = store.dropped
        store.apply(message)
        if store.dropped > before:
            early.add(message["table"])
    assert store.malformed == 0
    assert "orderBookL2" not in early and store.dropped <= 1

    books: dict[str, dict[str, list[float]]] = {}
    for row in store.rows("orderBookL2"):
        books.setdefault(row["symbol"], {"Buy": [], "Sell": []})[row["side"]].append(row["price"])
    assert len(books) == 10
    for sides in books.values():
        assert max(sides["Buy"]) < min(sides["Sell"])


@needs_data
def test_the_private_session_is_accepted_and_ends_with_no_order_left() -> None:
    store = TableStore()
    most = 0
    for line in json_lines("bitmex_testnet_ws_private_session_2018-08-16.jsonl.gz"):
        store.apply(line["msg"])
        most = max(most, len(store.rows("order")))
    assert (store.malformed, store.dropped) == (0, 0)
    assert most == 12
    assert store.rows("order") == []
    assert {"order", "execution", "margin", "position", "quote", "trade"} <= set(store.keys)


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "bitmex_ws_message_samples_2018-08.jsonl.gz",
        "bitmex_ws_liquidation_deleverage_examples.jsonl.gz",
        "bitmex_ws_orderBookL2_XBTUSD_2025-04-25.jsonl.gz",
    ],
)
def test_every_recorded_message_is_accepted(name: str) -> None:
    messages = list(json_lines(name))
    messages.sort(key=lambda message: message["action"] != "partial")
    store = TableStore()
    for message in messages:
        store.apply(message)
    assert store.malformed == 0


SAMPLE_TABLES = {
    "ws_execution": ("execution", []),
    "ws_execution_cancel_reject": ("execution", []),
    "ws_funding_rate": ("funding", ["timestamp", "symbol"]),
    "ws_instrument": ("instrument", ["symbol"]),
    "ws_instrument_index_update": ("instrument", ["symbol"]),
    "ws_instrument_mark_update": ("instrument", ["symbol"]),
    "ws_liquidation": ("liquidation", ["orderID"]),
    "ws_margin": ("margin", ["account", "currency"]),
    "ws_order": ("order", ["orderID"]),
    "ws_orderbook_10": ("orderBook10", ["symbol"]),
    "ws_orderbook_l2": ("orderBookL2", BOOK_KEYS),
    "ws_position": ("position", ["account", "symbol", "strategy"]),
    "ws_quote": ("quote", []),
    "ws_trade": ("trade", []),
    "ws_trade_bin_1m": ("tradeBin1m", []),
    "ws_wallet": ("wallet", ["account", "currency"]),
}


@needs_samples
def test_every_sample_row_is_accepted_as_image_insert_and_update() -> None:
    files = sorted(SAMPLES.glob("ws_*.json"))
    assert {file.stem for file in files} == set(SAMPLE_TABLES)
    for file in files:
        store = TableStore()
        table, keys = SAMPLE_TABLES[file.stem]
        row = json.loads(file.read_text())
        for message in (image(table, keys, [row]), change(table, "insert", row)):
            told = store.apply(message)
            assert told is not None and told.rows == [row]
        if keys:
            told = store.apply(change(table, "update", row))
            assert (told is None) == (table == "order" and not row["leavesQty"])
        assert store.malformed == 0


# A naive model, and garbage


class Model:
    """The same rules with linear searches over one list."""

    def __init__(self) -> None:
        self.seen = False
        self.rows: list[dict[str, Any]] = []

    def at(self, row: dict[str, Any]) -> int | None:
        same = [all(row[k] == other[k] for k in BOOK_KEYS) for other in self.rows]
        return same.index(True) if True in same else None

    def apply(self, message: dict[str, Any]) -> None:
        if message["action"] == "partial":
            scope = message["filter"].get("symbol")
            self.seen = True
            self.rows = [r for r in self.rows if scope and r["symbol"] != scope]
        elif not self.seen:
            return
        for row in message["data"]:
            index = self.at(row)
            if message["action"] in ("partial", "insert"):
                if index is None:
                    self.rows.append(row)
                else:
                    self.rows[index] = row
            elif index is not None and message["action"] == "update":
                self.rows[index] = self.rows[index] | row
            elif index is not None:
                del self.rows[index]


levels = st.builds(
    level, st.integers(1, 4), st.integers(1, 9), st.sampled_from(["Buy", "Sell"]), st.just("A")
) | st.builds(level, st.integers(1, 4), st.integers(1, 9), st.just("Buy"), st.just("B"))
messages = st.builds(
    lambda action, rows: change("orderBookL2", action, *rows),
    st.sampled_from(["insert", "update", "delete"]),
    st.lists(levels, max_size=4),
) | st.builds(
    lambda scope, rows: (
        image("orderBookL2", BOOK_KEYS, [r for r in rows if scope in (None, r["symbol"])])
        | {"filter": {"symbol": scope} if scope else {}}
    ),
    st.sampled_from([None, "A", "B"]),
    st.lists(levels, max_size=6),
)


@settings(deadline=None)
@given(st.lists(messages, max_size=30))
def test_any_sequence_gives_the_rows_of_a_naive_model(sequence: list[dict[str, Any]]) -> None:
    store, model = TableStore(), Model()
    for message in sequence:
        store.apply(message)
        model.apply(message)
        assert store.rows("orderBookL2") == model.rows
    for row in model.rows:
        assert store.row("orderBookL2", **{k: row[k] for k in BOOK_KEYS}) == row


words = st.sampled_from(
    ["table", "action", "data", "keys", "filter", "partial", "update", "order", "orderID", "x"]
)
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=6,
)
frames = garbage | st.fixed_dictionaries(
    {
        "table": garbage | st.just("order"),
        "action": garbage | st.sampled_from(["partial", "insert", "update", "delete"]),
        "data": garbage | st.lists(garbage, max_size=3),
    },
    optional={"keys": garbage | st.lists(words, max_size=3), "filter": garbage},
)


@settings(deadline=None, max_examples=60)
@given(st.lists(frames, max_size=6))
def test_no_garbage_raises_or_touches_other_tables(sequence: list[Any]) -> None:
    store = TableStore()
    rows = [{"symbol": "XBTUSD", "lastPrice": 1.0}]
    store.apply(image("instrument", ["symbol"], rows))
    for frame in sequence:
        store.apply(frame)
        for table in store.keys:
            store.rows(table)
    assert store.rows("instrument") == rows
