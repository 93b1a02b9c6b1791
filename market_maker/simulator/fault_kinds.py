"""The faults the built-in exchange can be asked for: their names, parameters and one-line syntax.

A fault is written NAME or NAME:key=value,key=value, such as `drop-answer:verb=POST,p=0.1`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from random import Random
from typing import NamedTuple

Value = float | str

REQUEST, STREAM, DEED, STATE = "request", "stream", "deed", "state"


class Kind(NamedTuple):
    """One sort of fault. `own` are its parameters beside those of its group, with defaults."""

    name: str
    group: str
    meaning: str
    own: Mapping[str, Value] = {}


class BadFault(ValueError):
    """The text names no fault; the message says why, in one line."""


# What every fault of a group understands. Times are seconds, of the exchange's clock.
_WHEN: Mapping[str, Value] = {"start": 0.0, "for": math.inf}
_HOW_OFTEN: Mapping[str, Value] = {"p": 1.0, "every": 1.0, "count": math.inf}
GROUPS: dict[str, Mapping[str, Value]] = {
    REQUEST: {**_WHEN, **_HOW_OFTEN, "verb": "", "path": "", "account": 0.0},
    STREAM: {**_WHEN, **_HOW_OFTEN, "table": "", "account": 0.0},
    DEED: {"start": 0.0, "every": 0.0, "count": 1.0, "symbol": "", "account": 0.0},
    STATE: {"start": 0.0, "for": math.inf, "symbol": ""},
}

_PRIVATE = "order+execution+position+margin"
_KINDS = (
    Kind(
        "drop-request",
        REQUEST,
        "lost on its way; promised=1: behind a promise of OKX",
        {"lost": "timeout", "promised": 0.0},
    ),
    Kind("drop-answer", REQUEST, "acted on, but the answer is lost", {"lost": "timeout"}),
    Kind("late-act", REQUEST, "no answer; acted on so much later", {"seconds": 9.0}),
    Kind("late-request", REQUEST, "arrives so much later", {"seconds": 1.0}),
    Kind("late-answer", REQUEST, "acted on at once, answered so much later", {"seconds": 1.0}),
    Kind("answer-first", REQUEST, "the answer overtakes its events", {"seconds": 0.5}),
    Kind("401", REQUEST, "answered Unauthorized, not acted on", {"acts": 0.0}),
    Kind("403", REQUEST, "answered Forbidden, not acted on", {"acts": 0.0}),
    Kind("429", REQUEST, "answered Too Many Requests", {"acts": 0.0, "retry": 5.0}),
    Kind("500", REQUEST, "answered Internal Server Error; acts=1: acted on", {"acts": 0.0}),
    Kind("502", REQUEST, "answered Bad Gateway in HTML; acts=1: acted on", {"acts": 0.0}),
    Kind("503", REQUEST, "answered with the overload text", {"acts": 0.0}),
    Kind("post-only-cancelled", REQUEST, "post-only orders are cancelled as if they crossed"),
    Kind("duplicate", STREAM, "a message comes twice"),
    Kind("reorder", STREAM, "a message comes after the next one", {"seconds": 1.0}),
    Kind("skip", STREAM, "a message never comes"),
    Kind("stale", STREAM, "the stream is silent but answers pings"),
    Kind("late-event", STREAM, "messages come so much later", {"seconds": 1.0, "table": _PRIVATE}),
    Kind(
        "late-position",
        STREAM,
        "the position row comes late",
        {"seconds": 1.0, "table": "position"},
    ),
    Kind("hand-trade", DEED, "another hand of the account trades", {"qty": 100.0}),
    Kind("liquidation", DEED, "the position is liquidated"),
    Kind("deleveraging", DEED, "so much of the position is deleveraged", {"qty": 100.0}),
    Kind("funding", DEED, "longs pay shorts the funding rate, or get it"),
    Kind("deadman", DEED, "the dead man's switch fires: all orders are cancelled"),
    Kind("tick-size", DEED, "the tick size changes; 0: to twice what it was", {"size": 0.0}),
    Kind("lot-size", DEED, "the lot size changes; 0: to twice what it was", {"size": 0.0}),
    Kind("close", DEED, "every WebSocket connection is cut"),
    Kind("closing", STATE, "the symbol is closed to trading"),
    Kind("small-fills", STATE, "orders fill so many contracts at a time", {"qty": 1.0}),
    Kind(
        "clock-skew",
        STATE,
        "the exchange's clock is so far ahead",
        {"seconds": 30.0},
    ),
    Kind("freeze", STATE, "the stream's sockets carry nothing, not even pongs", {"for": 10.0}),
    Kind("refuse", STATE, "new connections are refused", {"for": 5.0}),
)
KINDS = {kind.name: kind for kind in _KINDS}

_YEAR_S = 31_536_000.0
_BOUNDS = {
    **dict.fromkeys(("start", "for", "retry"), (0.0, _YEAR_S)),
    "seconds": (-_YEAR_S, _YEAR_S),
    "p": (0.0, 1.0),
    **dict.fromkeys(("acts", "promised"), (0.0, 1.0)),
    **dict.fromkeys(("every", "count", "account"), (0.0, 1e9)),
    "size": (0.0, 1e4),
    "qty": (-1e7, 1e7),
}
_ENDLESS = frozenset({"for", "count"})
_WHOLE = frozenset({"qty", "account"})
_SHORTEST_S = 0.1  # between two deeds of one fault
_CHOICES = {"lost": ("timeout", "cut")}


@dataclass(slots=True, eq=False)
class Fault:
    """A fault that was asked for. Times are Unix seconds of the exchange."""

    text: str  # as written
    kind: Kind
    values: dict[str, Value]
    start_s: float
    end_s: float
    seen: int = 0  # requests or messages it might have struck
    hits: int = 0  # ... and did strike

    def number(self, name: str) -> float:
        return float(self.values[name])

    def word(self, name: str) -> str:
        return str(self.values[name])

    def is_on(self, now_s: float) -> bool:
        return self.start_s <= now_s < self.end_s

    def strikes(self, rng: Random) -> bool:
        """Whether it strikes now that something it is about came along."""
        self.seen += 1
        if self.hits >= self.number("count") or self.seen % max(1, int(self.number("every"))):
            return False
        if self.number("p") < 1 and rng.random() >= self.number("p"):
            return False
        self.hits += 1
        return True


def parse(text: str, now_s: float = 0.0) -> Fault:
    """The fault that *text* asks for, counted from *now_s*; raises BadFault."""
    name, _, rest = text.strip().partition(":")
    kind = KINDS.get(name.lower())
    if kind is None:
        nearest = get_close_matches(name.lower(), KINDS, 1)
        hint = f"did you mean {nearest[0]}?" if nearest else "'--fault help' lists them."
        raise BadFault(f"No fault is named '{name}': {hint}")
    values = {**GROUPS[kind.group], **kind.own}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, _, given = part.partition("=")
        if key not in values:
            raise BadFault(f"{kind.name} knows no '{key}'; it knows {', '.join(values)}.")
        values[key] = _read(key, given, values[key])
    if kind.name != "clock-skew" and float(values.get("seconds", 0)) < 0:
        raise BadFault(f"seconds of {kind.name} is 0 or more, was {values['seconds']:g}.")
    if kind.group == DEED and 0 < float(values["every"]) < _SHORTEST_S:
        raise BadFault(f"{kind.name} comes every {_SHORTEST_S:g} s at most.")
    start_s = now_s + float(values["start"])
    return Fault(text.strip(), kind, values, start_s, start_s + float(values.get("for", math.inf)))


def _read(key: str, given: str, default: Value) -> Value:
    if isinstance(default, str):
        if key in _CHOICES and given not in _CHOICES[key]:
            raise BadFault(f"{key} is {' or '.join(_CHOICES[key])}, was '{given}'.")
        return given
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    low, high = _BOUNDS.get(key, (-math.inf, math.inf))
    if key in _ENDLESS and number == math.inf:
        return number
    if not low <= number <= high:
        raise BadFault(f"{key} is a number from {low:.10g} to {high:.10g}, was '{given}'.")
    if key in _WHOLE and (number != int(number) or (key == "qty" and not number)):
        raise BadFault(f"{key} is a whole number{' other than 0' * (key == 'qty')}, was '{given}'.")
    return number


def help_text() -> str:
    """The table of all faults for a terminal of 80 columns."""
    lines = ["A fault is NAME or NAME:key=value,key=value. Times are seconds.", ""]
    titles = {
        REQUEST: "REST requests",
        STREAM: "stream messages",
        DEED: "what happens at a moment",
        STATE: "what lasts",
    }
    for group, title in titles.items():
        keys = ", ".join(_shown(key, value) for key, value in GROUPS[group].items())
        lines += [f"{title} ({keys})"]
        for kind in (kind for kind in KINDS.values() if kind.group == group):
            lines.append(f"  {kind.name:<20} {kind.meaning}")
            if kind.own:
                own = ", ".join(_shown(key, value) for key, value in kind.own.items())
                lines.append(f"  {'':<20} {own}")
        lines.append("")
    return "\n".join(lines)


def _shown(key: str, value: Value) -> str:
    if value in ("", math.inf) or (key == "account" and not value):
        return key
    return f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
