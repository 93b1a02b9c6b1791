"""Lists that come page by page are read whole, and end in an error where they would never end."""

from collections.abc import Callable
from typing import Any

import pytest

from market_maker.exchanges.base import ExchangeError
from market_maker.exchanges.bitmex import BitMEXConnector
from market_maker.exchanges.okx_reads import OkxReads
from market_maker.exchanges.pages import read_pages
from market_maker.exchanges.plain import PlainVenue
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from tests.doubles import HandStream, Wire


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_every_row_is_read_once_in_its_order(count: int) -> None:
    rows = [{"id": n} for n in range(count)]
    assert read_pages(lambda found: rows[len(found) : len(found) + 3], 3, "id") == rows


def test_it_ends_with_the_page_that_is_enough() -> None:
    pages = iter([[{"id": 1}, {"id": 2}], [{"id": 3}, {"id": 4}], [{"id": 5}]])
    found = read_pages(lambda _: next(pages), 2, "id", lambda page: {"id": 3} in page)
    assert [row["id"] for row in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("pages", [[[1, 2]], [[1, 2], [3, 4]], [[1, 1]]])
def test_pages_that_come_again_end_in_one_error(pages: list[list[int]]) -> None:
    asked = iter(pages * 9)
    with pytest.raises(
        ExchangeError, match=r"^200: the exchange sends the same 2 rows again and again"
    ):
        read_pages(lambda _: [{"id": n} for n in next(asked)], 2, "id")
    assert len(list(asked)) == len(pages) * 8 - 1


def bitmex(wire: Wire) -> list[Row]:
    row = {"orderID": "1", "ordStatus": "New"}
    wire.script = lambda _: Answer(200, [{**row, "orderID": str(n)} for n in range(500)], {})
    return BitMEXConnector(wire, HandStream(), "XBTUSD").fetch_open_orders()


def okx(read: str) -> Callable[[Wire], list[Row]]:
    rows = [{"ordId": str(n), "billId": str(n)} for n in range(100)]
    answer = Answer(200, {"code": "0", "data": rows}, {})
    return lambda _: getattr(OkxReads(lambda request: answer, "XBTUSD"), read)(*WANTED[read])


WANTED: dict[str, tuple[Any, ...]] = {"open_orders": (), "fills": (lambda page: False,)}


def plain(wire: Wire) -> list[Row]:
    raw = {"order": 1, "side": "buy", "size": 1, "price": 1.0, "fee": 0, "maker": True, "time": 1}

    def script(request: Request) -> Answer:
        assert request.path == "/fills"
        return Answer(200, [{**raw, "id": n} for n in range(100)], {})

    wire.script = script
    return PlainVenue(wire, "XBTUSD").fills(0.0)


@pytest.mark.parametrize("read", [bitmex, okx("open_orders"), okx("fills"), plain])
def test_a_server_that_sends_one_full_page_for_ever_is_left_in_one_line(
    read: Callable[[Wire], list[Row]],
) -> None:
    with pytest.raises(
        ExchangeError, match=r"^200: the exchange sends the same \d+ rows again and"
    ):
        read(Wire())
