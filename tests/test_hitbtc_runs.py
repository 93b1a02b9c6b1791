"""The default bot on an exchange that speaks HitBTC's language: what must hold in any market."""

import logging
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.exchanges.base import Status
from market_maker.model.rows import Row
from market_maker.simulator.events import MarginEvent
from market_maker.simulator.market.synthetic import Flow, SyntheticMarket
from tests.hitbtc_doubles import CUT_AFTER, CUT_BEFORE, FATES, LOSE_ANSWER, LOSE_REQUEST, REFUSE_429
from tests.hitbtc_world import CONTRACT, ENTRIES, INVENTORY, SPOT, HitbtcWorld
from tests.test_invariants import FLOWS, SECONDS, Bookkeeper

BTC, USDT = 100_000_000, 100_000_000_000

SETTINGS = st.fixed_dictionaries(
    {
        "ORDER_PAIRS": st.integers(1, 5),
        "ORDER_START_SIZE": st.sampled_from([0.001, 0.00123, 0.5]),
        "ORDER_STEP_SIZE": st.sampled_from([0, 0.001]),
        "MIN_SPREAD": st.sampled_from([0.0, 0.0001, 0.001]),
        "INTERVAL": st.sampled_from([1e-6, 0.0001, 0.0005]),
        "RELIST_INTERVAL": st.sampled_from([0.0, 0.0001]),
        "MAINTAIN_SPREADS": st.booleans(),
        "POST_ONLY": st.booleans(),
        "TOPUP_BELOW": st.sampled_from([0.0, 0.5, 1.0]),
        "MIN_REQUOTE_INTERVAL": st.sampled_from([0.2, 1.0]),
    }
)


def watch(world: HitbtcWorld, bot: Any) -> None:
    """Whenever our account has changed: no order is doubled, own quotes never meet, nothing is
    sold that is not there."""
    engine, number = world.engine, world.account.number

    def check(event: Any) -> None:
        if not isinstance(event, MarginEvent) or event.account != number:
            return
        buys, sells = (
            [o.price_ticks for o in world.open_orders() if o.side == side]
            for side in ("Buy", "Sell")
        )
        assert max(len(buys), len(sells)) <= bot.settings.ORDER_PAIRS, "an order was doubled"
        assert not (buys and sells) or max(buys) < min(sells), "own quotes meet"
        for currency in ("XBt", "USDt"):
            assert engine.margin_row(number, currency)["availableMargin"] >= 0

    engine.listeners.append(check)


def check_books(world: HitbtcWorld, bot: Bookkeeper) -> None:
    """Both balances by the bot's own executions are those of the exchange."""
    engine, number = world.engine, world.account.number
    assert engine.imbalance_sat("XBt") == engine.imbalance_sat("USDt") == 0
    assert world.open_orders() == []
    signed = [round(f["lastQty"] / CONTRACT) * (1 if f["side"] == "Buy" else -1) for f in bot.fills]
    bought = sum(signed)
    assert bought == world.position()["currentQty"]
    assert engine.margin_row(number, "XBt")["walletBalance"] == BTC + bought * 100
    spent = sum(
        round(q * f["lastPx"]) + f["execComm"] for q, f in zip(signed, bot.fills, strict=True)
    )
    assert engine.margin_row(number, "USDt")["walletBalance"] == USDT - spent
    assert bot.exchange.get_margin()["walletBalance"] == USDT - spent
    assert bot.exchange.get_position()["currentQty"] == pytest.approx(bought * CONTRACT)


