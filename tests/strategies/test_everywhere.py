"""Every strategy on every kind of venue: the drill's judge watches from the exchange's side."""

from typing import Any

import pytest

from market_maker.drill.plan import MIXTURE, scene
from market_maker.drill.stage import Outcome, Stage
from market_maker.market_maker import OrderManager
from market_maker.strategy_loader import available, load_strategy
from tests.doubles import decide
from tests.exchanges.venues import VENUES, Booth
from tests.world import World

OTHERS = sorted(available().keys() - {"layered"})  # it has the contract suite
KINDS = ("okx by socket", "binance by socket", "hitbtc", "ccxt polling binance", "plain")
BARE = "rests before the fault"
SLOW = "ccxt polling kraken"  # bears so few questions that fast quotes come and go between two
# Fills of a unit of a spot venue are so small that there would be thousands; and a price that
# falls by half with each change of the tick leaves a grid behind, out of the price band.
COARSE = {MIXTURE: ("small-fills", "tick-size")}


def wants(world: World, strategy: str) -> dict[str, Any]:
    """The settings for *strategy*; sizes are what the first level has there."""
    qty = world.settings().ORDER_START_SIZE
    grid = {"GRID_BUY_QUANTITY": qty, "GRID_SELL_QUANTITY": qty}
    decision = {"DECISION_CALL": decide, "DECISION_EVERY": 1, "DECISION_STAKE": 2}
    return {"STRATEGY": strategy, **grid, **decision}


def play(venue: str, strategy: str, fault: str, seed: int) -> Outcome:
    booth = Booth(VENUES[venue], seed)
    without = [*VENUES[venue].unfit, *COARSE.get(fault, ())]
    settings = booth.world.settings(**wants(booth.world, strategy))
    outcome = Stage(scene(fault, seed, without), settings, booth).play()
    # `decision` has one order at most, and none between two stakes.
    may_be_bare = strategy == "decision" or venue == SLOW
    found = [text for text in outcome.violations if not (may_be_bare and BARE in text)]
    return outcome._replace(violations=found)


@pytest.mark.parametrize("strategy", OTHERS)
@pytest.mark.parametrize("venue", KINDS)
def test_it_trades_through_lost_answers_and_leaves_nothing(venue: str, strategy: str) -> None:
    outcome = play(venue, strategy, "drop-answer", 1)
    assert outcome.is_passed, outcome.violations


@pytest.mark.slow
@pytest.mark.parametrize("strategy", OTHERS)
@pytest.mark.parametrize("venue", VENUES)
def test_it_does_so_under_mixed_faults(venue: str, strategy: str) -> None:
    outcomes = [play(venue, strategy, MIXTURE, seed) for seed in range(1, 6)]
    failed = [outcome for outcome in outcomes if not outcome.is_passed]
    assert not failed, "\n".join(f"{o.scene}: {o.violations}" for o in failed)


@pytest.mark.parametrize("strategy", available())
@pytest.mark.parametrize("venue", KINDS)
def test_a_dry_run_shows_orders_and_sends_none(
    venue: str, strategy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Booth(VENUES[venue], 1).world
    changes = wants(world, strategy) | {"DRY_RUN": True}
    chosen = load_strategy(world.settings(**changes), OrderManager)
    world.run(world.bot(chosen, VENUES[venue].profile, **changes), 5)
    shown = capsys.readouterr().out
    assert "Buy " in shown and "Sell " in shown and "nothing was sent" in shown
    assert world.engine.orders(world.account.number) == []


@pytest.mark.parametrize("venue", KINDS)
def test_a_strategy_that_asks_for_rows_of_the_book_gets_them(venue: str) -> None:
    world = Booth(VENUES[venue], 1).world
    bot = world.bot(profile=VENUES[venue].profile)
    bot.start()
    rows = bot.exchange.bitmex.market_depth(bot.exchange.symbol)
    touch = bot.get_ticker()
    prices = {side: [r["price"] for r in rows if r["side"] == side] for side in ("Buy", "Sell")}
    assert max(prices["Buy"]) == touch["buy"] and min(prices["Sell"]) == touch["sell"]
    assert all(row["symbol"] == bot.exchange.symbol and row["size"] > 0 for row in rows)
    bot.shut_down()
