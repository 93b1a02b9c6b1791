"""The bot on recorded real data: where it quotes, what it is filled, and that the sums agree."""

import csv
import gzip
import logging
from bisect import bisect_right
from datetime import datetime
from pathlib import Path

import pytest

from market_maker.market_maker import OrderManager
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.simulator.market.recorded import RecordedMarket
from tests.world import START_S, World

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = [DATA / f"bitmex_XBTUSD_{kind}_2020-03-10.csv.gz" for kind in ("book10", "trades")]
QUOTES = DATA / "bitmex_XBTUSD_quotes_2020-03-10.csv.gz"
MINUTES_WITH_TRADES_S = 11 * 60 + 50

pytestmark = pytest.mark.skipif(
    not FILES[0].exists(), reason="the recorded data in ../shared/data is not here"
)


class RecordedTouch:
    """Best bid and ask at any moment, from the file of quotes that the exchange never sees."""

    def __init__(self) -> None:
        with gzip.open(QUOTES, "rt") as file:
            rows = list(csv.DictReader(file))
        self._times = [datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows]
        self._touches = [(float(row["bidPrice"]), float(row["askPrice"])) for row in rows]

    def at(self, elapsed_s: float) -> tuple[float, float]:
        return self._touches[bisect_right(self._times, self._times[0] + elapsed_s + 1e-4) - 1]


class Diary(OrderManager):
    """Notes its fills, and after each round how far its best quotes are from the market's."""

    recording: RecordedTouch

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fills: list[Row] = []
        self.distances: list[float] = []

    def on_fill(self, fill: Row) -> None:
        self.fills.append(fill)

    def run_once(self) -> None:
        super().run_once()
        bid, ask = self.recording.at(self.clock.now() - START_S)
        own_bid = self.exchange.get_highest_buy()["price"]
        own_ask = self.exchange.get_lowest_sell()["price"]
        self.distances.append(max(abs(bid - own_bid), abs(own_ask - ask)))


@pytest.fixture(scope="module")
def run() -> tuple[Diary, World]:
    market = RecordedMarket(FILES)
    Diary.recording = RecordedTouch()
    world = World(market=market, instruments=[market.instrument])
    bot = world.bot(Diary, LOG_LEVEL=logging.WARNING)
    world.run(bot, MINUTES_WITH_TRADES_S)
    return bot, world


def test_both_best_quotes_stay_at_the_recorded_touch(run: tuple[Diary, World]) -> None:
    bot, _ = run
    settings = bot.settings
    price = bot.exchange.get_ticker()["mid"]
    allowed = (settings.MIN_SPREAD + settings.RELIST_INTERVAL) * price + 0.5
    near = sum(distance <= allowed for distance in bot.distances)
    print(f"{near} of {len(bot.distances)} rounds within {allowed:.2f} of the touch")
    assert len(bot.distances) >= 150
    assert near >= 0.95 * len(bot.distances)


def test_it_is_filled_and_position_and_balance_follow_from_its_own_executions(
    run: tuple[Diary, World],
) -> None:
    bot, world = run
    bot.shut_down()
    fills = bot.fills
    print(f"{len(fills)} fills")
    assert len(fills) >= 20
    assert len({fill["execID"] for fill in fills}) == len(fills)
    signed = sum(f["lastQty"] if f["side"] == "Buy" else -f["lastQty"] for f in fills)
    position = world.position()
    assert signed == position["currentQty"]
    contract: Contract = world.engine.contract("XBTUSD")
    value = contract.cost(signed, position["markPrice"]) if signed else 0
    cost, comm = sum(f["execCost"] for f in fills), sum(f["execComm"] for f in fills)
    margin = world.engine.margin_row(world.account.number)
    assert margin["marginBalance"] == bot.start_XBt + value - cost - comm
    assert world.engine.imbalance_sat() == 0