@settings(max_examples=25, deadline=None)
@given(
    flow=FLOWS,
    changes=SETTINGS,
    entry=st.sampled_from([*ENTRIES, "ws", "ws"]),
    answers_first=st.booleans(),
    replays=st.booleans(),
    seed=st.integers(0, 10_000),
    likelihood=st.sampled_from([0.0, 0.0, 0.05, 0.2]),
)
def test_in_any_market_and_on_a_wire_that_fails(
    flow: Flow, changes: Row, entry: str, answers_first: bool, replays: bool, seed: int,
    likelihood: float,
) -> None:  # fmt: skip
    world = HitbtcWorld(
        SyntheticMarket(seed=seed, flow=flow), seed, answers_first=answers_first, replays=replays
    )
    bot = world.bot(Bookkeeper, profile=entry, LOG_LEVEL=logging.ERROR, **changes)
    assert isinstance(bot, Bookkeeper)
    watch(world, bot)
    bot.start()
    rng = random.Random(seed)
    world.line.fate = lambda _: rng.choice(FATES) if rng.random() < likelihood else ""
    world.run(bot, SECONDS)
    world.line.fate = lambda _: ""
    bot.shut_down()
    assert bot.exit_code == 0
    check_books(world, bot)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("answers_first", [False, True])
def test_it_quotes_is_filled_and_cancels_all(entry: str, answers_first: bool) -> None:
    world = HitbtcWorld(answers_first=answers_first)
    bot = world.bot(Bookkeeper, profile=entry, RELIST_INTERVAL=0.0)
    assert isinstance(bot, Bookkeeper)
    watch(world, bot)
    world.run(bot, 300)
    assert 8 <= len(world.open_orders()) <= 12
    assert len(bot.fills) > 20
    bot.shut_down()
    check_books(world, bot)


def quiet(world: HitbtcWorld, **changes: Any) -> Any:
    """A bot that is connected and does nothing by itself."""
    bot = world.bot(LOG_LEVEL=logging.ERROR, **changes)
    bot.exchange.desk.open()
    return bot


def order(side: str, price: float, qty: float = 0.002, **more: Any) -> Row:
    return {"side": side, "price": price, "orderQty": qty, **more}


def place(bot: Any, *orders: Row) -> list[Any]:
    return list(bot.exchange.desk.gateway.place(list(orders)))


def ids(world: HitbtcWorld) -> list[str]:
    return [o.cl_ord_id for o in world.open_orders()]


class Still:
    """A market with one price level on each side."""

    def bind(self, engine: Any) -> None:
        self.book = engine.liquidity(SPOT)
        for side, price in (("Buy", 60_000.0), ("Sell", 60_000.5)):
            self.book.resize(side, self.book.grid.nearest(price), 1_000_000)

    def next_time(self) -> None:
        return None

    def step(self) -> None:
        """Nothing moves."""


def still_world(**options: Any) -> HitbtcWorld:
    return HitbtcWorld(Still(), **options)  # type: ignore[arg-type]


def fill(world: HitbtcWorld, qty: int) -> None:
    """Somebody sells *qty* contracts of the engine into what rests below."""
    other = world.engine.open_account()
    fields = {"symbol": SPOT, "side": "Sell", "orderQty": qty, "price": 59_000.0,
              "timeInForce": "ImmediateOrCancel"}  # fmt: skip
    world.engine.place(other.number, fields)


@pytest.mark.parametrize("answers_first", [False, True])
def test_a_replaced_order_keeps_its_order_id(answers_first: bool) -> None:
    world = still_world(answers_first=answers_first)
    bot = quiet(world)
    [result] = place(bot, order("Buy", 59_000.0))
    order_id, first = result.row["orderID"], ids(world)
    gateway = bot.exchange.desk.gateway
    for price in (59_100.0, 59_200.0):
        [amended] = gateway.amend([{"orderID": order_id, "price": price}])
        assert (amended.status, amended.row["orderID"]) == (Status.OK, order_id)
    assert ids(world) != first
    assert [(o["orderID"], o["price"]) for o in bot.exchange.get_orders()] == [(order_id, 59_200.0)]
    assert world.line.methods() == ["spot_new_order", *["spot_replace_order"] * 2]
    gateway.cancel([order_id])
    assert ids(world) == []
    assert bot.exchange.get_orders() == []


