"""From settings to a desk: which exchange, at which address, with which key.

An exchange's connector is imported when it is opened: a start need not wait for all the others.
"""

import logging
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from market_maker import live, supervised
from market_maker._settings_venues import KEYS
from market_maker.clock import Clock
from market_maker.exchanges.approval import Limits
from market_maker.exchanges.base import Connector, ExchangeError
from market_maker.exchanges.deadman import silence_s
from market_maker.exchanges.desk import Desk
from market_maker.exchanges.dial import open_connector as dial
from market_maker.exchanges.gateway import GatewayRules
from market_maker.exchanges.guard import GuardClient, GuardLocked
from market_maker.exchanges.losses import stop_of
from market_maker.exchanges.throttle import account_budgets
from market_maker.journal import Journal
from market_maker.quoting.limits import OrderLimits, PositionLimits
from market_maker.simulator.child import SimulatorChild
from market_maker.utils import log
from market_maker.utils.errors import AuthenticationError, BotError, LossLimitReached, StopTrading

logger = logging.getLogger("root")

_LOCKED = (
    "The guard has cancelled this bot's orders. Look at the account; 'marketmaker unlock %s' where "
    "the guard runs lets it trade again"
)
PLAY_MONEY = "simulator"
DEMOS = ("okx-demo", "binance-testnet", "hitbtc-demo")


def is_play_money(settings: Mapping[str, Any]) -> bool:
    """Whether nothing real can be won or lost."""
    return settings.get("EXCHANGE") == PLAY_MONEY


def stakes(settings: Mapping[str, Any]) -> str:
    """What is at stake where it is no real money: "play money" or "demo"; else nothing."""
    if is_play_money(settings):
        return "play money"
    return "demo" if settings.get("EXCHANGE") in DEMOS else ""


def open_connector(settings: Any, symbol: str, clock: Clock) -> Connector:
    """Connect to the exchange the settings name, starting the built-in one if need be."""
    return _open(settings, symbol, clock, random.Random(), dry_run=True).connector


def open_desk(
    settings: Any,
    symbol: str,
    clock: Clock,
    rng: random.Random,
    dry_run: bool = False,
    *,
    only_cancels: bool = False,
) -> Desk:
    """A desk for *symbol*, not yet opened. Raises AuthenticationError without a needed key.

    What keeps a bot from trading (a loss limit, its guard) keeps nobody from cancelling.
    """
    connector, has_account, before_exec = _open(settings, symbol, clock, rng, dry_run)
    if not has_account and not dry_run:
        connector.stop()
        names = " and ".join(KEYS[settings.EXCHANGE])
        raise AuthenticationError(f"no key: put {names} into .env, or try --dry-run")
    try:
        if live.is_live(settings) and not dry_run and not only_cancels:
            live.check_limits(settings)
            if not Path(journal_path(settings, connector)).exists():
                live.confirm(settings, connector)
        journal = Journal(journal_path(settings, connector, dry_run), clock)
        if not dry_run and not only_cancels:
            _check_stops(settings, connector, journal)
    except (BotError, ExchangeError):
        connector.stop()
        raise
    account = None if dry_run or not has_account else _account_path(settings, connector)
    budget, burst = account_budgets(account, connector.caps, clock)
    desk = Desk(
        connector,
        before_exec=before_exec,
        clock=clock,
        journal=journal,
        budget=budget,
        burst=burst,
        rng=rng,
        rules=gateway_rules(settings),
        prefix=settings.ORDERID_PREFIX,
        has_account=has_account,
        dry_run=dry_run,
    )
    if has_account and not dry_run and settings.EXCHANGE == "bitmex":
        _warn_of_rights(connector, settings.BITMEX_API_KEY)
    if settings.GUARD and has_account and not dry_run and not only_cancels:
        try:
            desk.gateway.switch.guard = _guard(settings, connector)
        except StopTrading:
            connector.stop()
            journal.close()
            raise
    desk.gateway.switch.is_last = lambda: journal.leave(_family(settings, connector))
    return desk


def guard_lock(settings: Any, connector: Connector) -> Path:
    """The file that keeps the bot from starting after its guard had to act."""
    return Path(journal_path(settings, connector)).with_suffix(".guard")


def guard_name(settings: Any, connector: Connector) -> str:
    """Which bot a heartbeat is of."""
    return f"{_family(settings, connector)}{connector.symbol}-{settings.ORDERID_PREFIX}"


