"""The bot and an OKX that breaks, in one process: each fault in turn, then quiet again."""

import pytest

from market_maker.simulator.fault_kinds import KINDS, REQUEST, STATE, STREAM
from tests.okx_world import ENTRIES, OkxWorld

ENDS_THE_BOT = {"401", "403"}  # the exchange refuses the key: there is nothing to go on with


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", sorted(KINDS.keys() - ENDS_THE_BOT))
def test_after_a_fault_the_bot_quotes_as_before(name: str, entry: str) -> None:
    world = OkxWorld(seed=3)
    bot = world.bot(profile=entry)
    world.run(bot, 8)
    wanted = sorted((order.side, order.symbol) for order in world.open_orders())
    assert len(wanted) == 12
    how = {REQUEST: ":for=12,p=0.3", STREAM: ":for=12,p=0.3", STATE: ":for=12"}
    world.faults.add(name + how.get(KINDS[name].group, ""))
    world.run(bot, 12)
    world.run(bot, 25)
    for _ in range(5):  # one may have been filled this very moment
        if len(world.open_orders()) < 12:
            world.run(bot, 1)
    assert sorted((order.side, order.symbol) for order in world.open_orders()) == wanted
    prices = [(order.side, order.price_ticks) for order in world.open_orders()]
    assert len(set(prices)) == len(prices)
    assert world.engine.imbalance_sat() == 0
    bot.shut_down()
    assert world.open_orders() == []