@pytest.mark.parametrize("answers_first", [False, True])
def test_a_replace_that_is_refused_ends_the_old_order_too(answers_first: bool) -> None:
    world = still_world(answers_first=answers_first)
    bot = quiet(world)
    [result] = place(bot, order("Buy", 59_000.0))
    gateway = bot.exchange.desk.gateway
    change = {"orderID": result.row["orderID"], "orderQty": 2.0}  # 118,000 USDT
    [refused] = gateway.amend([change])
    assert refused.status is Status.REJECTED
    assert "insufficient" in refused.text
    assert ids(world) == []
    gateway.settle_unknown()
    assert bot.exchange.get_orders() == []
    assert len(bot.exchange.desk.state.orders) == 0


@pytest.mark.parametrize("answers_first", [False, True])
def test_an_order_filled_in_part_is_cancelled_and_its_rest_entered_anew(
    answers_first: bool,
) -> None:
    world = still_world(answers_first=answers_first)
    bot = quiet(world)
    [result] = place(bot, order("Buy", 60_000.0, post_only=True))
    order_id = result.row["orderID"]
    world.engine.liquidity(SPOT).resize("Buy", world.engine.grid(SPOT).nearest(60_000.0), 0)
    fill(world, 500)
    gateway = bot.exchange.desk.gateway
    [amended] = gateway.amend([{"orderID": order_id, "price": 59_900.0, "orderQty": 0.002}])
    assert amended.status is Status.OK
    row = amended.row
    assert (row["orderID"], row["cumQty"], row["leavesQty"]) == (order_id, 0.0005, 0.0015)
    [resting] = world.open_orders()
    assert (resting.order_qty, world.position()["currentQty"]) == (1500, 500)
    assert world.line.methods() == ["spot_new_order", "spot_cancel_order", "spot_new_order"]
    fill(world, 1500)
    assert bot.exchange.get_orders() == []
    assert bot.exchange.get_position()["currentQty"] == 0.002
    assert bot.exchange.desk.state.orders.filled_qty == 0.002


def test_an_amend_to_what_is_filled_already_ends_the_order() -> None:
    world = still_world()
    bot = quiet(world)
    [result] = place(bot, order("Buy", 60_000.0))
    world.engine.liquidity(SPOT).resize("Buy", world.engine.grid(SPOT).nearest(60_000.0), 0)
    fill(world, 500)
    connector = world.hitbtc
    [done] = connector.amend([{"orderID": result.row["orderID"], "orderQty": 0.0005}])
    assert (done.status, done.row["ordStatus"], done.row["leavesQty"]) == (
        Status.OK, "Canceled", 0,
    )  # fmt: skip
    assert ids(world) == []


def test_a_client_id_serves_once_a_day_and_a_second_use_is_looked_up() -> None:
    world = still_world()
    bot = quiet(world)
    row = order("Buy", 59_000.0, clOrdID="my own id", symbol="BTCUSDT")
    connector = world.hitbtc
    [first] = connector.place([row])
    [second] = connector.place([row])
    assert (first.status, second.status) == (Status.OK, Status.UNKNOWN)
    assert second.text == "Duplicate clOrdID"
    found = connector.fetch_order(cl_ord_id="my own id")
    assert found is not None
    assert found["orderID"] == first.row["orderID"]
    connector.cancel([first.row["orderID"]])
    assert connector.place([row])[0].text == "Duplicate clOrdID"
    world.clock.sleep(86_400)
    assert connector.place([row])[0].status is Status.OK
    del bot


def test_a_post_only_order_that_would_take_is_cancelled_and_says_so() -> None:
    world = still_world()
    bot = quiet(world, POST_ONLY=True)
    [result] = place(bot, order("Buy", 60_000.5, execInst="ParticipateDoNotInitiate"))
    assert (result.row["ordStatus"], ids(world)) == ("Canceled", [])
    assert "ParticipateDoNotInitiate" in result.text


