"""A dialect whose wire breaks as the faults say."""

import copy
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from market_maker.model.wire import Answer, Request
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_feed import Message, Scoped
from market_maker.simulator.events import Event
from market_maker.simulator.exchange import Account, Engine
from market_maker.simulator.faults import BROKEN, UNHARMED, Fate, Faults

Deliver = Callable[[list[Scoped]], None]
Reply = Callable[[Answer], None]


class Faulty:
    """Stands before a dialect, as a class before it in a list of bases, and breaks its wire.

    `deliver` sends what was held back.
    """

    engine: Engine
    faults: Faults

    def break_by(self, faults: Faults) -> None:
        """Let *faults* strike from now on."""
        self.faults = faults
        self.deliver: Deliver = _nowhere
        self._held_until: dict[int, float] = {}  # account -> when its events go on
        self._overtaken: list[Scoped] = []  # messages that let the next one pass

    def fate(self, request: Request, account: Account | None) -> Fate:
        """What becomes of a request that arrives now."""
        if not self.faults.active:
            return UNHARMED
        return self.faults.fate(request.verb, request.path, account.number if account else 0)

    def meet(self, fate: Fate, request: Request, account: Account | None) -> Answer:
        """Act on *request* as *fate* has it, at once; the waiting is the caller's."""
        if fate.hold_s and account is not None:
            until_s = self.engine.now() + fate.hold_s
            self._held_until[account.number] = until_s
        if fate.late_s is not None:
            act = partial(self._act, request, account)
            self.engine.call_at(self.engine.now() + fate.late_s, act)
        if fate.is_broken and self.is_promised(request):
            fate = fate._replace(acts=True, answer=None)
            self.engine.quirks.breaks_promises = True
        self.engine.quirks.bounces_post_only = fate.bounces
        own = self._act(request, account) if fate.acts else None
        self.engine.quirks.bounces_post_only = self.engine.quirks.breaks_promises = False
        answer = self.worded(fate.answer) if fate.answer else own or self.worded(BROKEN)
        if not self.engine.skew_s:
            return answer
        return answer._replace(body=self.shifted(answer.body, self.engine.skew_s))

    def is_promised(self, request: Request) -> bool:
        """Whether a yes to *request* comes before the deed, where a dialect has such."""
        del request
        return False

    def worded(self, answer: Answer) -> Answer:
        """A failure of the wire, given in BitMEX's form, in the dialect's own."""
        return answer

    def shifted(self, body: Any, seconds: float) -> Any:
        """A copy of *body* with its times moved."""
        return shift_times(body, seconds)

    def names_of(self, table: str) -> tuple[str, ...]:
        """What faults may call the messages of *table*."""
        return (table,)

    def ask(self, request: Request, account: Account | None, reply: Reply) -> None:
        """Act on a call that came by the stream; *reply* hears its answer, if one comes."""
        fate = self.fate(request, account)

        def arrive() -> None:
            answer = self.meet(fate, request, account)
            if answer.status:
                self._after(fate.after_s, partial(reply, answer))

        self._after(fate.before_s, arrive)

    def _after(self, seconds: float, step: Callable[[], object]) -> None:
        if seconds:
            self.engine.call_at(self.engine.now() + seconds, step)
        else:
            step()

    def _act(self, request: Request, account: Account | None) -> Answer:
        answer: Answer = super().handle(request, account)  # type: ignore[misc]
        return answer

    def handle(self, request: Request, account: Account | None) -> Answer:
        return self.meet(self.fate(request, account), request, account)

    def render(self, event: Event) -> list[Scoped]:
        messages: list[Scoped] = super().render(event)  # type: ignore[misc]
        if not (self.faults.active or self._overtaken or self._held_until):
            return messages
        out: list[Scoped] = []
        for scoped in messages:
            out += self._struck(scoped)
        return out

    def _struck(self, scoped: Scoped) -> list[Scoped]:
        """What goes out now in place of one message."""
        scope, message = scoped
        now_s = self.engine.now()
        if self.engine.skew_s:
            scoped = (scope, self.shifted(message, self.engine.skew_s))
        due_s = self._held_until.get(scope.account or 0, 0.0)
        if scope.account is not None and due_s <= now_s:
            self._held_until.pop(scope.account, None)
        out = [scoped]
        for fault in self.faults.stream_faults(self.names_of(scope.table), scope.account):
            match fault.kind.name:
                case "skip" | "stale":
                    return []
                case "duplicate":
                    out.append(copy.deepcopy(scoped))
                case "reorder" if not self._overtaken:
                    self._overtaken += out
                    self.engine.call_at(now_s + fault.number("seconds"), self._catch_up)
                    return []
                case "late-event" | "late-position":
                    due_s = max(due_s, now_s + fault.number("seconds"))
        if due_s > now_s:
            self.engine.call_at(due_s, partial(self._deliver, out))
            return []
        overtaken, self._overtaken = self._overtaken, []
        return out + overtaken

    def _catch_up(self) -> None:
        overtaken, self._overtaken = self._overtaken, []
        self.deliver(overtaken)

    def _deliver(self, messages: list[Scoped]) -> None:
        self.deliver(messages)


class FaultyDialect(Faulty, Dialect):
    """BitMEX's dialect on a wire that breaks."""

    def __init__(self, engine: Engine, profile: str, faults: Faults) -> None:
        super().__init__(engine, profile)
        self.break_by(faults)

    def partial(self, table: str, symbol: str | None, account: int | None) -> Message:
        image = super().partial(table, symbol, account)
        shifted: Message = shift_times(image, self.engine.skew_s) if self.engine.skew_s else image
        return shifted


def _nowhere(messages: list[Scoped]) -> None:
    """Nobody listens yet."""


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def shift_times(value: Any, seconds: float) -> Any:
    """A copy of rows with every ISO time in them moved by *seconds*."""
    if isinstance(value, dict):
        return {name: shift_times(item, seconds) for name, item in value.items()}
    if isinstance(value, list):
        return [shift_times(item, seconds) for item in value]
    if isinstance(value, str) and _TIME.fullmatch(value):
        moved = datetime.fromisoformat(value) + timedelta(seconds=seconds)
        return moved.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moved.microsecond // 1000:03d}Z"
    return value
