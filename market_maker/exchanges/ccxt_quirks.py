"""What ccxt's exchanges can really do, by our own tests: its `has` tells of classes, not markets.

Facts: requests recorded from ccxt 4.5.90 and the venues' documents.

A budget is how many requests may go at once, how many come back each second, and how many are
kept for cancels: one count for all calls of an account, where ccxt and the venues count by kind.
Beside it stands what ccxt 4.5.90 says of the rates: its `rateLimit` in ms, times the cost of a
call. How many may go at once, and how many are kept, are cautious guesses of ours everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker.exchanges.base import Capabilities
from market_maker.exchanges.reads import Pace
from market_maker.model.rows import Row


class Quirks(NamedTuple):
    """One exchange's spot market as ccxt drives it."""

    id_param: str  # the venue's own name of the client order id; "" where ours do not fit
    lookup_param: str  # asks for an order by that id; "" where its orderID is that id
    options: dict[str, object]
    budget: tuple[float, float, float]
    id_max: int = 36
    fills_page: int = 500  # the most fills of one answer
    until: str = "until"  # asks for fills before a time; "" where pages go on by their ids
    orders_page: int = 0  # the most open orders of one answer, of more than a page; 0: all come
    next_orders: Callable[[Sequence[Row]], Row] = lambda _: {}  # what asks for the page after one
    least_pace: Pace = Pace(0.0, 0.0, 0.0)  # no more often, whatever the settings say
    refusals: str = ""  # words that say no for certain, where ccxt has no class for them
    forbidden: str = ""  # the code of a right that the key lacks, where ccxt has no class for it


def _oldest(page: Sequence[Row]) -> str:
    return min((str(raw["id"]) for raw in page), key=int)


def _cursor(page: Sequence[Row]) -> str:
    """Where the next page begins, as ccxt keeps it in one of the orders; "" after the last."""
    found = (str(raw["info"].get("nextPageCursor") or "") for raw in page)
    return next(filter(None, found), "")


# The unified names lose or replace ids in places: always the native one.
QUIRKS = {
    "okx": Quirks(
        "clOrdId",
        "clOrdId",
        {},
        (60.0, 20.0, 10.0),
        32,
        fills_page=100,
        orders_page=100,
        next_orders=lambda page: {"after": _oldest(page)},
        least_pace=Pace(0.0, 0.25, 0.0),  # ccxt asks for fills where 5 a second are borne
        forbidden="50120",
    ),
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
        # ccxt: 100 ms, so that 50 creates and 50 cancels a second (0.2 each), 25 open-order reads
        # and look-ups (0.4), 10 reads of fills or of the book (1). 20 for all together is a guess.
        (50.0, 20.0, 10.0),
        64,
        orders_page=500,
        next_orders=lambda page: {"from": _oldest(page), "direct": "next"},
    ),
    "hitbtc": Quirks("client_order_id", "", {}, (40.0, 15.0, 10.0), 32, until="till"),
    # its ids are UUIDs or 18 letters, too short for ours: matched by side, price, size and time
    # ccxt: 1000 ms, so that a private read (3) may go every 3 s, TradesHistory (6) every 6 s, Depth
    # and Trades (1.2) every 1.2 s; AddOrder and CancelOrder cost 0, being counted apart. The pace
    # keeps the reads within that: the book every 2 s is 0.6 of 1 a second; fills every 15 s and a
    # full check every 30 s (orders 3, fills 6, balance twice 3) are 0.9 of 1. The budget, mostly
    # for orders, is a guess: Kraken's own count of them depends on how long they have rested.
    "kraken": Quirks(
        "",
        "",
        {},
        (30.0, 1.5, 8.0),
        fills_page=50,
        least_pace=Pace(2.0, 15.0, 30.0),
        refusals="EOrder:|EGeneral:Invalid arguments",
    ),
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
        # ccxt: 20 ms, so that 20 creates and 20 cancels a second (2.5 each), 10 reads of
        # order/realtime, execution/list and the book (5). 10 for all together is the slowest of
        # them, a cautious guess.
        (50.0, 10.0, 10.0),
        fills_page=100,
        orders_page=50,
        next_orders=lambda page: {"cursor": _cursor(page)},
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
        every_kind=False,
        reduce_only=False,
        budget=quirks.budget,
        requests_per_s=10.0,
        order_cost=1.0,
    )
