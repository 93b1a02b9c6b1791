"""What each setting may be, and the faults of a set of settings, one line each."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from market_maker._settings_kinds import (
    BOUNDS,
    COINS,
    FEE,
    GAP,
    NAMES,
    PATH,
    POSITION,
    PRICE,
    RATIO,
    SECONDS,
    SIZE,
    STEP,
    TEXT,
    WAIT,
    XBT,
    YES_NO,
    Rule,
    is_address,
    is_log_level,
    is_names,
    is_path,
    is_source,
    is_symbol,
    is_tiers,
    number,
    one_of,
    or_none,
    whole,
)
from market_maker._settings_venues import ALGOS, EXCHANGES, KEYS, SECRET_NAMES, SECRETS

MAX_PREFIX = 13  # with 22 characters of our own a clOrdID stays within BitMEX's 36

SIZES = frozenset(  # whole where they can be
    {f"{end}_{what}" for end in ("MIN", "MAX") for what in ("ORDER_SIZE", "POSITION")}
    | {"ORDER_START_SIZE", "ORDER_STEP_SIZE"}
)

Where = Callable[[str], str]
_ADDRESS = re.compile(r"\S+:\d{1,5}")

RULES: dict[str, Rule] = {
    "EXCHANGE": one_of(*EXCHANGES),
    "BASE_URL": or_none(Rule("an address such as 'http://127.0.0.1:8000/api/v1/'", is_address)),
    "API_KEY": or_none(TEXT),
    "API_SECRET": or_none(TEXT),
    **dict.fromkeys(SECRET_NAMES, or_none(TEXT)),
    "LIVE": YES_NO,
    "OKX_ORDER_ENTRY": one_of("ws", "rest"),
    "OKX_MARGIN_MODE": one_of("cross", "isolated"),
    "HITBTC_REPLAY": YES_NO,
    "WS_PER_BOT": YES_NO,
    "SPOT_BASE_INVENTORY": Rule("an amount of the base currency, 0 or more", number(0, 1e15)),
    "BOTS": or_none(Rule("a list of dicts", lambda v: isinstance(v, list | tuple))),
    "SYMBOL": Rule("a symbol in capitals such as 'XBTUSD'", is_symbol),
    "CONTRACTS": NAMES,
    "STRATEGY": Rule(
        "a name such as 'layered', or a file and class such as 'my_strategy.py:MyClass'",
        lambda value: isinstance(value, str) and bool(value.strip()),
    ),
    "ORDER_PAIRS": whole(1, 100),
    "ORDER_START_SIZE": SIZE,
    "ORDER_STEP_SIZE": STEP,
    "RANDOM_ORDER_SIZE": or_none(YES_NO),
    "MIN_ORDER_SIZE": or_none(SIZE),
    "MAX_ORDER_SIZE": or_none(SIZE),
    "TOPUP_BELOW": Rule("a number from 0 to 1", number(0, 1)),
    "INTERVAL": GAP,
    "MIN_SPREAD": RATIO,
    "MAINTAIN_SPREADS": YES_NO,
    "RELIST_INTERVAL": RATIO,
    "POST_ONLY": YES_NO,
    "CHECK_POSITION_LIMITS": YES_NO,
    "MIN_POSITION": POSITION,
    "MAX_POSITION": POSITION,
    "MAX_OPEN_ORDERS": or_none(whole(1)),
    "PRICE_BAND": or_none(GAP),
    "MAX_LOSS": or_none(COINS),
    "MAX_DRAWDOWN": or_none(COINS),
    "ON_STOP": one_of("cancel", "flatten", "keep"),
    "ON_STRATEGY_ERROR": one_of("stop", "pull"),
    "STALE_AFTER": WAIT,
    "DEADMAN_TIMEOUT": Rule(
        "0 or a number of seconds from 5 to 3600",
        lambda value: number(0, 0)(value) or number(5, 3600)(value),
    ),
    "GUARD": or_none(
        Rule(
            "HOST:PORT such as '127.0.0.1:8100'",
            lambda value: isinstance(value, str) and bool(_ADDRESS.fullmatch(value)),
        )
    ),
    "POLL_INTERVAL": WAIT,
    "CHECK_SPACING": WAIT,
    "IDLE_CHECK": WAIT,
    "DRY_RUN": YES_NO,
    "DRY_BTC": XBT,
    "MAKER_FEE": or_none(FEE),
    "TAKER_FEE": or_none(FEE),
    "EVENT_DRIVEN": YES_NO,
    "LOOP_INTERVAL": WAIT,
    "MIN_REQUOTE_INTERVAL": SECONDS,
    "ORDER_BULK": one_of("auto", True, False),
    "TIMEOUT": WAIT,
    "API_REST_INTERVAL": SECONDS,
    "API_ERROR_INTERVAL": SECONDS,
    "ORDERID_PREFIX": Rule(
        f"text of 1 to {MAX_PREFIX} characters",
        lambda value: isinstance(value, str) and 1 <= len(value) <= MAX_PREFIX,
    ),
    "LOG_LEVEL": Rule("a level such as logging.INFO", is_log_level),
    "LATENCY": YES_NO,
    "USE_LOG_FILE": Rule(
        "True, False or a path in quotes", lambda v: v in (True, False) or is_path(v)
    ),
    "WATCHED_FILES": or_none(NAMES),
    "STATE_DIR": or_none(PATH),
    "FAIR_PRICE": or_none(one_of("mid", "weighted", "micro", "external")),
    "FAIR_PRICE_SOURCE": or_none(
        Rule("a symbol such as 'XBTM26', or venue and symbol such as 'okx:BTC-USDT'", is_source)
    ),
    "FAIR_PRICE_BASIS": SECONDS,
    "FAIR_PRICE_MAX_AGE": WAIT,
    "SKEW_PRICE": RATIO,
    "SKEW_SIZE": YES_NO,
    "SKEW_TARGET": POSITION,
    "SKEW_RANGE": SIZE,
    "SKEW_FUNDING": Rule("a number from 0 to 10", number(0, 10)),
    "SKEW_FUNDING_WINDOW": WAIT,
    "VOLATILITY_SPREAD": Rule("a number from 0 to 1000", number(0, 1000)),
    "QUEUE_WORTH": Rule("a number of ticks from 0 to 1000", number(0, 1000)),
    "MIN_REST": SECONDS,
    "TRADE_BRAKE": Rule("a number of orders from 0 to 10000", number(0, 10_000)),
    "TRADE_BRAKE_SECONDS": WAIT,
    "GRID_SEED": Rule(
        "'lastTicker', 'lastOwn', 'cont' or a price",
        lambda v: v in ("lastTicker", "lastOwn", "cont") or number(0, 1e12, above=True)(v),
    ),
    "CLEAR_ORDERS": or_none(YES_NO),
    "GRID_KIND": one_of("ppt", "fullfixed"),
    "GRID_SPACE": PRICE,
    "GRID_QUANTITY_POWER": Rule("a number from -10 to 10", number(-10, 10)),
    "GRID_BUY_LEVELS": whole(1, 100),
    "GRID_SELL_LEVELS": whole(1, 100),
    "GRID_BUY_QUANTITY": PRICE,
    "GRID_SELL_QUANTITY": PRICE,
    "STRICT_LEVELS": YES_NO,
    "GRID_MIN_PRICE": or_none(PRICE),
    "GRID_MAX_PRICE": or_none(PRICE),
    "GRID_BASE_SCALE": or_none(whole(-12, 12)),
    "GRID_COUNTER_SCALE": or_none(whole(-12, 12)),
    "GRID_NO_QTY_CUTOFF": YES_NO,
    "AVELLANEDA_MODEL": one_of("rolling", "stationary"),
    "AVELLANEDA_HORIZON": WAIT,
    "AVELLANEDA_GAMMA": PRICE,
    "AVELLANEDA_TARGET": POSITION,
    "AVELLANEDA_SIGMA": BOUNDS,
    "AVELLANEDA_A": BOUNDS,
    "AVELLANEDA_K": BOUNDS,
    "AVELLANEDA_LEAST_SAMPLES": whole(2, 100_000),
    "AVELLANEDA_SAMPLE_EVERY": Rule("a number of seconds from 1 to 3600", number(1, 3600)),
    "AVELLANEDA_WINDOW": whole(10, 100_000),
    "DECISION_URL": or_none(Rule("an address such as 'https://example.com/decide'", is_address)),
    "DECISION_FILE": or_none(PATH),
    "DECISION_CALL": or_none(Rule("a function", callable)),
    "DECISION_EVERY": WAIT,
    "DECISION_TIMEOUT": WAIT,
    "DECISION_MAX_AGE": WAIT,
    "DECISION_STAKE": Rule("per cent above 0, at most 100", number(0, 100, above=True)),
    "QUANT_ALGO": one_of(*ALGOS),
    "TRADING_BALANCE_SIZE": Rule("a ratio from 0.1 to 1 (0.5 is 50 %)", number(0.1, 1)),
    "ADJUST_POSITION_DATA": YES_NO,
    "INVENTORY_STEP_TICKS": whole(1, 1_000_000),
    "INVENTORY_MAX": SIZE,
    "INVENTORY_SKEW": Rule("a list of whole numbers of at least 0, or None", is_tiers),
    "INVENTORY_TRADES": whole(1, 10_000),
    "INVENTORY_TRADE_RATIO": Rule("a number from 0 to 0.5", number(0, 0.5)),
    "INVENTORY_QUEUE": Rule("a number from 0 to 1", number(0, 1)),
    "INVENTORY_GRACE": SECONDS,
    "INVENTORY_QUEUE_MODEL": one_of("pessimistic", "proportional"),
    "INVENTORY_SHOWN_WITHIN": SECONDS,
    "INVENTORY_MAX_LOSS": or_none(GAP),
    "INVENTORY_FLATTEN": YES_NO,
    "INVENTORY_SCRATCH": or_none(GAP),
    "INVENTORY_SCRATCH_MOVE": GAP,
    "INVENTORY_SCRATCH_PAUSE": SECONDS,
    "SIM_MARKET": one_of("practice", "calm", "busy", "trending", "crash"),
    "SIM_DATA": or_none(
        Rule("a path in quotes or a list of them", lambda v: is_path(v) or (v and is_names(v)))
    ),
    "SIM_SPEED": Rule("a number from 0.01 to 1000", number(0.01, 1000)),
    "SIM_SEED": or_none(whole(0)),
    "SIM_BALANCE": Rule("XBT from 0 to 1000000", number(0, 1e6)),
    "SIM_FAULT": or_none(
        Rule(
            "a fault in quotes or a list of them",
            lambda v: bool(v) and (isinstance(v, str) or is_names(v)),
        )
    ),
    "SIM_PROFILE": one_of("classic", "last"),
}


def find_faults(values: Mapping[str, Any], where: Where) -> list[str]:
    """Every fault of *values*, one line each: setting, value, what is allowed, where it stands."""
    wrong = [name for name, rule in RULES.items() if not rule.accepts(values.get(name))]
    faults = [_fault(name, values, where) for name in wrong]
    faults += [
        f"{name} ({where(name)}) is not a setting: did you mean {meant}?"
        for name in values
        if where(name) != "default" and (meant := misspelt(name))
    ]
    if "EXCHANGE" not in wrong and "BASE_URL" not in wrong:
        faults += _exchange_faults(values, where)
    faults += _pair_faults(values, where, wrong)
    if values.get("STRATEGY") == "decision":
        faults += _decision_faults(values, where, wrong)
    return faults


def misspelt(name: str) -> str | None:
    """Our setting that *name* is one letter away from, or None."""
    if not isinstance(name, str) or name in RULES or name.startswith("_"):
        return None
    return next((ours for ours in RULES if one_letter_apart(name, ours)), None)


def one_letter_apart(a: str, b: str) -> bool:
    """Whether one letter changed, added, left out or two neighbours swapped makes *a* into *b*.

    >>> one_letter_apart("SYMOBL", "SYMBOL")
    True
    """
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if start is None:
        return True  # one is the other and a letter more
    rest_a, rest_b = a[start:], b[start:]
    if len(a) != len(b):
        return rest_a[1:] == rest_b or rest_a == rest_b[1:]
    swapped = rest_a[:2] == rest_b[1::-1] and len(rest_a) > 1
    return rest_a[1:] == rest_b[1:] or (swapped and rest_a[2:] == rest_b[2:])


def _fault(name: str, values: Mapping[str, Any], where: Where) -> str:
    value = values.get(name)
    shown = "(not shown)" if name in SECRETS or name == "BOTS" else _short(value)
    line = f"{name} = {shown} ({where(name)}): must be {RULES[name].allowed}"
    if name == "EXCHANGE" and isinstance(value, str):
        nearest = difflib.get_close_matches(value.lower(), EXCHANGES, 1)
        line += f". Did you mean {nearest[0]!r}?" if nearest else ""
    return line


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  a user's own class may have a broken repr
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


_SPOKEN = {"bitmex": "BitMEX's", "plain": "the plain"}  # by whatever server is at BASE_URL


def _exchange_faults(values: Mapping[str, Any], where: Where) -> Iterator[str]:
    url = values.get("BASE_URL")
    host = (urlsplit(url).hostname or "") if url else ""
    if host == "bitmex.com" or host.endswith(".bitmex.com"):
        yield (
            f"BASE_URL = {_short(url)} ({where('BASE_URL')}): BitMEX closed on 2026-09-23. "
            "Remove it and set EXCHANGE = 'simulator' to trade play money on the built-in "
            "exchange, or set the address of a server that speaks BitMEX's protocol"
        )
    elif values.get("EXCHANGE") == "simulator":
        if url:
            yield (
                f"BASE_URL = {_short(url)} ({where('BASE_URL')}) does not go with "
                f"EXCHANGE = 'simulator' ({where('EXCHANGE')}): set EXCHANGE = 'bitmex' to "
                "trade at that address, or remove BASE_URL"
            )
    elif not url and values.get("EXCHANGE") in _SPOKEN:
        yield (
            f"EXCHANGE = {values.get('EXCHANGE')!r} ({where('EXCHANGE')}) needs BASE_URL, the "
            "address of a server that speaks "
            f"{_SPOKEN[str(values.get('EXCHANGE'))]} protocol"
        )
    elif not values.get("DRY_RUN"):
        for name in KEYS[str(values.get("EXCHANGE"))]:
            if not values.get(name):
                yield f"{name} is missing: put it into .env or the environment"


def _pair_faults(values: Mapping[str, Any], where: Where, wrong: list[str]) -> Iterator[str]:
    if values.get("FAIR_PRICE") == "external" and values.get("FAIR_PRICE_SOURCE") is None:
        yield f"FAIR_PRICE = 'external' ({where('FAIR_PRICE')}) needs FAIR_PRICE_SOURCE"
    pairs, size = [("MIN_POSITION", "MAX_POSITION", True)], "ORDER_START_SIZE"
    if values.get("RANDOM_ORDER_SIZE") is True:
        size = "MIN_ORDER_SIZE"
        pairs.append((size, "MAX_ORDER_SIZE", False))
    if values.get("STRATEGY") == "inventory" and values.get(size) is not None:
        pairs.append((size, "INVENTORY_MAX", False))  # else no order ever fits
    if None not in (values.get("GRID_MIN_PRICE"), values.get("GRID_MAX_PRICE")):
        pairs.append(("GRID_MIN_PRICE", "GRID_MAX_PRICE", True))
    for low, high, strictly in pairs:
        if low in wrong or high in wrong:
            continue
        a, b = values.get(low), values.get(high)
        if a is None or b is None:
            yield f"RANDOM_ORDER_SIZE = True needs {low if a is None else high}"
        elif a > b or (strictly and a == b):
            words = "below" if strictly else "at most"
            yield f"{low} = {a} ({where(low)}): must be {words} {high} = {b} ({where(high)})"


def _decision_faults(values: Mapping[str, Any], where: Where, wrong: list[str]) -> Iterator[str]:
    sources = ("DECISION_URL", "DECISION_FILE", "DECISION_CALL")
    given = [name for name in sources if values.get(name) is not None]
    if len(given) != 1:
        what = " and ".join(given) or "none of them"
        yield f"STRATEGY = 'decision' needs one of {', '.join(sources)}: there is {what}"
    every, longest = "DECISION_EVERY", "DECISION_MAX_AGE"
    if not {every, longest} & set(wrong) and values[longest] <= values[every]:
        yield (
            f"{longest} = {values[longest]} ({where(longest)}): must be above "
            f"{every} = {values[every]} ({where(every)})"
        )
