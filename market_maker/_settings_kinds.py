"""The kinds of values that settings have: each with the words for what is allowed."""

import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from market_maker._settings_venues import EXCHANGES


class Rule(NamedTuple):
    """One setting: the words for what it may be, and the test of a value."""

    allowed: str
    accepts: Callable[[Any], bool]


def number(low: float, high: float, *, above: bool = False) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and low <= value <= high and not (above and value == low)

    return accepts


def whole(low: float, high: float = math.inf) -> Rule:
    def accepts(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    limits = "" if low == -math.inf else f" of at least {low}"
    limits = f" from {low} to {high}" if high != math.inf else limits
    return Rule(f"a whole number{limits}", accepts)


def one_of(*values: Any) -> Rule:
    def accepts(value: Any) -> bool:
        return any(type(value) is type(known) and value == known for known in values)

    return Rule(" or ".join(repr(value) for value in values), accepts)


def or_none(rule: Rule) -> Rule:
    return Rule(f"None or {rule.allowed}", lambda value: value is None or rule.accepts(value))


def is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_symbol(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value == value.upper()


def is_source(value: Any) -> bool:
    """A symbol of this exchange, or one of another venue that needs no address."""
    if not isinstance(value, str):
        return False
    name, _, symbol = value.rpartition(":")
    is_known = not name or (name in EXCHANGES and name not in ("simulator", "bitmex"))
    return is_known and is_symbol(symbol)


def is_log_level(value: Any) -> bool:
    if isinstance(value, str):
        return value in logging.getLevelNamesMapping()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_tiers(value: Any) -> bool:
    """Ticks by tiers of something, or None for none at all."""
    fits = or_none(whole(0)).accepts
    return isinstance(value, list | tuple) and bool(value) and all(map(fits, value))


def is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def is_bounds(value: Any) -> bool:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return is_pair and all(map(number(0, 1e12, above=True), value)) and value[0] <= value[1]


def is_path(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or hasattr(value, "__fspath__"))


SIZE = Rule("a number above 0", number(0, 1e15, above=True))
STEP = Rule("a number of at least 0", number(0, 1e15))
POSITION = Rule("a number", number(-1e15, 1e15))
YES_NO = one_of(True, False)
TEXT = Rule("text in quotes", lambda value: isinstance(value, str))
PATH = Rule("a path in quotes", is_path)
NAMES = Rule("a list of texts", is_names)
SECONDS = Rule("a number of seconds, 0 or more", number(0, 86_400))
WAIT = Rule("a number of seconds above 0", number(0, 86_400, above=True))
RATIO = Rule("a ratio from 0 to below 1 (0.01 is 1 %)", number(0, 1 - 1e-12))
GAP = Rule("a ratio above 0 and below 1 (0.01 is 1 %)", number(0, 1 - 1e-12, above=True))
FEE = Rule("a ratio between -0.1 and 0.1 (0.0005 is 0.05 %)", number(-0.1, 0.1))
COINS = Rule("an amount above 0 in the settlement currency", number(0, 1e12, above=True))
XBT = Rule("an amount of XBT above 0", number(0, 21e6, above=True))

BOUNDS = Rule("two numbers above 0, the smaller first", is_bounds)
PRICE = Rule("a number above 0", number(0, 1e12, above=True))
