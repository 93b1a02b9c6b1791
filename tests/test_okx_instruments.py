"""The default bot at OKX on each kind of instrument: its books, its sizes and what funding does."""

from typing import Any

import pytest

from market_maker.market_maker import OrderManager
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.quoting.loss import LossLimits
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from tests.doubles import StillMarket, Wire
from tests.okx_world import ENTRIES, OkxWorld
from tests.test_invariants import Bookkeeper
from tests.world import START_S, World

SPOT = INSTRUMENTS[-1:]
SMALL = {"ORDER_START_SIZE": 0.001, "ORDER_STEP_SIZE": 0.001}
TO_FUNDING_S = 8 * 3_600 - (START_S - 4 * 3_600) % (8 * 3_600)  # at 04:00, 12:00 and 20:00 UTC


class Accountant(Bookkeeper):
    """Knows by its own executions what the exchange must say."""

    @property
    def signed(self) -> list[float]:
        return [f["lastQty"] if f["side"] == "Buy" else -f["lastQty"] for f in self.fills]

    def costs(self) -> int:
        contract = Contract.from_instrument(self.exchange.get_instrument())
        pairs = zip(self.signed, self.fills, strict=True)
        return sum(contract.cost(qty, fill["lastPx"]) for qty, fill in pairs)

    def fees(self, currency: str) -> int:
        """In minor units; a buyer on spot pays in the base currency."""
        decimals = {"BTC": 8, "USDT": 6}[currency]
        paid = (f["feeQty"] for f in self.fills if f["feeCurrency"] == currency)
        return sum(round(fee * 10**decimals) for fee in paid)


def run(world: World, symbol: str, entry: str, **changes: Any) -> Accountant:
    bot = world.bot(Accountant, profile=entry, SYMBOL=symbol, CONTRACTS=[symbol], **changes)
    assert isinstance(bot, Accountant)
    world.run(bot, 90)
    assert len(bot.fills) > 8
    assert {fill["side"] for fill in bot.fills} == {"Buy", "Sell"}
    return bot


def wallet(world: World, currency: str) -> int:
    assert world.engine.imbalance_sat(currency) == 0
    return int(world.engine.margin_row(world.account.number, currency)["walletBalance"])


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("symbol", "ours", "settle", "start", "unit", "sizes"),
    [
        ("BTC-USD-SWAP", "XBTUSD", "BTC", 10**8, 1, {}),
        ("BTC-USDT-SWAP", "XBTUSDT", "USDT", 10**11, 10**6, SMALL),
    ],
)
def test_the_books_of_a_swap_are_the_exchanges(
    entry: str, symbol: str, ours: str, settle: str, start: int, unit: int, sizes: Row
) -> None:
    world = OkxWorld()
    bot = run(world, symbol, entry, **sizes)
    bot.shut_down()
    held = world.engine.position_row(world.account.number, ours)
    qty = round(sum(bot.signed), 8)
    assert qty * unit == held["currentQty"]
    position, margin = bot.exchange.get_position(), bot.exchange.get_margin()
    assert position["currentQty"] == qty
    currency = {"BTC": "XBt", "USDT": "USDt"}[settle]
    balance = wallet(world, currency)
    assert margin["walletBalance"] == balance
    assert bot.fees(settle) == sum(f["execComm"] for f in bot.fills)
    realised = held["unrealisedPnl"] + balance - start  # all that was won, at the mark
    contract = Contract.from_instrument(bot.exchange.get_instrument())
    value = contract.cost(qty, held["markPrice"]) if qty else 0
    assert value - bot.costs() - bot.fees(settle) == pytest.approx(realised, abs=len(bot.fills) + 1)


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_books_of_spot_are_the_exchanges_and_the_inventory_is_no_position(entry: str) -> None:
    world = OkxWorld()
    bot = run(world, "BTC-USDT", entry, SPOT_BASE_INVENTORY=0.75, **SMALL)
    bot.shut_down()
    bought = round(sum(bot.signed) * 10**8)
    assert bot.fees("BTC") > 0
    assert bot.fees("USDT") > 0
    assert wallet(world, "XBt") == 10**8 + bought - bot.fees("BTC")
    assert wallet(world, "USDt") == 10**11 - bot.costs() - bot.fees("USDT")
    position = bot.exchange.get_position()
    assert round(position["currentQty"] * 10**8) == wallet(world, "XBt") - 75_000_000
    assert bot.exchange.get_margin()["walletBalance"] == wallet(world, "USDt")


def test_a_fee_in_the_base_currency_counts_in_money_at_the_price_of_the_fill() -> None:
    world = OkxWorld()
    bot = run(world, "BTC-USDT", "ws", SPOT_BASE_INVENTORY=1, **SMALL)
    buys = [fill for fill in bot.fills if fill["side"] == "Buy"]
    for fill in buys:
        assert fill["execComm"] == round(fill["feeQty"] * fill["lastPx"] * 10**6)
    watch = bot.exchange.desk.losses
    watch.check(LossLimits())
    world.clock.sleep(6)  # what the fees took of the base currency is no trade of another hand
    bot.run_once()
    mark = bot.exchange.get_instrument()["markPrice"]
    worth = (wallet(world, "XBt") - 10**8) / 10**8 * mark * 10**6 + wallet(world, "USDt") - 10**11
    assert watch.result == pytest.approx(worth, abs=2_000)  # the fees' base, at the mark since


