"""What each setting may be, and the faults of a set of settings, one line each."""

import difflib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker._settings_venues import EXCHANGES, KEYS, SECRET_NAMES, SECRETS

MAX_PREFIX = 13  # with 22 characters of our own a clOrdID stays within BitMEX's 36

SIZES = frozenset(  # whole where they can be
    {f"{end}_{what}" for end in ("MIN", "MAX") for what in ("ORDER_SIZE", "POSITION")}
    | {"ORDER_START_SIZE", "ORDER_STEP_SIZE"}
)

Where = Callable[[str], str]
_ADDRESS = re.compile(r"\S+:\d{1,5}")


class Rule(NamedTuple):
    """One setting: the words for what it may be, and the test of a value."""

    allowed: str
    accepts: Callable[[Any], bool]


def _number(low: float, high: float, *, above: bool = False) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and low <= value <= high and not (above and value == low)

    return accepts


def _whole(low: float, high: float = math.inf) -> Rule:
    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    limits = "" if low == -math.inf else f" of at least {low}"
    limits = f" from {low} to {high}" if high != math.inf else limits
    return Rule(f"a whole number{limits}", accepts)


def _one_of(*values: Any) -> Rule:
    def accepts(value: Any) -> bool:
        return any(type(value) is type(known) and value == known for known in values)

    return Rule(" or ".join(repr(value) for value in values), accepts)


