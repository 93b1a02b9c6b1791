"""The setting BOTS: what differs for each of several bots, and the faults of such a list."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from market_maker._settings_rules import RULES
from market_maker._settings_venues import KEYS
from market_maker.utils.errors import SettingsError

# What all bots have in common: one exchange, one folder.
_OF_ALL = frozenset({"BOTS", "STATE_DIR", *(name for name in RULES if name.startswith("SIM_"))})

_NAME = re.compile(r"[\w.][\w.:/-]{0,19}")


class Entry(NamedTuple):
    """One of BOTS."""

    number: int  # its index in the list
    name: str
    symbol: str
    values: dict[str, Any]  # settings, by their names in capitals

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"BOTS[{self.number}] ({self.name})"


def read_entries(bots: Any) -> list[Entry]:
    """The bots of the list. Raises SettingsError with one line for each fault."""
    if bots is None:
        return []
    if not isinstance(bots, list | tuple):
        raise SettingsError(["BOTS: must be a list such as [{'symbol': 'XBTUSD'}, ...]"])
    entries, faults = [], []
    for number, given in enumerate(bots):
        entry = _read(number, given)
        if isinstance(entry, str):
            faults.append(entry)
            continue
        entries.append(entry)
        faults += [f"{entry.label}: {fault}" for fault in _faults(given)]
    faults += [
        f"{b.label}: BOTS[{a.number}] has this name too: give one of them a 'name' of its own"
        for a, b in combinations(entries, 2)
        if a.name == b.name
    ]
    if faults:
        raise SettingsError(faults)
    return entries


def choose(entries: list[Entry], name: str | None, symbol: str | None) -> Entry | None:
    """The bot of that *name*, or else the one that trades *symbol*, if there is one.

    Raises SettingsError where the words do not tell which is meant.
    """
    names = ", ".join(entry.name for entry in entries) or "none"
    if name is not None:
        found = [entry for entry in entries if entry.name == name]
        if not found:
            raise SettingsError([f"BOTS has no bot '{name}': it has {names}"])
        if symbol and symbol != found[0].symbol:
            raise SettingsError([f"The bot '{name}' trades {found[0].symbol}, not {symbol}"])
        return found[0]
    found = [entry for entry in entries if entry.symbol == symbol]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise SettingsError([f"BOTS has several bots for {symbol}: choose one, --bot {names}"])
    return found[0] if found else None


def find_conflicts(bots: list[tuple[Entry, Mapping[str, Any]]]) -> Iterator[str]:
    """Why these bots, with all their settings, cannot trade beside each other."""
    for (a, one), (b, two) in combinations(bots, 2):
        ours, theirs = str(one.get("ORDERID_PREFIX")), str(two.get("ORDERID_PREFIX"))
        if _market(one) != _market(two):
            continue
        if ours == theirs:
            yield (
                f"{b.label}: trades {b.symbol} on one account with {a.label}: "
                f"give one of them an ORDERID_PREFIX of its own"
            )
        elif ours.startswith(theirs) or theirs.startswith(ours):
            yield (
                f"{b.label}: ORDERID_PREFIX {theirs!r} and {ours!r} of {a.label} begin alike: "
                "each would take the other's orders for its own"
            )
        elif "decision" in (one.get("STRATEGY"), two.get("STRATEGY")):
            yield (
                f"{b.label}: trades {b.symbol} on one account with {a.label}: "
                "'decision' takes the whole position for its own"
            )
    for (a, one), (b, two) in combinations(bots, 2):
        file = one.get("USE_LOG_FILE")
        if not isinstance(file, bool | None) and file == two.get("USE_LOG_FILE"):
            yield f"{b.label}: USE_LOG_FILE is that of {a.label} too: True gives each its own"
    symbols = {str(values.get("SYMBOL")) for _, values in bots if values.get("SIM_DATA")}
    if len(symbols) > 1:
        yield f"SIM_DATA replays one symbol, and BOTS has {', '.join(sorted(symbols))}"


def _read(number: int, given: Any) -> Entry | str:
    """The entry, or its fault where it cannot be told which bot is meant."""
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        return f"BOTS[{number}]: must be a dict such as {{'symbol': 'XBTUSD', 'strategy': 'grid'}}"
    values = {_setting(key): value for key, value in given.items() if key != "name"}
    symbol, name = values.get("SYMBOL"), given.get("name", values.get("SYMBOL"))
    if not symbol or not isinstance(symbol, str) or symbol != symbol.upper():
        return f"BOTS[{number}]: needs a 'symbol' in capitals such as 'XBTUSD'"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"BOTS[{number}] ({symbol}): 'name' must be a word of 1 to 20 characters"
    return Entry(number, name, symbol, values)


def _faults(given: Mapping[str, Any]) -> Iterator[str]:
    names = [_setting(key) for key in given]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"{name} is given twice"
        if name in _OF_ALL:
            yield f"{name} is the same for all bots: set it outside BOTS"


def _setting(key: str) -> str:
    """ "symbol" and "strategy" stand for our settings; names of the user's own stay as they are."""
    return key.upper() if key.upper() in RULES else key


def _market(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two bots of the same account and symbol have in common."""
    exchange = values.get("EXCHANGE")
    key = tuple(values.get(name) for name in KEYS.get(str(exchange), ()))
    return exchange, values.get("BASE_URL"), values.get("SYMBOL"), key
