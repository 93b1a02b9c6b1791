"""Faults on demand, between the exchange and its clients.

`Faulty` (faulty_dialect.py) stands before a dialect. What a fault makes of a request is its
`Fate`: whether the exchange acts, when, and what is answered. An answer that never comes is told
as transports tell it: status 0. So every fault works in process on a manual clock as well as
over sockets; the twin and the hub do the waiting that a fate asks for.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

from market_maker.model.wire import Answer
from market_maker.simulator.dialects.bitmex import error_answer, route_path
from market_maker.simulator.exchange import Engine
from market_maker.simulator.fault_kinds import DEED, REQUEST, STATE, STREAM, BadFault, Fault, parse
from market_maker.simulator.instruments import iso_time
from market_maker.simulator.quirks import WHOLE

TIMED_OUT = Answer(0, None, {}, True, "timed out")
CONNECTION_LOST = Answer(0, None, {}, True, "connection lost")
REFUSED = Answer(0, None, {}, False, "connection refused")
BROKEN = error_answer(500, "Internal Server Error")
OVERLOADED = "The system is currently overloaded. Please try again later."  # BitMEX's words
BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


class Fate(NamedTuple):
    """What becomes of a request. Times are seconds."""

    before_s: float = 0.0  # until the exchange sees it
    acts: bool = True
    answer: Answer | None = None  # in place of the exchange's own
    after_s: float = 0.0  # until the answer leaves
    late_s: float | None = None  # acted on so much later, when nobody waits for it any more
    bounces: bool = False  # its post-only orders are cancelled
    is_broken: bool = False  # a yes that is a promise only is given, and not kept
    hold_s: float = 0.0  # how long its events wait, so that the answer overtakes them


UNHARMED = Fate()


class Faults:
    """The faults that are on, for all clients of one engine. Call it under the engine's lock."""

    def __init__(self, engine: Engine, seed: int | None = None) -> None:
        self.engine = engine
        self.active: list[Fault] = []
        self.is_frozen = False
        self.is_refusing = False
        self.on_close: list[Callable[[], None]] = []  # cut the streams
        self.on_change: list[Callable[[], None]] = []  # frozen or refusing turned
        self._rng = Random(seed)

    def add(self, text: str) -> Fault:
        """Begin the fault that *text* asks for; raises BadFault."""
        now_s = self.engine.now()
        fault = parse(text, now_s)
        symbol = str(fault.values.get("symbol", ""))
        if symbol and symbol.upper() not in self.engine.symbols():
            raise BadFault(f"The exchange has no symbol '{symbol}'.")
        self.active.append(fault)
        if fault.kind.group in (DEED, STATE):
            self.engine.call_at(fault.start_s, partial(self._strike, fault))
        if fault.end_s < float("inf"):
            self.engine.call_at(fault.end_s, partial(self._end, fault))
        return fault

    def clear(self, name: str = "") -> int:
        """End the faults of that name, or all; how many there were."""
        ended = [fault for fault in self.active if name in ("", fault.kind.name, fault.text)]
        for fault in ended:
            self._end(fault)
        return len(ended)

    def rows(self) -> list[dict[str, Any]]:
        """The faults that are on or still to come, for a person to read."""
        return [
            {
                "fault": fault.text,
                "start": iso_time(fault.start_s),
                "end": iso_time(fault.end_s) if fault.end_s < float("inf") else None,
                "hits": fault.hits,
            }
            for fault in self.active
        ]

    def fate(self, verb: str, path: str, account_no: int = 0) -> Fate:
        """What becomes of a request that arrives now; each fault that strikes has its say."""
        fate = UNHARMED
        for fault in self._striking(REQUEST):
            verbs, under = fault.word("verb").upper(), fault.word("path")
            if verbs and verb.upper() not in verbs.split("+"):
                continue
            if not route_path(path).startswith(under) or not _is_about(fault, account_no):
                continue
            if fault.strikes(self._rng):
                fate = _worsened(fate, fault)
        return fate

    def stream_faults(self, names: tuple[str, ...], account_no: int | None) -> list[Fault]:
        """The faults that strike a message now whose table has one of *names*."""
        return [
            fault
            for fault in self._striking(STREAM)
            if (not fault.word("table") or set(names) & set(fault.word("table").split("+")))
            and _is_about(fault, account_no or 0)
            and fault.strikes(self._rng)
        ]

    def _striking(self, group: str) -> list[Fault]:
        now_s = self.engine.now()
        return [f for f in self.active if f.kind.group == group and f.is_on(now_s)]

    def _strike(self, fault: Fault) -> None:
        if fault not in self.active:
            return
        fault.hits += 1
        if fault.kind.group == STATE:
            self._turn(fault, True)
            return
        self._do(fault)
        if fault.number("every") and fault.hits < fault.number("count"):
            again_s = fault.start_s + fault.hits * fault.number("every")
            self.engine.call_at(again_s, partial(self._strike, fault))
        else:
            self._end(fault)

    def _do(self, fault: Fault) -> None:
        """What happens at a moment."""
        engine = self.engine
        symbol = self._symbol(fault)
        match fault.kind.name:
            case "close":
                for cut in list(self.on_close):
                    cut()
            case "deadman":
                for account_no in self._accounts(fault):
                    engine.fire_timer(account_no)
            case "hand-trade":
                for account_no in self._accounts(fault):
                    engine.move_position(account_no, symbol, int(fault.number("qty")))
            case "liquidation":
                for account_no in self._accounts(fault):
                    engine.liquidate(account_no, symbol)
            case "deleveraging":
                for account_no in self._accounts(fault):
                    engine.deleverage(account_no, symbol, int(fault.number("qty")))
            case "funding":
                engine.fund(symbol)
            case "tick-size":
                spec = engine.instrument(symbol)
                tick_size = fault.number("size") or 2 * spec.tick_size
                engine.change_grid(symbol, tick_size, spec.lot_size)
            case "lot-size":
                spec = engine.instrument(symbol)
                lot_size = int(fault.number("size")) or 2 * spec.lot_size
                engine.change_grid(symbol, spec.tick_size, lot_size)

    def _turn(self, fault: Fault, is_on: bool) -> None:
        """Begin or end what lasts."""
        match fault.kind.name:
            case "clock-skew":
                self.engine.skew_s = fault.number("seconds") if is_on else 0.0
            case "small-fills":
                self.engine.quirks.fill_qty = max(1, int(fault.number("qty"))) if is_on else WHOLE
            case "closing":
                self.engine.close_symbol(self._symbol(fault), "Closed" if is_on else "Open")
            case "freeze":
                self.is_frozen = is_on
            case "refuse":
                self.is_refusing = is_on
        for listener in list(self.on_change):
            listener()

    def _end(self, fault: Fault) -> None:
        if fault in self.active:
            self.active.remove(fault)
            if fault.kind.group == STATE and fault.hits:
                others = [f for f in self.active if f.hits and self._is_alike(f, fault)]
                self._turn(others[-1] if others else fault, bool(others))

    def _is_alike(self, one: Fault, other: Fault) -> bool:
        """Whether two faults that last do the same thing to the same symbol."""
        return one.kind is other.kind and self._symbol(one) == self._symbol(other)

    def _symbol(self, fault: Fault) -> str:
        return fault.word("symbol").upper() or self.engine.symbols()[0]

    def _accounts(self, fault: Fault) -> list[int]:
        numbers = [account.number for account in self.engine.accounts()]
        return [number for number in dict.fromkeys(numbers) if _is_about(fault, number)]