# -- a lost connection with requests outstanding --------------------------------------------------


@pytest.mark.parametrize("answers_first", [False, True])
@pytest.mark.parametrize("fate", [LOSE_REQUEST, LOSE_ANSWER, CUT_BEFORE, CUT_AFTER])
@pytest.mark.parametrize("count", [1, 3])
def test_orders_whose_answers_are_lost_are_found_or_proven_absent(
    fate: str, count: int, answers_first: bool
) -> None:
    world = still_world(answers_first=answers_first)
    bot = quiet(world)
    world.line.befall(*[fate] * count)
    results = place(bot, *(order("Buy", 59_000.0 - n) for n in range(count)))
    arrived = fate in (LOSE_ANSWER, CUT_AFTER)
    assert {r.status for r in results} <= {Status.UNKNOWN, Status.OK}
    store = bot.exchange.desk.state.orders
    assert len(store) == count
    world.clock.sleep(12)
    for _ in range(2):
        bot.exchange.desk.state.drain()
        bot.exchange.desk.gateway.settle_unknown()
        world.clock.sleep(1)
    assert len(ids(world)) == len(store) == (count if arrived else 0)
    assert world.hitbtc.requests is not None
    assert world.hitbtc.requests.outstanding() == []
    assert world.line.methods() == ["spot_new_order"] * count, "nothing is sent again by itself"


@pytest.mark.parametrize("fate", [CUT_BEFORE, CUT_AFTER])
def test_with_replays_a_lost_order_is_sent_again_under_its_id(fate: str) -> None:
    world = still_world(replays=True)
    bot = quiet(world)
    world.line.befall(fate)
    [result] = place(bot, order("Buy", 59_000.0))
    assert result.status is Status.UNKNOWN
    arrived_already = fate == CUT_AFTER
    assert len(ids(world)) == 1
    sent = [frame["params"]["client_order_id"] for frame in world.line.sent]
    assert sent == ids(world) * (1 if arrived_already else 2)
    bot.exchange.desk.state.drain()
    assert [o["price"] for o in bot.exchange.get_orders()] == [59_000.0]
    assert world.hitbtc.requests is not None
    assert world.hitbtc.requests.outstanding() == []


def test_what_is_too_old_is_not_sent_again_even_with_replays() -> None:
    world = still_world(replays=True)
    bot = quiet(world)
    world.line.befall(LOSE_REQUEST)
    place(bot, order("Buy", 59_000.0))
    world.clock.sleep(6)
    world.line.reconnect()
    assert ids(world) == []


@pytest.mark.parametrize("replays", [False, True])
def test_a_lost_cancel_is_always_sent_again(replays: bool) -> None:
    world = still_world(replays=replays)
    bot = quiet(world)
    [result] = place(bot, order("Buy", 59_000.0))
    world.line.befall(CUT_BEFORE)
    [lost] = bot.exchange.desk.gateway.cancel([result.row["orderID"]])
    assert lost.status is Status.UNKNOWN
    assert ids(world) == []
    bot.exchange.desk.state.drain()
    assert len(bot.exchange.desk.state.orders) == 0


@pytest.mark.parametrize("replays", [False, True])
@pytest.mark.parametrize("fate", [LOSE_REQUEST, LOSE_ANSWER, CUT_BEFORE, CUT_AFTER])
def test_a_replace_whose_answer_is_lost_is_never_sent_again_and_its_order_is_found(
    fate: str, replays: bool
) -> None:
    world = still_world(replays=replays)
    bot = quiet(world)
    [result] = place(bot, order("Buy", 59_000.0))
    order_id = result.row["orderID"]
    world.line.befall(fate)
    gateway = bot.exchange.desk.gateway
    gateway.amend([{"orderID": order_id, "price": 59_500.0}])
    world.clock.sleep(12)
    bot.exchange.desk.state.drain()
    gateway.settle_unknown()
    arrived = fate in (LOSE_ANSWER, CUT_AFTER)
    [row] = bot.exchange.get_orders()
    assert (row["orderID"], row["price"]) == (order_id, 59_500.0 if arrived else 59_000.0)
    assert world.line.methods().count("spot_replace_order") == 1
    gateway.cancel([order_id])
    assert ids(world) == []
    assert bot.exchange.get_orders() == []