def _or_none(rule: Rule) -> Rule:
    return Rule(f"None or {rule.allowed}", lambda value: value is None or rule.accepts(value))


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_symbol(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value == value.upper()


def _is_log_level(value: Any) -> bool:
    if isinstance(value, str):
        return value in logging.getLevelNamesMapping()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_bounds(value: Any) -> bool:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return is_pair and all(map(_number(0, 1e12, above=True), value)) and value[0] <= value[1]


def _is_path(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or hasattr(value, "__fspath__"))


_SIZE = Rule("a number above 0", _number(0, 1e15, above=True))
_STEP = Rule("a number of at least 0", _number(0, 1e15))
_POSITION = Rule("a number", _number(-1e15, 1e15))
_YES_NO = _one_of(True, False)
_TEXT = Rule("text in quotes", lambda value: isinstance(value, str))
_PATH = Rule("a path in quotes", _is_path)
_NAMES = Rule("a list of texts", _is_names)
_SECONDS = Rule("a number of seconds, 0 or more", _number(0, 86_400))
_WAIT = Rule("a number of seconds above 0", _number(0, 86_400, above=True))
_RATIO = Rule("a ratio from 0 to below 1 (0.01 is 1 %)", _number(0, 1 - 1e-12))
_GAP = Rule("a ratio above 0 and below 1 (0.01 is 1 %)", _number(0, 1 - 1e-12, above=True))
_FEE = Rule("a ratio between -0.1 and 0.1 (0.0005 is 0.05 %)", _number(-0.1, 0.1))
_COINS = Rule("an amount above 0 in the settlement currency", _number(0, 1e12, above=True))
_XBT = Rule("an amount of XBT above 0", _number(0, 21e6, above=True))

_BOUNDS = Rule("two numbers above 0, the smaller first", _is_bounds)
_PRICE = Rule("a number above 0", _number(0, 1e12, above=True))

RULES: dict[str, Rule] = {
    "EXCHANGE": _one_of(*EXCHANGES),
    "BASE_URL": _or_none(Rule("an address such as 'http://127.0.0.1:8000/api/v1/'", _is_address)),
    "API_KEY": _or_none(_TEXT),
    "API_SECRET": _or_none(_TEXT),
    **dict.fromkeys(SECRET_NAMES, _or_none(_TEXT)),
    "LIVE": _YES_NO,
    "OKX_ORDER_ENTRY": _one_of("ws", "rest"),
    "OKX_MARGIN_MODE": _one_of("cross", "isolated"),
    "HITBTC_REPLAY": _YES_NO,
    "WS_PER_BOT": _YES_NO,
    "SPOT_BASE_INVENTORY": Rule("an amount of the base currency, 0 or more", _number(0, 1e15)),
    "SYMBOL": Rule("a symbol in capitals such as 'XBTUSD'", _is_symbol),
    "CONTRACTS": _NAMES,
    "STRATEGY": Rule(
        "a name such as 'layered', or a file and class such as 'my_strategy.py:MyClass'",
        lambda value: isinstance(value, str) and bool(value.strip()),
    ),
    "ORDER_PAIRS": _whole(1, 100),
    "ORDER_START_SIZE": _SIZE,
    "ORDER_STEP_SIZE": _STEP,
    "RANDOM_ORDER_SIZE": _or_none(_YES_NO),
    "MIN_ORDER_SIZE": _or_none(_SIZE),
    "MAX_ORDER_SIZE": _or_none(_SIZE),
    "TOPUP_BELOW": Rule("a number from 0 to 1", _number(0, 1)),
    "INTERVAL": _GAP,
    "MIN_SPREAD": _RATIO,
    "MAINTAIN_SPREADS": _YES_NO,
    "RELIST_INTERVAL": _RATIO,
    "POST_ONLY": _YES_NO,
    "CHECK_POSITION_LIMITS": _YES_NO,
    "MIN_POSITION": _POSITION,
    "MAX_POSITION": _POSITION,
    "MAX_OPEN_ORDERS": _or_none(_whole(1)),
    "PRICE_BAND": _or_none(_GAP),
    "MAX_LOSS": _or_none(_COINS),
    "MAX_DRAWDOWN": _or_none(_COINS),
    "ON_STOP": _one_of("cancel", "flatten", "keep"),
    "ON_STRATEGY_ERROR": _one_of("stop", "pull"),
    "STALE_AFTER": _WAIT,
    "DEADMAN_TIMEOUT": Rule(
        "0 or a number of seconds from 5 to 3600",
        lambda value: _number(0, 0)(value) or _number(5, 3600)(value),
    ),
    "GUARD": _or_none(
        Rule(
            "HOST:PORT such as '127.0.0.1:8100'",
            lambda value: isinstance(value, str) and bool(_ADDRESS.fullmatch(value)),
        )
    ),
    "POLL_INTERVAL": _WAIT,
    "CHECK_SPACING": _WAIT,
    "IDLE_CHECK": _WAIT,
    "DRY_RUN": _YES_NO,
    "DRY_BTC": _XBT,
    "MAKER_FEE": _or_none(_FEE),
    "TAKER_FEE": _or_none(_FEE),
    "EVENT_DRIVEN": _YES_NO,
    "LOOP_INTERVAL": _WAIT,
    "MIN_REQUOTE_INTERVAL": _SECONDS,
    "ORDER_BULK": _one_of("auto", True, False),
    "TIMEOUT": _WAIT,
    "API_REST_INTERVAL": _SECONDS,
    "API_ERROR_INTERVAL": _SECONDS,
    "ORDERID_PREFIX": Rule(
        f"text of 1 to {MAX_PREFIX} characters",
        lambda value: isinstance(value, str) and 1 <= len(value) <= MAX_PREFIX,
    ),
    "LOG_LEVEL": Rule("a level such as logging.INFO", _is_log_level),
    "WATCHED_FILES": _or_none(_NAMES),
    "STATE_DIR": _or_none(_PATH),
    "GRID_SEED": Rule(
        "'lastTicker', 'lastOwn', 'cont' or a price",
        lambda v: v in ("lastTicker", "lastOwn", "cont") or _number(0, 1e12, above=True)(v),
    ),
    "CLEAR_ORDERS": _or_none(_YES_NO),
    "GRID_KIND": _one_of("ppt", "fullfixed"),
    "GRID_SPACE": _PRICE,
    "GRID_QUANTITY_POWER": Rule("a number from -10 to 10", _number(-10, 10)),
    "GRID_BUY_LEVELS": _whole(1, 100),
    "GRID_SELL_LEVELS": _whole(1, 100),
    "GRID_BUY_QUANTITY": _PRICE,
    "GRID_SELL_QUANTITY": _PRICE,
    "STRICT_LEVELS": _YES_NO,
    "GRID_MIN_PRICE": _or_none(_PRICE),
    "GRID_MAX_PRICE": _or_none(_PRICE),
    "GRID_BASE_SCALE": _or_none(_whole(-12, 12)),
    "GRID_COUNTER_SCALE": _or_none(_whole(-12, 12)),
    "GRID_NO_QTY_CUTOFF": _YES_NO,
    "AVELLANEDA_MODEL": _one_of("rolling", "stationary"),
    "AVELLANEDA_HORIZON": _WAIT,
    "AVELLANEDA_GAMMA": _PRICE,
    "AVELLANEDA_TARGET": _whole(-math.inf),
    "AVELLANEDA_SIGMA": _BOUNDS,
    "AVELLANEDA_A": _BOUNDS,
    "AVELLANEDA_K": _BOUNDS,
    "AVELLANEDA_LEAST_SAMPLES": _whole(2, 100_000),
    "AVELLANEDA_SAMPLE_EVERY": Rule("a number of seconds from 1 to 3600", _number(1, 3600)),
    "AVELLANEDA_WINDOW": _whole(10, 100_000),
    "SIM_MARKET": _one_of("practice", "calm", "busy", "trending", "crash"),
    "SIM_DATA": _or_none(
        Rule("a path in quotes or a list of them", lambda v: _is_path(v) or (v and _is_names(v)))
    ),
    "SIM_SPEED": Rule("a number from 0.01 to 1000", _number(0.01, 1000)),
    "SIM_SEED": _or_none(_whole(0)),
    "SIM_BALANCE": Rule("XBT from 0 to 1000000", _number(0, 1e6)),
    "SIM_FAULT": _or_none(
        Rule(
            "a fault in quotes or a list of them",
            lambda v: bool(v) and (isinstance(v, str) or _is_names(v)),
        )
    ),
    "SIM_PROFILE": _one_of("classic", "last"),
}


# Sizes are whole contracts at BitMEX, and units of a currency elsewhere.
_WHOLE_SIZES = ("simulator", "bitmex")
_PARTS: dict[str, Rule] = {
    "ORDER_START_SIZE": Rule("a number above 0", _number(0, 1e12, above=True)),
    "ORDER_STEP_SIZE": Rule("a number, 0 or more", _number(0, 1e12)),
    "MIN_ORDER_SIZE": _or_none(Rule("a number above 0", _number(0, 1e12, above=True))),
    "MAX_ORDER_SIZE": _or_none(Rule("a number above 0", _number(0, 1e12, above=True))),
    "MIN_POSITION": Rule("a number", _number(-1e15, 1e15)),
    "MAX_POSITION": Rule("a number", _number(-1e15, 1e15)),
}


def _rule(name: str, values: Mapping[str, Any]) -> Rule:
    """What *name* may be at the exchange that *values* choose."""
    if values.get("EXCHANGE") in _WHOLE_SIZES:
        return RULES[name]
    return _PARTS.get(name, RULES[name])


def find_faults(values: Mapping[str, Any], where: Where) -> list[str]:
    """Every fault of *values*, one line each: setting, value, what is allowed, where it stands."""
    wrong = [name for name in RULES if not _rule(name, values).accepts(values.get(name))]
    faults = [_fault(name, values, where) for name in wrong]
    faults += [
        f"{name} ({where(name)}) is not a setting: did you mean {meant}?"
        for name in values
        if where(name) != "default" and (meant := misspelt(name))
    ]
    if "EXCHANGE" not in wrong and "BASE_URL" not in wrong:
        faults += _exchange_faults(values, where)
    faults += _pair_faults(values, where, wrong)
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
    shown = "(not shown)" if name in SECRETS else _short(value)
    line = f"{name} = {shown} ({where(name)}): must be {_rule(name, values).allowed}"
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
    elif not url and values.get("EXCHANGE") == "bitmex":
        yield (
            f"EXCHANGE = {values.get('EXCHANGE')!r} ({where('EXCHANGE')}) needs BASE_URL, the "
            "address of a server that speaks BitMEX's protocol"
        )
    elif not values.get("DRY_RUN"):
        for name in KEYS[str(values.get("EXCHANGE"))]:
            if not values.get(name):
                yield f"{name} is missing: put it into .env or the environment"


def _pair_faults(values: Mapping[str, Any], where: Where, wrong: list[str]) -> Iterator[str]:
    pairs = [("MIN_POSITION", "MAX_POSITION", True)]
    if values.get("RANDOM_ORDER_SIZE") is True:
        pairs.append(("MIN_ORDER_SIZE", "MAX_ORDER_SIZE", False))
    for low, high, strictly in pairs:
        if low in wrong or high in wrong:
            continue
        a, b = values.get(low), values.get(high)
        if a is None or b is None:
            yield f"RANDOM_ORDER_SIZE = True needs {low if a is None else high}"
        elif a > b or (strictly and a == b):
            words = "below" if strictly else "at most"
            yield f"{low} = {a} ({where(low)}): must be {words} {high} = {b} ({where(high)})"