def _is_about(fault: Fault, account_no: int) -> bool:
    return fault.number("account") in (0, account_no)


def _worsened(fate: Fate, fault: Fault) -> Fate:
    name = fault.kind.name
    match name:
        case "drop-request" | "drop-answer":
            lost = TIMED_OUT if fault.word("lost") == "timeout" else CONNECTION_LOST
            is_broken = fate.is_broken or bool(fault.values.get("promised"))
            acts = fate.acts and name == "drop-answer"
            return fate._replace(acts=acts, answer=lost, is_broken=is_broken)
        case "late-act":
            return fate._replace(acts=False, answer=TIMED_OUT, late_s=fault.number("seconds"))
        case "late-request":
            return fate._replace(before_s=fate.before_s + fault.number("seconds"))
        case "late-answer":
            return fate._replace(after_s=fate.after_s + fault.number("seconds"))
        case "post-only-cancelled":
            return fate._replace(bounces=True)
        case "answer-first":
            return fate._replace(hold_s=fault.number("seconds"))
    acts = fate.acts and bool(fault.number("acts"))
    return fate._replace(acts=acts, answer=fate.answer or _failure(fault))


def _failure(fault: Fault) -> Answer:
    match fault.kind.name:
        case "401":
            return error_answer(401, "Invalid API Key.")
        case "403":
            return error_answer(403, "Access Denied")
        case "429":
            wait_s = f"{fault.number('retry'):.0f}"
            text = f"Rate limit exceeded, retry in {wait_s} seconds."
            headers = {"retry-after": wait_s, "x-ratelimit-remaining": "0"}
            return error_answer(429, text, "RateLimitError")._replace(headers=headers)
        case "502":
            return Answer(502, BAD_GATEWAY, {})
        case "503":
            return error_answer(503, OVERLOADED)
    return BROKEN