@pytest.mark.parametrize("hears", [True, False])
@pytest.mark.parametrize("fate", [LOSE_REQUEST, LOSE_ANSWER])
def test_a_cancel_reaches_an_order_under_whichever_id_a_lost_replace_left_it(
    fate: str, hears: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = still_world()
    bot = quiet(world)
    [result] = place(bot, order("Buy", 59_000.0))
    order_id = result.row["orderID"]
    world.line.befall(fate)
    with monkeypatch.context() as patch:
        if not hears:  # nor does a report tell of the new id
            patch.setattr(world.hitbtc.chains, "read", lambda _: None)
        bot.exchange.desk.gateway.amend([{"orderID": order_id, "price": 59_500.0}])
    assert len(ids(world)) == 1
    bot.exchange.desk.gateway.cancel([order_id])
    assert ids(world) == []


def test_after_too_many_requests_nothing_new_goes_out_for_a_second() -> None:
    world = still_world()
    bot = quiet(world)
    world.line.befall(REFUSE_429)
    for wait_s, status in [(0.0, Status.NOT_SENT), (0.9, Status.NOT_SENT), (0.2, Status.OK)]:
        world.clock.sleep(wait_s)
        [result] = place(bot, order("Buy", 59_000.0))
        assert result.status is status
    assert world.line.methods() == ["spot_new_order"] * 2


def test_fills_while_the_connection_was_down_are_booked_once() -> None:
    world = still_world()
    bot = world.bot(Bookkeeper, ORDER_PAIRS=1, LOG_LEVEL=logging.ERROR)
    assert isinstance(bot, Bookkeeper)
    bot.start()
    place(bot, order("Buy", 60_000.0))
    world.engine.liquidity(SPOT).resize("Buy", world.engine.grid(SPOT).nearest(60_000.0), 0)
    sink = world.twin.streams["private"]._sink
    world.line.close()
    fill(world, 700)
    assert sink is not None
    world.twin.streams["private"].attach(sink)
    world.twin.streams["public"].reconnect()
    bot.run_once()
    assert [f["lastQty"] for f in bot.fills] == [0.0007]
    assert bot.exchange.get_position()["currentQty"] == 0.0007
    world.line.reconnect()
    bot.run_once()
    assert len(bot.fills) == 1


def test_orders_go_by_rest_while_the_stream_is_down() -> None:
    world = still_world()
    bot = quiet(world)
    world.line.close()
    connector = world.hitbtc
    [result] = connector.place([order("Buy", 59_000.0, clOrdID="by rest", symbol="BTCUSDT")])
    assert (result.status, len(ids(world)), world.line.sent) == (Status.OK, 1, [])
    [changed] = connector.amend([{"orderID": result.row["orderID"], "price": 59_001.0}])
    assert (changed.status, changed.row["price"]) == (Status.OK, 59_001.0)
    [gone] = connector.cancel([result.row["orderID"]])
    assert (gone.row["ordStatus"], ids(world)) == ("Canceled", [])
    del bot


def test_asks_stay_within_the_base_that_is_there() -> None:
    world = HitbtcWorld()
    bot = world.bot(ORDER_PAIRS=6, ORDER_START_SIZE=0.3, ORDER_STEP_SIZE=0, LOG_LEVEL=logging.ERROR)
    world.run(bot, 3)
    asks = [o.order_qty for o in world.open_orders() if o.side == "Sell"]
    assert asks
    assert sum(asks) * CONTRACT <= INVENTORY
    bot.shut_down()
