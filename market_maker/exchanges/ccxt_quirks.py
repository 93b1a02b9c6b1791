"""What ccxt's exchanges can really do, by our own tests: its `has` tells of classes, not markets.

Facts: requests recorded from ccxt 4.5.90 and the venues' documents.
"""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.poller import Pace


class Quirks(NamedTuple):
    """One exchange's spot market as ccxt drives it."""

    id_param: str  # the venue's own name of the client order id; "" where ours do not fit
    lookup_param: str  # asks for an order by that id; "" where its orderID is that id
    options: dict[str, object]
    budget: tuple[float, float, float]
    id_max: int = 36
    fills_page: int = 500  # the most fills of one answer
    until: str = "until"  # asks for fills before a time; "" where pages go on by their ids
    least_pace: Pace = Pace(0.0, 0.0, 0.0)  # no more often, whatever the settings say
    forbidden: str = ""  # the code of a right that the key lacks, where ccxt has no class for it


# The unified names lose or replace ids in places: always the native one.
QUIRKS = {
    "okx": Quirks("clOrdId", "clOrdId", {}, (60.0, 20.0, 10.0), 32, 100, forbidden="50120"),
    "binance": Quirks(
        "newClientOrderId",
        "origClientOrderId",
        {"fetchMargins": False, "fetchMarkets": {"types": ["spot"]}},
        (200.0, 4.0, 20.0),
        until="",
        forbidden="-2015",
    ),
    "htx": Quirks(
        "client-order-id",
        "clientOrderId",
        {"fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}},
        (50.0, 20.0, 10.0),
        64,
    ),
    "hitbtc": Quirks("client_order_id", "", {}, (40.0, 15.0, 10.0), 32, until="till"),
    # its ids are UUIDs or 18 letters, too short for ours: matched by side, price, size and time
    # Its private reads regain a third of a point a second (history costs 2), public reads go once
    # a second, orders are counted apart: at this pace all of them fit.
    "kraken": Quirks("", "", {}, (30.0, 1.5, 8.0), fills_page=50, least_pace=Pace(2.0, 15.0, 30.0)),
    "bybit": Quirks(
        "orderLinkId",
        "orderLinkId",
        {
            "fetchMarkets": {"types": ["spot"]},
            "fetchOrder": {"acknowledged": True},  # of the last 500 only: it refuses else
            # a unified account: to ask takes a right to transfer, which our keys must not have
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
        },
        (50.0, 10.0, 10.0),
        fills_page=100,
    ),
}


def turned(urls: Any, base_url: str) -> Any:
    """ccxt's table of addresses, each with scheme and host of *base_url* in place of its own."""
    there = urlsplit(base_url)
    if isinstance(urls, dict):
        return {name: turned(value, base_url) for name, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    if "//" not in urls:  # a host alone, which some sign
        return there.netloc if "." in urls else urls
    path = urls.split("//", 1)[1].partition("/")
    return f"{there.scheme}://{there.netloc}{path[1]}{path[2]}"


def paced(pace: Pace, quirks: Quirks) -> Pace:
    """The pace that was asked for, as far as the venue bears it."""
    return Pace(*map(max, pace, quirks.least_pace))


def capabilities(quirks: Quirks) -> Capabilities:
    return Capabilities(
        client_id_max=quirks.id_max,
        client_ids=bool(quirks.id_param),
        order_lookup=bool(quirks.id_param),
        fill_lag_s=0.0 if quirks.id_param else 2.0,
        amend="none",
        atomic_batch=False,
        max_batch=1,
        max_cancel=1,
        events="poll",
        request_expiry_s=10.0,  # hold an order without an answer in doubt for so long
        dead_man_s=None,
        positions=False,
        budget=quirks.budget,
        requests_per_s=10.0,
        order_cost=1.0,
    )
