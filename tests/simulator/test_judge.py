"""The judge sees what must not happen, and lets pass what may."""

from collections.abc import Callable
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.exchange import Engine
from market_maker.simulator.judge import Judge, Rules
from tests.doubles import StillMarket


class Bench:
    """An account that does what a test says, before the judge."""

    def __init__(self, **rules: Any) -> None:
        self.clock = ManualClock()
        self.market = StillMarket()
        self.engine = Engine(self.clock, market=self.market, seed=1)
        self.clock.attach(self.engine)
        self.number = self.engine.open_account().number
        self.engine.cancel_all_after(self.number, 60_000)
        defaults = {"min_position": -500, "max_position": 500}
        self.judge = Judge(
            self.engine, self.number, "XBTUSD", Rules(**{**defaults, **rules}), lambda side: 3
        )
        self.ids = 0

    def place(self, side: str, price: float, qty: int = 100, **more: Any) -> str:
        self.ids += 1
        fields = {"symbol": "XBTUSD", "side": side, "price": price, "orderQty": qty}
        given = {"clOrdID": f"id-{self.ids}", **fields, **more}
        return self.engine.place(self.number, given).order_id


def well_behaved(bench: Bench) -> None:
    ids = [bench.place("Buy", 59_990.0 - n) for n in range(3)]
    ids += [bench.place("Sell", 60_010.0 + n) for n in range(3)]
    bench.engine.amend(bench.number, {"orderID": ids[0], "price": 59_985.0})
    bench.clock.sleep(10)
    bench.market.take("Sell", 50_200, 59_900.0)
    bench.clock.sleep(1)
    bench.engine.cancel_all(bench.number)
    bench.judge.check_gone()


def too_many(bench: Bench) -> None:
    for n in range(4):
        bench.place("Buy", 59_990.0 - n)


def too_large(bench: Bench) -> None:
    bench.place("Buy", 59_990.0, 600)


def too_large_after_a_fill(bench: Bench) -> None:
    bench.place("Sell", 60_001.0, 400)
    bench.market.take("Buy", 50_400, 60_001.0)
    bench.clock.sleep(1)
    bench.place("Sell", 60_010.0, 200)


def crossed(bench: Bench) -> None:
    bench.market.show(None, None)
    bench.clock.sleep(1)
    bench.place("Sell", 60_000.0)
    bench.place("Buy", 60_001.0)


def unarmed(bench: Bench) -> None:
    bench.engine.fire_timer(bench.number)
    bench.place("Buy", 59_990.0)


def one_id_twice(bench: Bench) -> None:
    bench.place("Buy", 59_990.0, clOrdID="same")
    bench.engine.cancel_all(bench.number)
    bench.place("Buy", 59_990.0, clOrdID="same")


def stacked(bench: Bench) -> None:
    bench.place("Buy", 59_990.0)
    bench.place("Buy", 59_990.0)
    bench.clock.sleep(5)
    bench.place("Buy", 59_980.0)


def left(bench: Bench) -> None:
    bench.place("Buy", 59_990.0)
    bench.judge.check_gone()


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (too_many, "4 orders on the Buy side where 3 are wanted"),
        (too_large, "the worst case is beyond 500"),
        (too_large_after_a_fill, "the worst case is beyond -500"),
        (crossed, "traded with each other"),
        (unarmed, "the dead man's switch was not armed"),
        (one_id_twice, "the client id same came twice"),
        (stacked, "2 orders stay at one Buy price"),
        (left, "1 orders are left after the end"),
    ],
)
def test_it_sees(deed: Callable[[Bench], None], words: str) -> None:
    bench = Bench()
    deed(bench)
    assert [v for v in bench.judge.violations if words in v.text], bench.judge.violations


def test_it_lets_pass_what_is_right() -> None:
    bench = Bench()
    well_behaved(bench)
    assert bench.judge.violations == []


def test_another_hand_is_not_the_accounts_fault_until_there_was_time_to_react() -> None:
    bench = Bench()
    order_id = bench.place("Buy", 59_990.0, 400)
    bench.engine.move_position(bench.number, "XBTUSD", 300)
    assert bench.judge.violations == []
    bench.clock.sleep(20)
    bench.engine.amend(bench.number, {"orderID": order_id, "price": 59_989.0})
    assert [v.text for v in bench.judge.violations] == [
        "400 contracts rest on the Buy side at a position of 300: the worst case is beyond 500"
    ]


def test_it_counts_the_time_without_quotes() -> None:
    bench = Bench()
    begun_s = bench.clock.now()
    bench.clock.sleep(1)
    bench.place("Buy", 59_990.0)
    bench.clock.sleep(2)
    bench.engine.cancel_all(bench.number)
    bench.clock.sleep(4)
    bench.place("Sell", 60_010.0)
    bench.clock.sleep(8)
    at = bench.judge.seconds_without_quotes
    assert at(begun_s, begun_s + 15) == pytest.approx(5)
    assert at(begun_s + 2, begun_s + 5) == pytest.approx(2)
    assert at(begun_s + 8, begun_s + 9) == 0
