"""What must hold for any market, any settings and any failure of the wire."""

import logging
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.market_maker import OrderManager
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Request
from market_maker.simulator.events import MarginEvent
from market_maker.simulator.instruments import XBTUSD
from market_maker.simulator.market.synthetic import DEFAULT_FLOW, Flow, SyntheticMarket
from tests.doubles import Wire, refusal
from tests.world import World

SECONDS = 12
LOST = Answer(0, None, {}, error="timed out")
OVERLOADED = "The system is currently overloaded. Please try again later."

FLOWS = st.builds(
    DEFAULT_FLOW._replace,
    move_ticks=st.sampled_from([0.5, 2.0, 12.0]),
    sweep_every_s=st.sampled_from([0.4, 1.5]),
    sweep_levels=st.sampled_from([4.0, 14.0]),
)
SETTINGS = st.fixed_dictionaries(
    {
        "ORDER_PAIRS": st.integers(1, 5),
        "ORDER_START_SIZE": st.sampled_from([100, 200, 130]),
        "ORDER_STEP_SIZE": st.sampled_from([0, 100]),
        "MIN_SPREAD": st.sampled_from([0.0, 0.0001, 0.001]),
        "INTERVAL": st.sampled_from([1e-6, 0.0001, 0.0005]),
        "RELIST_INTERVAL": st.sampled_from([0.0, 0.0001]),
        "MAINTAIN_SPREADS": st.booleans(),
        "POST_ONLY": st.booleans(),
        "RANDOM_ORDER_SIZE": st.booleans(),
        "TOPUP_BELOW": st.sampled_from([0.0, 0.5, 1.0]),
        "MAX_POSITION": st.sampled_from([300, 1000, 10_000]),
        "MIN_POSITION": st.sampled_from([-300, -1000, -10_000]),
        "MIN_REQUOTE_INTERVAL": st.sampled_from([0.2, 1.0]),
    }
)
RUN = {
    "flow": FLOWS,
    "changes": SETTINGS,
    "profile": st.sampled_from(["classic", "last"]),
    "seed": st.integers(0, 10_000),
}


class Bookkeeper(OrderManager):
    """Keeps the row of every fill it hears of."""

    def on_start(self) -> None:
        self.fills: list[Row] = []

    def on_fill(self, fill: Row) -> None:
        self.fills.append(fill)


def watch(world: World, bot: Any) -> list[float]:
    """Check all that must hold whenever our account has changed; the positions that were seen."""
    positions: list[float] = []
    rules = bot.settings

    def check(event: Any) -> None:
        if not isinstance(event, MarginEvent) or event.account != world.account.number:
            return
        qty = world.position()["currentQty"] or 0
        buys = [o for o in world.open_orders() if o.side == "Buy"]
        sells = [o for o in world.open_orders() if o.side == "Sell"]
        assert max(len(buys), len(sells)) <= rules.ORDER_PAIRS, "an order was doubled"
        if buys and sells:
            best_bid = max(o.price_ticks for o in buys)
            assert best_bid < min(o.price_ticks for o in sells), "own quotes meet"
        assert qty + sum(o.leaves_qty for o in buys) <= rules.MAX_POSITION
        assert qty - sum(o.leaves_qty for o in sells) >= rules.MIN_POSITION
        positions.append(qty)

    world.engine.listeners.append(check)
    return positions


def check_books(world: World, bot: Bookkeeper) -> None:
    """Position and balance from the bot's own executions are those of the exchange."""
    assert world.engine.imbalance_sat() == 0
    assert world.open_orders() == []
    signed = [f["lastQty"] if f["side"] == "Buy" else -f["lastQty"] for f in bot.fills]
    position = world.position()
    assert sum(signed) == (position["currentQty"] or 0)
    margin = world.engine.margin_row(world.account.number)
    spent = sum(f["execCost"] for f in bot.fills)
    fees = sum(f["execComm"] for f in bot.fills)
    expected = 100_000_000 + (position["markValue"] or 0) - spent - fees
    assert abs(margin["marginBalance"] - expected) <= len(bot.fills)  # a satoshi of rounding each


def failing(rng: random.Random, likelihood: float) -> Callable[[Wire], None]:
    """Makes a wire lose and refuse so often; what has no answer may have arrived or not."""

    def make(wire: Wire) -> None:
        def script(request: Request) -> Answer | None:
            if request.path == "/order/cancelAllAfter" or rng.random() > likelihood:
                return None
            kind = rng.randrange(5)
            if kind == 0:
                wire._transport.send([request])
                return LOST
            if kind == 1:
                return LOST
            if kind == 2:
                return Answer(503, "<html>", {})
            if kind == 3:
                return refusal(503, OVERLOADED)
            return Answer(0, None, {}, sent=False, error="connection refused")

        wire.script = script

    return make


def make_run(flow: Flow, changes: Row, profile: str, seed: int) -> tuple[World, Bookkeeper, Wire]:
    market = SyntheticMarket(seed=seed, flow=flow)
    world, wire = World(market, seed, instruments=[XBTUSD]), Wire()
    bot = world.bot(
        Bookkeeper,
        profile=profile,
        wrap=wire,
        LOG_LEVEL=logging.ERROR,
        MIN_ORDER_SIZE=100,
        MAX_ORDER_SIZE=300,
        **changes,
    )
    assert isinstance(bot, Bookkeeper)
    return world, bot, wire


@settings(max_examples=20, deadline=None)
@given(**RUN)
def test_on_a_good_wire(flow: Flow, changes: Row, profile: str, seed: int) -> None:
    world, bot, _ = make_run(flow, changes, profile, seed)
    seen = watch(world, bot)
    world.run(bot, SECONDS)
    assert seen
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)


@settings(max_examples=20, deadline=None)
@given(likelihood=st.sampled_from([0.05, 0.3]), **RUN)
def test_on_a_wire_that_fails(
    flow: Flow, changes: Row, profile: str, seed: int, likelihood: float
) -> None:
    world, bot, wire = make_run(flow, changes, profile, seed)
    watch(world, bot)
    bot.start()
    failing(random.Random(seed), likelihood)(wire)
    world.run(bot, SECONDS)
    wire.script = lambda request: None
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)
