"""What OKX does with orders, as its own answers and pushes tell it."""

from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.dialects.okx_session import OkxSession
from market_maker.simulator.exchange import Engine
from market_maker.simulator.okx_tongue import faulty_okx
from tests.doubles import StillMarket


class Venue:
    """An engine behind OKX's words, a customer, and what he hears of his orders."""

    def __init__(self) -> None:
        self.clock, self.market = ManualClock(), StillMarket()
        self.engine = Engine(self.clock, INSTRUMENTS, market=self.market, seed=1)
        self.clock.attach(self.engine)
        self.account = self.engine.open_account()
        self.dialect = faulty_okx(self.engine).dialect
        self.session = OkxSession(self.dialect, "private", self.account)
        topic = {"channel": "orders", "instType": "ANY"}
        self.session.receive({"op": "subscribe", "args": [topic]})
        self.rows: list[Any] = []
        self.dialect.deliver = self._hear
        self.engine.listeners.append(lambda event: self._hear(self.dialect.render(event)))

    def _hear(self, messages: list[Any]) -> None:
        for scope, message in messages:
            if self.session.wants(scope):
                self.rows += message["data"]

    def ask(self, path: str, **wire: str) -> Any:
        body = {"instId": "BTC-USD-SWAP", **wire}
        (row,) = self.dialect.handle(Request("POST", path, None, body), self.account).body["data"]
        self.clock.sleep(1)
        return row

    def place(self) -> None:
        order = {"tdMode": "cross", "side": "sell", "ordType": "limit", "px": "60001"}
        assert self.ask("/trade/order", **order, sz="5", clOrdId="a1")["sCode"] == "0"


@pytest.mark.parametrize(
    ("new_size", "state", "result"), [("2", "filled", ""), ("3", "filled", ""), ("0", "", "-1")]
)
def test_a_new_size_at_or_below_what_is_filled_fills_the_order(
    new_size: str, state: str, result: str
) -> None:
    venue = Venue()
    venue.place()
    venue.market.take("Buy", 50_300, 60_001.0)
    venue.clock.sleep(1)
    assert venue.rows[-1]["accFillSz"] == "3"
    assert venue.ask("/trade/amend-order", clOrdId="a1", newSz=new_size)["sCode"] == "0"
    row = venue.rows[-1]
    assert (row["state"], row["amendResult"]) == (state or "partially_filled", result)
    assert row["sz"] == ("3" if state else "5")
