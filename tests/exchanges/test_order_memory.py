"""What has ended is forgotten in time, what rests never."""

import pytest

from market_maker.exchanges.binance_tables import BinanceTables
from market_maker.exchanges.chains import BINANCE, HITBTC, Chains, Words
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.okx_tables import OkxTables
from market_maker.exchanges.order_memory import OrderMemory, Shown
from market_maker.model.rows import Row
from tests.exchanges.test_binance_rows import market as binance_market
from tests.exchanges.test_okx_rows import market as okx_market
from tests.exchanges.test_okx_rows import order_push

MANY = 2_100  # more orders than are remembered once they have ended


def test_what_ended_first_is_forgotten_first_and_what_rests_never() -> None:
    memory: OrderMemory[int] = OrderMemory(most=3)
    memory.put("resting", 0, rests=True)
    for number in range(10):
        memory.put(str(number), number, rests=True)
        memory.put(str(number), number, rests=False)
    assert [name for name in ("resting", "6", "7", "9") if name in memory] == ["resting", "7", "9"]
    assert (len(memory), memory.get("9"), memory.get("6")) == (4, 9, None)
    memory.put("resting", 1, rests=False)
    assert "7" not in memory


def chains_of(words: Words) -> Chains:
    return Chains(ClientIds("mm_bitmex_", 28), lambda: 1_700_000_000.0, words)


@pytest.mark.parametrize("words", [HITBTC, BINANCE])
def test_an_order_that_rests_keeps_its_ids_however_many_come_after_it(words: Words) -> None:
    chains = chains_of(words)
    order_id = chains.order_id_of("mm_bitmex_a")
    chains.read({"client_order_id": chains.first_id("mm_bitmex_a"), "status": "new"})
    second = chains.begin_replace(order_id)
    chains.read({"client_order_id": second, "status": "new"})
    for number in range(MANY):
        for status in ("new", words.whole):
            chains.read({"client_order_id": chains.first_id(str(number)), "status": status})
    assert chains.ids(order_id) == [second]
    assert chains.last(order_id) is not None
    assert chains.last(chains.order_id_of("1")) is None
    assert chains.last(chains.order_id_of(str(MANY - 1))) is not None


def test_an_order_whose_replace_is_on_its_way_is_not_forgotten() -> None:
    chains = chains_of(BINANCE)
    order_id = chains.order_id_of("mm_bitmex_a")
    chains.read({"client_order_id": chains.first_id("mm_bitmex_a"), "status": "CANCELED"})
    second = chains.begin_replace(order_id)
    for number in range(MANY):
        chains.read({"client_order_id": chains.first_id(str(number)), "status": "FILLED"})
    assert chains.ids(order_id)[0] == second


def test_the_row_of_an_order_that_rests_is_never_inserted_twice() -> None:
    shown = Shown([{"orderID": "image", "ordStatus": "New"}])
    assert shown.action({"orderID": "resting", "ordStatus": "New"}) == "insert"
    for number in range(MANY):
        shown.action({"orderID": str(number), "ordStatus": "Filled"})
    for name in ("image", "resting", str(MANY - 1)):
        assert shown.action({"orderID": name, "ordStatus": "PartiallyFilled"}) == "update"
    assert shown.action({"orderID": "0", "ordStatus": "Filled"}) == "insert"


def test_a_fill_of_an_order_that_rests_at_binance_for_long_still_names_it() -> None:
    chains = chains_of(BINANCE)
    tables = BinanceTables(binance_market(), chains, "7")
    for number in range(MANY):
        wire_id, status = chains.first_id(f"mm_{number}"), "FILLED" if number else "NEW"
        tables.order_row({"orderId": number, "clientOrderId": wire_id, "status": status})
    fill = tables.fill_row({"id": 1, "orderId": 0, "qty": "0.1", "price": "1", "time": 1})
    assert fill["clOrdID"] == "mm_0"


def test_the_fee_that_a_resting_order_at_okx_has_paid_is_not_booked_again() -> None:
    tables = OkxTables(okx_market(), lambda wire_id: wire_id)

    def push(number: int, filled: str, fee: str, state: str) -> list[Row]:
        columns = {"ordId": str(number), "accFillSz": filled, "fee": fee, "state": state}
        found = tables.read(order_push(**columns, fillSz="1", tradeId=f"{number}-{filled}"))
        return [row for table in found if table["table"] == "execution" for row in table["data"]]

    push(0, "1", "-0.0000001", "partially_filled")
    for number in range(1, MANY):
        push(number, "3", "-0.0000001", "filled")
    (fill,) = push(0, "2", "-0.0000003", "partially_filled")
    assert fill["execComm"] == 20
