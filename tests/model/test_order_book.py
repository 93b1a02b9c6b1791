"""The order book agrees with a plain list of rows, whatever comes in whatever form."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.order_book import Level, LevelChange, OrderBook
from market_maker.model.ticks import PriceGrid

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here")
TICKS = [0.5, 0.1, 0.01, 0.0001, 1e-5, 1e-8]


def row(number: int, side: str, price: float, size: float) -> dict[str, Any]:
    return {"symbol": "XBTUSD", "id": number, "side": side, "price": price, "size": size}


def book(tick: float = 0.5) -> OrderBook:
    made = OrderBook(PriceGrid.of(tick))
    rows = [row(1, "Sell", 101.0, 40), row(2, "Sell", 100.5, 30), row(3, "Buy", 100.0, 20)]
    made.apply("partial", [*rows, row(4, "Buy", 99.0, 10)])
    return made


@pytest.mark.parametrize("tick", TICKS)
def test_levels_run_from_the_touch_outward_on_every_tick(tick: float) -> None:
    grid, made = PriceGrid.of(tick), OrderBook(PriceGrid.of(tick))
    pairs = [[grid.price(1_000_003 - n), n + 1] for n in range(5)]
    made.load(bids=pairs[1:], asks=[[grid.price(1_000_004 + n), n + 1] for n in range(5)])
    assert [level.ticks for level in made.levels("Buy")] == [1_000_002 - n for n in range(4)]
    assert list(made.levels("Sell", 2)) == [Level(1_000_004, 1), Level(1_000_005, 2)]
    assert (made.best_bid, made.best_ask, made.best("Sell")) == (1_000_002, 1_000_004, 1_000_004)


def test_rows_read_as_market_depth_has_them() -> None:
    shown = [(r["side"], r["price"], r["size"]) for r in book().rows()]
    assert shown == [("Sell", 101, 40), ("Sell", 100.5, 30), ("Buy", 100, 20), ("Buy", 99, 10)]
    assert [r["price"] for r in book().rows(1)] == [100.5, 100.0]


@pytest.mark.parametrize(
    ("action", "data", "changes", "best"),
    [
        ("update", {"id": 3, "size": 25}, [("Buy", 200, 20, 25)], (200, 201)),
        ("update", {"id": 3, "side": "Buy", "size": 20}, [], (200, 201)),
        ("update", {"id": 3, "size": 0}, [("Buy", 200, 20, 0)], (198, 201)),
        ("update", {"id": 3, "size": None}, [], (200, 201)),
        (
            "update",
            {"id": 3, "price": 99.5},
            [("Buy", 200, 20, 0), ("Buy", 199, 0, 20)],
            (199, 201),
        ),
        (
            "update",
            {"id": 3, "price": 99.5, "size": 5},
            [("Buy", 200, 20, 0), ("Buy", 199, 0, 5)],
            (199, 201),
        ),
        ("delete", {"id": 2, "side": "Sell"}, [("Sell", 201, 30, 0)], (200, 202)),
        ("delete", {"id": 77, "side": "Sell"}, [], (200, 201)),
        ("update", {"id": 77, "side": "Sell", "size": 5}, [], (200, 201)),
        ("insert", row(5, "Buy", 100.0, 7), [("Buy", 200, 20, 27)], (200, 201)),
        ("insert", row(5, "Sell", 99.5, 7), [("Sell", 199, 0, 7)], (200, 199)),
        ("insert", row(5, "Both", 99.5, 7), [], (200, 201)),
        ("insert", row(5, "Buy", 99.5, -7), [], (200, 201)),
    ],
)
def test_each_row_changes_its_level_and_no_other(
    action: str, data: dict[str, Any], changes: list[Any], best: tuple[int, int]
) -> None:
    made = book()
    assert made.apply(action, [data]) == [LevelChange(*change) for change in changes]
    assert (made.best_bid, made.best_ask) == best


def test_rows_without_an_id_are_known_by_side_and_price() -> None:
    made = OrderBook(PriceGrid.of(0.1))
    made.apply("partial", [{"side": "Buy", "price": 0.3, "size": 1.5}])
    made.apply("update", [{"side": "Buy", "price": 0.3, "size": 0.1}])
    assert made.size("Buy", 3) == 0.1
    made.apply("delete", [{"side": "Buy", "price": 0.3}])
    assert len(made) == 0


def test_sizes_of_several_rows_at_a_price_add_up_without_dust() -> None:
    made = OrderBook(PriceGrid.of(0.5))
    made.apply("insert", [row(1, "Buy", 1.0, 0.1), row(2, "Buy", 1.0, 0.2)])
    assert made.size("Buy", 2) == 0.3
    made.apply("delete", [{"id": 1}])
    assert made.size("Buy", 2) == 0.2
    made.apply("delete", [{"id": 2}])
    assert made.best_bid is None


def test_a_lost_connection_leaves_nothing() -> None:
    made = book()
    made.clear()
    assert (len(made), made.has_image, made.best_bid) == (0, False, None)
    assert made.apply("update", [{"id": 3, "size": 25}]) == []


ROWS = st.builds(
    row,
    st.integers(1, 8),
    st.sampled_from(["Buy", "Sell"]),
    st.integers(1, 5).map(lambda n: n / 2),
    st.integers(1, 4),
)
STEPS = st.lists(st.tuples(st.sampled_from(["insert", "update", "delete"]), ROWS), max_size=60)


@given(STEPS)
def test_it_agrees_with_a_plain_list_of_rows(steps: list[tuple[str, dict[str, Any]]]) -> None:
    made, plain = OrderBook(PriceGrid.of(0.5)), {}
    levels: dict[tuple[str, int], float] = {}
    for action, data in steps:
        if action == "delete":
            plain.pop(data["id"], None)
        else:
            # an id keeps its side for life, as on BitMEX
            plain[data["id"]] = {**data, "side": plain.get(data["id"], data)["side"]}
            data = plain[data["id"]]
        for change in made.apply(action, [data]):
            assert levels.get((change.side, change.ticks), 0) == change.before
            levels[change.side, change.ticks] = change.after
    for side in ("Buy", "Sell"):
        wanted: dict[int, float] = {}
        for r in plain.values():
            if r["side"] == side:
                wanted[round(r["price"] * 2)] = wanted.get(round(r["price"] * 2), 0) + r["size"]
        found = list(made.levels(side))
        assert dict(found) == wanted == {t: n for (s, t), n in levels.items() if s == side and n}
        assert [lv.ticks for lv in found] == sorted(wanted, reverse=side == "Buy")


# -- recorded ---------------------------------------------------------------------------


def messages(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt") as lines:
        for line in lines:
            text = line.partition(": ")[2] if line[0].isdigit() else line
            if text.startswith("{"):
                yield json.loads(text)


@needs_data
@pytest.mark.parametrize(
    ("name", "symbol", "tick"),
    [
        ("bitmex_ws_raw_10symbols_XBTUSD_2021-07-22.log.gz", "XBTUSD", 0.5),
        ("bitmex_ws_raw_10symbols_LTCUSD_2021-04-17.log.gz", "LTCUSD", 0.01),
    ],
)
def test_a_recorded_book_is_followed_without_a_price_in_its_changes(
    name: str, symbol: str, tick: float
) -> None:
    made, plain = OrderBook(PriceGrid.of(tick)), {}
    for message in messages(name):
        if message.get("table") != "orderBookL2":
            continue
        data = [r for r in message["data"] if r["symbol"] == symbol]
        if not data:
            continue
        made.apply(message["action"], data)
        for r in data:
            if message["action"] == "delete":
                del plain[r["id"]]
            else:
                plain[r["id"]] = {**plain.get(r["id"], {}), **r}
        assert made.best_bid is not None and made.best_ask is not None
        assert made.best_bid < made.best_ask
    grid = made.grid
    assert len(made) == len(plain) > 500
    assert {(r["side"], grid.nearest(r["price"]), r["size"]) for r in plain.values()} == {
        (side, *level) for side in ("Buy", "Sell") for level in made.levels(side)
    }


@needs_data
def test_the_form_of_2025_has_a_price_on_every_row() -> None:
    made = OrderBook(PriceGrid.of(0.1))
    for message in messages("bitmex_ws_orderBookL2_XBTUSD_2025-04-25.jsonl.gz"):
        made.apply(message["action"], message["data"])
        if message["action"] == "partial":
            assert len(made) == 5_689
            assert made.best_bid is not None and made.best_ask is not None
            assert made.best_bid < made.best_ask