def test_spot_offers_no_more_than_is_owned() -> None:
    market, wire = StillMarket(), Wire()
    world = OkxWorld(market, instruments=SPOT)
    big = {"ORDER_START_SIZE": 0.3, "ORDER_STEP_SIZE": 0, "SPOT_BASE_INVENTORY": 1}
    bot = world.bot(SYMBOL="BTC-USDT", profile="rest", wrap=wire, **big)
    world.run(bot, 2)
    market.show(60_001.0, 60_001.5)
    world.run(bot, 3)
    sides = [order.side for order in world.open_orders()]
    assert (sides.count("Sell"), sides.count("Buy")) == (3, 5)  # of 1 BTC and 100,000 USDT
    assert not wire.sent("POST", "/api/v5/trade/cancel-order"), "they stay as they are"
    assert not wire.sent("POST", "/api/v5/trade/cancel-batch-orders")


def test_spot_in_an_account_of_several_currencies_trades_on_its_margin() -> None:
    world, wire = OkxWorld(StillMarket(), instruments=SPOT), Wire()
    bot = world.bot(SYMBOL="BTC-USDT", profile="rest", wrap=wire, ORDER_PAIRS=1, **SMALL)
    world.run(bot, 2)
    (batch,) = wire.sent("POST", "/api/v5/trade/batch-orders")
    assert {order["tdMode"] for order in batch.body} == {"cash"}
    bot.exchange.desk.connector._account_mode = "3"
    assert bot.exchange.desk.connector._trade_mode == "cross"


def test_100_contracts_of_the_inverse_swap_are_one_of_okxs_in_everything_that_is_told() -> None:
    market, wire = StillMarket(), Wire()
    world = OkxWorld(market)
    limits = {"MAX_POSITION": 300, "MIN_POSITION": -300}
    bot = world.bot(profile="rest", wrap=wire, ORDER_PAIRS=1, ORDER_START_SIZE=100, **limits)
    world.run(bot, 2)
    (batch,) = wire.sent("POST", "/api/v5/trade/batch-orders")
    assert [order["sz"] for order in batch.body] == ["1", "1"]
    other = world.engine.open_account()
    sale = {"symbol": "XBTUSD", "side": "Sell", "orderQty": 200, "price": 59_000.0}
    for _ in range(6):  # more than the limit lets it buy
        market.show(60_000.0, 60_000.5, size=100)
        world.run(bot, 3)
        world.engine.place(other.number, {**sale, "timeInForce": "ImmediateOrCancel"})
    market.show(60_000.0, 60_000.5)
    world.run(bot, 3)
    theirs, ours = world.position(), bot.exchange.get_position()
    assert ours["currentQty"] == theirs["currentQty"] == 300
    assert {order.side for order in world.open_orders()} == {"Sell"}
    for name in ("unrealisedPnl", "realisedPnl", "markPrice", "avgEntryPrice"):
        assert ours[name] == pytest.approx(theirs[name], abs=1), name
    for name in ("homeNotional", "foreignNotional"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    assert bot.exchange.calc_delta()["spot"] == pytest.approx(300 / theirs["markPrice"], rel=1e-4)


# -- funding -------------------------------------------------------------------------------


class Holds(OrderManager):
    """Buys once and then sits on it."""

    def place_orders(self) -> None:
        if not self.exchange.get_delta() and not self.exchange.get_orders():
            self.exchange.bitmex.buy(1_000, 60_000.5)


def over_a_funding(world: World) -> int:
    """What is booked of a funding that comes while the bot holds 1000 contracts."""
    bot = world.bot(Holds, POST_ONLY=False, DEADMAN_TIMEOUT=0)
    world.clock.sleep(TO_FUNDING_S - 30)
    world.run(bot, 5)
    assert world.position()["currentQty"] == 1_000
    watch = bot.exchange.desk.losses
    before = watch._book.fees
    world.run(bot, 40)
    paid = [e for e in world.engine.executions(world.account.number) if e.exec_type == "Funding"]
    assert len(paid) == 1
    booked = watch._book.fees - before
    assert booked == paid[0].fill.comm_sat  # type: ignore[union-attr]
    bot.exchange.desk.connector.reconnect()
    world.run(bot, 5)
    assert watch._book.fees - before == booked, "an image tells it again"
    return booked


def test_funding_moves_the_loss_reckoning_as_it_does_at_bitmex() -> None:
    theirs = over_a_funding(World(StillMarket()))
    assert theirs > 0
    assert over_a_funding(OkxWorld(StillMarket())) == theirs


def test_funding_while_nobody_listened_is_read_from_the_bills() -> None:
    world = OkxWorld(StillMarket())
    bot = world.bot(Holds, POST_ONLY=False, DEADMAN_TIMEOUT=0)
    world.clock.sleep(TO_FUNDING_S - 30)
    world.run(bot, 5)
    watch = bot.exchange.desk.losses
    before = watch._book.fees
    for stream in world.twin.streams.values():
        deaf: Any = stream
        deaf.on_event, kept = (lambda _: None), deaf.on_event
        world.clock.sleep(20)
        deaf.on_event = kept
    bot.exchange.desk.connector.reconnect()
    world.run(bot, 5)
    (paid,) = [e for e in world.engine.executions(world.account.number) if e.exec_type == "Funding"]
    assert watch._book.fees - before == paid.fill.comm_sat  # type: ignore[union-attr]
