"""The bot under every fault the built-in exchange knows, judged from the exchange's side."""

import logging
from typing import Any

import pytest

from market_maker.market_maker import OrderManager
from market_maker.simulator.fault_kinds import KINDS, REQUEST, STATE, STREAM
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.utils.errors import StopTrading
from tests.test_invariants import watch
from tests.world import World

FOR_S = 15
ENDING = {"401", "403"}  # the key is refused: the bot stops
SETTINGS: dict[str, Any] = {
    "ORDER_PAIRS": 3,
    "MAX_POSITION": 2_000,
    "MIN_POSITION": -2_000,
    "MIN_SPREAD": 0.00005,
    "LOG_LEVEL": logging.CRITICAL,
}


def begin(name: str, seed: int) -> tuple[World, OrderManager, list[float]]:
    """A bot that has quoted for a while when the fault *name* begins."""
    world = World(SyntheticMarket(seed=seed), seed=seed)
    bot = world.bot(**SETTINGS)
    seen = watch(world, bot)
    world.run(bot, 5)
    assert len(world.open_orders()) >= 4, "it was quoting before"
    how = {REQUEST: f":p=0.5,for={FOR_S}", STREAM: f":p=0.5,for={FOR_S}", STATE: f":for={FOR_S}"}
    world.faults.add(name + how.get(KINDS[name].group, ""))
    return world, bot, seen


def survive(name: str, seed: int) -> None:
    world, bot, seen = begin(name, seed)
    world.run(bot, FOR_S)
    most = 0
    for _ in range(20):  # an order in doubt holds its level for some seconds more
        world.run(bot, 1)
        most = max(most, len(world.open_orders()))
    assert most >= 5, f"{name} with seed {seed}: it does not quote again"
    assert seen
    bot.shut_down()
    assert bot.exit_code == 0
    assert world.open_orders() == []


@pytest.mark.parametrize("seed", [1, 6])
@pytest.mark.parametrize("name", sorted(KINDS.keys() - ENDING))
def test_limits_hold_nothing_is_doubled_and_it_quotes_again(name: str, seed: int) -> None:
    survive(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 21))
@pytest.mark.parametrize("name", sorted(KINDS.keys() - ENDING))
def test_and_so_with_other_seeds(name: str, seed: int) -> None:
    survive(name, seed)


@pytest.mark.parametrize("name", sorted(ENDING))
def test_a_refused_key_ends_the_run_and_the_switch_clears_what_cannot_be_cancelled(
    name: str,
) -> None:
    world, bot, _ = begin(name, 1)
    with pytest.raises(StopTrading):
        world.run(bot, FOR_S)
    world.clock.sleep(FOR_S)
    bot.shut_down()
    world.clock.sleep(70)
    assert world.open_orders() == []
