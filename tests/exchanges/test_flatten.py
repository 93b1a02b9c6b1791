"""Closing the position: one order at a time, whatever the exchange keeps from us."""

import pytest

from market_maker.exchanges.desk import Desk
from market_maker.exchanges.flatten import flatten
from market_maker.model.wire import Answer, Message, Request
from tests.doubles import StillMarket, Wire
from tests.world import World

LOST = Answer(0, None, {}, error="timed out")


def holding(qty: int) -> tuple[World, Wire, Desk]:
    world, wire = World(StillMarket()), Wire()
    desk = world.desk(world.settings(), wrap=wire)
    desk.open()
    world.engine.place(world.account.number, {"symbol": "XBTUSD", "orderQty": qty})
    return world, wire, desk


@pytest.mark.parametrize("qty", [400, -400])
def test_an_order_in_doubt_is_waited_for_before_the_next_one(qty: int) -> None:
    world, wire, desk = holding(qty)

    def arrive_late(request: Request) -> Answer | None:
        if request.verb != "POST":
            return None
        waits = iter([3.0])

        def arrive() -> float | None:
            wait_s = next(waits, None)
            if wait_s is None:
                wire._transport.send([request])
            return wait_s

        world.clock.repeat(arrive, "late")
        return LOST

    wire.script = arrive_late
    assert flatten(desk) == 0
    assert [order["orderQty"] for order in wire.orders()] == [400]
    assert world.held() == 0


@pytest.mark.parametrize(
    ("qty", "low", "high", "price"),
    [
        (400, 59_800.0, 60_200.0, 59_800.0),
        (-400, 59_800.0, 60_200.0, 60_200.0),
        (400, 60_100.0, 60_900.0, 59_400.0),  # the market has passed them: they are old
        (-400, 59_100.0, 59_900.0, 60_600.5),
    ],
)
def test_it_asks_for_no_price_beyond_the_limits_of_the_moment(
    qty: int, low: float, high: float, price: float
) -> None:
    _, wire, desk = holding(qty)
    limits = {"symbol": "XBTUSD", "limitDownPrice": low, "limitUpPrice": high}
    desk.state.put(Message(0, {"table": "instrument", "action": "update", "data": [limits]}))
    desk.state.drain()
    assert flatten(desk) == 0
    assert [order["price"] for order in wire.orders()] == [price]


@pytest.mark.parametrize(("qty", "lag_s"), [(400, 2), (-400, 2), (400, 14), (-400, 14)])
def test_the_position_is_waited_for_until_it_shows_the_fills(qty: int, lag_s: int) -> None:
    world, wire, desk = holding(qty)
    (before,) = desk.connector.fetch_rows("position")
    filled_s: list[float] = []

    def lag(request: Request) -> Answer | None:
        if request.verb == "POST":
            filled_s.append(world.clock.now())
        is_late = bool(filled_s) and world.clock.now() < filled_s[0] + lag_s
        return Answer(200, [before], {}) if is_late and request.path == "/position" else None

    wire.script = lag
    assert flatten(desk) == 0
    assert [order["orderQty"] for order in wire.orders()] == [400]
    assert world.clock.now() < filled_s[0] + lag_s + 1, "and no longer"


@pytest.mark.parametrize(("theirs", "at_most_s"), [(900, 7), (300, 17)])
def test_what_another_hand_buys_meanwhile_is_closed_too(theirs: int, at_most_s: int) -> None:
    world, wire, desk = holding(400)

    def buy_too(request: Request) -> Answer | None:
        if request.verb == "POST" and len(wire.orders()) == 1:
            world.engine.place(world.account.number, {"symbol": "XBTUSD", "orderQty": theirs})
        return None

    wire.script = buy_too
    start_s = world.clock.now()
    assert flatten(desk) == 0
    assert [order["orderQty"] for order in wire.orders()] == [400, theirs]
    assert world.held() == 0 and world.clock.now() < start_s + at_most_s