def _guard(settings: Any, connector: Connector) -> Callable[[float | None], bool]:
    """What tells the guard that the bot lives. Raises GuardLocked."""
    if not settings.GUARD_SECRET:
        raise AuthenticationError("GUARD_SECRET is missing: put it into .env or the environment")
    name = guard_name(settings, connector)
    client = GuardClient(settings.GUARD, settings.GUARD_SECRET, name)
    try:
        client.look()
    except GuardLocked:
        raise GuardLocked(_LOCKED % connector.symbol) from None

    def beat(timeout_s: float | None) -> bool:
        try:
            return client.beat(timeout_s)
        except GuardLocked:
            logger.error(_LOCKED, connector.symbol)
            return False

    return beat


def gateway_rules(settings: Any) -> Callable[[], GatewayRules]:
    """The rules of the gateway, read from the settings each time, as they may change."""

    def read() -> GatewayRules:
        limits = PositionLimits()
        if settings.CHECK_POSITION_LIMITS:
            limits = PositionLimits(settings.MIN_POSITION, settings.MAX_POSITION)
        orders = OrderLimits(settings.MAX_ORDER_SIZE, settings.MAX_OPEN_ORDERS, settings.PRICE_BAND)
        return GatewayRules(Limits(limits, orders), silence_s(settings), settings.STALE_AFTER)

    return read


class _Opened(NamedTuple):
    connector: Connector
    has_account: bool
    before_exec: Callable[[], None]


def _open(
    settings: Any, symbol: str, clock: Clock, rng: random.Random, dry_run: bool = False
) -> _Opened:
    if settings.EXCHANGE.startswith("okx"):
        return _open_okx(settings, symbol, clock, rng, dry_run)
    if settings.EXCHANGE.startswith("binance"):
        return _open_binance(settings, symbol, clock, rng, dry_run)
    if settings.EXCHANGE.startswith("hitbtc"):
        return _open_hitbtc(settings, symbol, clock, rng)
    if settings.EXCHANGE == "plain" or settings.EXCHANGE.startswith("ccxt:"):
        return _open_polled(settings, symbol, clock)
    on_stop = before_exec = _nothing
    if is_play_money(settings):
        child = SimulatorChild.adopt(os.environ) or SimulatorChild.start(
            child_args(settings, symbol), clock
        )
        base_url, key, secret = child.base_url, child.key, child.secret
        log.hide(key, secret)
        on_stop, before_exec = child.close, child.export_env
    else:
        base_url = settings.BASE_URL
        key, secret = settings.BITMEX_API_KEY or "", settings.BITMEX_API_SECRET or ""
    connector = dial(
        base_url,
        symbol,
        key,
        secret,
        clock=clock,
        rng=rng,
        timeout_s=settings.TIMEOUT,
        bulk=settings.ORDER_BULK,
        on_stop=on_stop,
    )
    return _Opened(connector, bool(key), before_exec)


def _open_okx(
    settings: Any, symbol: str, clock: Clock, rng: random.Random, dry_run: bool
) -> _Opened:
    from market_maker.exchanges.okx_dial import OkxKey, open_connector

    key = OkxKey(*(settings[name] or "" for name in KEYS[settings.EXCHANGE]))
    connector = open_connector(
        settings.BASE_URL,
        symbol,
        key if all(key) else OkxKey(),
        clock=clock,
        rng=rng,
        prefix=settings.ORDERID_PREFIX,
        is_demo=settings.EXCHANGE in DEMOS,
        will_trade=not dry_run,
        margin_mode=settings.OKX_MARGIN_MODE,
        order_entry=settings.OKX_ORDER_ENTRY,
        spot_inventory=settings.SPOT_BASE_INVENTORY,
        timeout_s=settings.TIMEOUT,
    )
    return _Opened(connector, all(key), _nothing)


def _open_binance(
    settings: Any, symbol: str, clock: Clock, rng: random.Random, dry_run: bool
) -> _Opened:
    from market_maker.exchanges.binance_dial import BinanceKey, open_connector

    key = BinanceKey(*(settings[name] or "" for name in KEYS[settings.EXCHANGE]))
    connector = open_connector(
        settings.BASE_URL,
        symbol,
        key if all(key) else BinanceKey(),
        clock=clock,
        rng=rng,
        prefix=settings.ORDERID_PREFIX,
        is_testnet=settings.EXCHANGE in DEMOS,
        ws_per_bot=settings.WS_PER_BOT,
        will_trade=not dry_run,
        spot_inventory=settings.SPOT_BASE_INVENTORY,
        timeout_s=settings.TIMEOUT,
    )
    return _Opened(connector, all(key), _nothing)


