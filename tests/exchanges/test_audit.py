"""An order that ended without a word is found out."""

from typing import Any

import pytest

from market_maker.exchanges.tables import Change
from tests.doubles import StillMarket, Wire
from tests.world import World


class Deaf:
    """A bot that quotes three pairs and no longer hears of some tables."""

    def __init__(self, *tables: str) -> None:
        self.market, self.wire = StillMarket(), Wire()
        self.world = World(self.market)
        self.bot = self.world.bot(wrap=self.wire, ORDER_PAIRS=3)
        self.world.run(self.bot, 2)
        state: Any = self.bot.exchange.desk.state
        apply = state.tables.apply

        def hear(message: Any) -> Change | None:
            return None if message["table"] in tables else apply(message)

        state.tables.apply = hear

    def lists_asked_for(self) -> int:
        return sum("isTerminated" in str(r.query) for r in self.wire.sent("GET", "/order"))


@pytest.mark.parametrize(
    ("tables", "seconds"),
    [
        (("order",), 1),  # the execution tells of its order as well
        (("order", "execution"), 5),  # the position is another one
        (("order", "execution", "position"), 10),  # nothing tells, in a market that stands still
    ],
)
def test_a_level_whose_fill_was_never_told_is_quoted_again(
    tables: tuple[str, ...], seconds: float
) -> None:
    deaf = Deaf(*tables)
    deaf.market.take("Sell", 50_100, 59_990.0)
    deaf.market.show(60_000.0, 60_000.5)
    deaf.world.run(deaf.bot, 0.1)
    assert len(deaf.world.open_orders()) == 5
    deaf.world.run(deaf.bot, seconds)
    assert len(deaf.world.open_orders()) == 6


def test_it_asks_less_often_when_requests_are_few() -> None:
    deaf = Deaf()
    deaf.world.run(deaf.bot, 60)
    often = deaf.lists_asked_for()
    deaf.bot.exchange.desk.gateway.budget.take(250)
    deaf.world.run(deaf.bot, 60)
    assert often >= 10
    assert deaf.lists_asked_for() - often <= 4
