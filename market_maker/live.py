"""Before real money is at stake: the limits are the user's own, and the first start is asked."""

import sys
from collections.abc import Callable
from typing import Any

from market_maker._settings_venues import CCXT
from market_maker.exchanges.base import Connector, ExchangeError, first_answers, no_start
from market_maker.model.coins import coin_of
from market_maker.model.contracts import Contract
from market_maker.model.ticks import plain
from market_maker.utils.errors import SettingsError

WORD = "LIVE"
_OWN = ("MAX_LOSS", "MAX_POSITION")  # no default of ours may stand for what a user would lose
LIVE_EXCHANGES = frozenset({"okx", "binance", "hitbtc", "plain", *CCXT})


def is_live(settings: Any) -> bool:
    """Whether the exchange is one that trades real money."""
    return settings.get("EXCHANGE") in LIVE_EXCHANGES


def check_limits(settings: Any) -> None:
    """Raise SettingsError unless the user has set what may be lost."""
    unset = [n for n in _OWN if settings.get(n) is None or settings.where(n) == "default"]
    if unset:
        raise SettingsError(
            [f"{name} is not set: trading real money needs your own limit" for name in unset]
        )


def confirm(settings: Any, connector: Connector, ask: Callable[[str], str] = input) -> None:
    """Say what may be lost and have the user type a word; raises SettingsError without it."""
    if settings.LIVE:
        return
    try:
        with first_answers():
            stakes = _stakes(settings, connector)
    except ExchangeError as error:
        raise no_start(error) from None
    print("\n".join(stakes), flush=True)
    if not sys.stdin.isatty():
        raise SettingsError(["LIVE = True is needed to trade real money without a terminal"])
    if ask(f"Type {WORD} to trade with it: ").strip() != WORD:
        raise SettingsError(["Not confirmed. Nothing was sent."])


def _stakes(settings: Any, connector: Connector) -> list[str]:
    low, high = settings.MIN_POSITION, settings.MAX_POSITION
    position = "no limit: CHECK_POSITION_LIMITS is off"
    if settings.CHECK_POSITION_LIMITS:
        position = f"{low} to {high} contracts{_worth(connector, max(abs(low), abs(high)))}"
    return [
        "This is real money.",
        f"  Exchange         {settings.EXCHANGE} ({settings.BASE_URL or 'its own address'})",
        f"  Account          {connector.account_label()}",
        f"  Symbol           {connector.symbol}",
        f"  Worst position   {position}",
        f"  Stops at a loss  of {plain(settings.MAX_LOSS)} in a run or a day (settlement currency)",
    ]


def _worth(connector: Connector, qty: float) -> str:
    rows = connector.fetch_rows("instrument")
    price = rows[0].get("markPrice") if rows else None
    if not price:
        return ""
    value = Contract.from_instrument(rows[0]).value(qty, price)
    coin = coin_of(rows[0].get("settlCurrency"))
    return f", worth {value / coin.unit:.6f} {coin.name}"