def _open_hitbtc(settings: Any, symbol: str, clock: Clock, rng: random.Random) -> _Opened:
    from market_maker.exchanges.hitbtc_dial import HitbtcKey, open_connector

    key = HitbtcKey(*(settings[name] or "" for name in KEYS[settings.EXCHANGE]))
    connector = open_connector(
        settings.BASE_URL,
        symbol,
        key if all(key) else HitbtcKey(),
        clock=clock,
        rng=rng,
        prefix=settings.ORDERID_PREFIX,
        is_demo=settings.EXCHANGE in DEMOS,
        replays=settings.HITBTC_REPLAY,
        spot_inventory=settings.SPOT_BASE_INVENTORY,
        timeout_s=settings.TIMEOUT,
    )
    return _Opened(connector, all(key), _nothing)


def _open_polled(settings: Any, symbol: str, clock: Clock) -> _Opened:
    from market_maker.exchanges.ccxt_rest import open_connector as dial_ccxt
    from market_maker.exchanges.plain import open_connector as dial_plain
    from market_maker.exchanges.reads import Pace

    key = [settings[name] or "" for name in KEYS[settings.EXCHANGE]]
    pace = Pace(settings.POLL_INTERVAL, settings.CHECK_SPACING, settings.IDLE_CHECK)
    url, timeout_s = settings.BASE_URL, settings.TIMEOUT
    if settings.EXCHANGE == "plain":
        plain = dial_plain(url, symbol, *key, clock=clock, pace=pace, timeout_s=timeout_s)
        return _Opened(plain, all(key), _nothing)
    connector = dial_ccxt(
        settings.EXCHANGE.removeprefix("ccxt:"), symbol, key if all(key) else [], clock=clock,
        prefix=settings.ORDERID_PREFIX, base_url=url, pace=pace, timeout_s=timeout_s,
        inventory=settings.SPOT_BASE_INVENTORY,
    )  # fmt: skip
    return _Opened(connector, all(key), _nothing)


def child_args(settings: Any, symbol: str) -> list[str]:
    args = ["--profile", settings.SIM_PROFILE, "--balance", str(settings.SIM_BALANCE)]
    flags = {"SIM_MARKET": "--market", "SIM_SPEED": "--speed", "SIM_SEED": "--seed"}
    for name, flag in flags.items():
        if settings[name] is not None:
            args += [flag, str(settings[name])]
    faults = settings.SIM_FAULT or []
    for fault in [faults] if isinstance(faults, str) else faults:
        args += ["--fault", fault]
    if data := settings.SIM_DATA:
        args += ["--symbol", symbol, "--data"]
        args += [data] if isinstance(data, str) else map(str, data)
    return args


def may_withdraw(rows: Any, key: str) -> bool:
    """Whether *rows*, what the exchange lists of its keys, give *key* the right to withdraw."""
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return any(
        "withdraw" in (row.get("permissions") or ()) for row in listed if row.get("id") == key
    )


def _warn_of_rights(connector: Connector, key: str) -> None:
    answer = connector.call("GET", "/apiKey")
    if answer.status == 200 and may_withdraw(answer.body, key):
        logger.warning("The key may withdraw money: give the bot one that may only trade.")


def _check_stops(settings: Any, connector: Connector, journal: Journal) -> None:
    """Raise, with the journal closed, where something has stopped this bot for good."""
    reason = stop_of(journal)
    if not reason and guard_lock(settings, connector).exists():
        journal.close()
        raise GuardLocked(_LOCKED % connector.symbol)
    if reason:
        journal.close()
        raise LossLimitReached(
            f"stopped earlier: {reason}. Look at the account; "
            f"'marketmaker resume {connector.symbol}' lets it trade again"
        )


def journal_path(settings: Any, connector: Connector, dry_run: bool = False) -> str | Path:
    """One file for each account, symbol and prefix; play accounts and dry runs leave none."""
    account = None if dry_run else _account_path(settings, connector)
    if account is None:
        return ":memory:"
    prefix = settings.ORDERID_PREFIX.strip("_")
    return account.with_name(f"{account.name}-{connector.symbol}-{prefix}.sqlite3")


def _account_path(settings: Any, connector: Connector) -> Path | None:
    """How the files of an account are called, without their endings; None: it leaves none."""
    if is_play_money(settings):
        folder = supervised.play_folder()
        return folder and folder / _family(settings, connector).removesuffix("-")
    folder = state_dir(settings)
    return folder / _family(settings, connector).removesuffix("-")


def _family(settings: Any, connector: Connector) -> str:
    """How the names of all journals of one account begin."""
    return f"{settings.EXCHANGE.replace(':', '-')}-{connector.account_key}-"


def state_dir(settings: Any) -> Path:
    """The folder of all journals."""
    if settings.STATE_DIR:
        return Path(settings.STATE_DIR)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "marketmaker"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "marketmaker"


def _nothing() -> None:
    """There is nothing to stop."""
