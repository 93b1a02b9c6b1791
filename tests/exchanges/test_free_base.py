"""On spot nothing is offered that is not there, on any venue and by any call."""

from typing import Any

import pytest

from market_maker.market_maker import OrderManager
from market_maker.model.rows import POST_ONLY
from market_maker.quoting.limits import sellable
from tests.exchanges.venues import VENUES

SPOT_VENUES = [name for name in VENUES if name.startswith(("binance", "hitbtc", "ccxt"))]
WIDE = {"MIN_POSITION": -10.0, "MAX_POSITION": 10.0}
HELD = 1.0  # BTC, all of it the user's inventory


class Idle(OrderManager):
    """Quotes nothing by itself."""

    def place_orders(self) -> None:
        """Leave the orders as they are."""


def ask(qty: float, price: float) -> dict[str, Any]:
    return {"side": "Sell", "orderQty": qty, "price": price, "execInst": POST_ONLY}


@pytest.mark.parametrize("name", SPOT_VENUES)
def test_asks_together_never_exceed_the_base_currency_of_the_account(name: str) -> None:
    venue = VENUES[name]
    world = venue.world(seed=1, **venue.options)
    bot = world.bot(Idle, profile=venue.profile, **WIDE)
    bot.start()
    gateway = bot.exchange.desk.gateway

    def offered() -> float:
        sizes = [o.leaves_qty for o in world.open_orders() if o.side == "Sell"]
        return round(sum(sizes) * world.unit, 9)

    for qty, price in ((0.7, 66_000.0), (0.5, 67_000.0), (0.25, 68_000.0)):
        (result,) = gateway.place([ask(qty, price)])
        assert ("would offer" in result.text) is (qty == 0.5), result
        world.run(bot, 5)
        assert offered() <= HELD
    assert offered() == 0.95
    largest = next(row for row in bot.exchange.get_orders() if row["price"] == 68_000.0)
    (grown,) = gateway.amend([{"orderID": largest["orderID"], "orderQty": 0.6}])
    assert "would offer" in grown.text


SPOT_ROW = {"typ": "IFXXXP"}
# held: free, locked, position by the exchange, lowest by our fills -> what may be offered
ROOMS = [
    ("an inventory of one", 0.7, 0.3, 0.0, 0.0, 1.0),
    ("all of it offered", 0.0, 1.0, 0.0, 0.0, 1.0),
    ("a fee of a purchase taken in base", 1.4985, 0.0, 0.4985, 0.4985, 1.4985),
    ("a purchase that the balance does not show yet", 1.0, 0.0, 0.0, 0.0, 1.0),
    ("a sale that the balance does not show yet", 0.7, 0.3, 0.0, -0.3, 0.7),
    ("a fee that our fills do not know", 1.4985, 0.0, 0.4985, 0.4985, 1.4985),
    ("short of the inventory", 0.2, 0.1, -0.7, -0.7, 0.3),
]


@pytest.mark.parametrize(
    ("free", "locked", "reported", "lowest", "room"),
    [r[1:] for r in ROOMS],
    ids=[r[0] for r in ROOMS],
)
def test_what_may_be_offered_is_what_is_held_less_what_has_just_been_sold(
    free: float, locked: float, reported: float, lowest: float, room: float
) -> None:
    held = {"freeQty": free, "lockedQty": locked, "currentQty": reported}
    assert sellable(SPOT_ROW, held, lowest) == room


def test_nothing_but_spot_is_bounded_by_what_is_held() -> None:
    assert sellable({"typ": "FFWCSX"}, {"freeQty": 1.0, "currentQty": 0}, -5.0) is None
    assert sellable(SPOT_ROW, {"currentQty": 0}, 0.0) is None
