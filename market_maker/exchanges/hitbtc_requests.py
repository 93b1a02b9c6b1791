"""Requests over HitBTC's trading stream, each kept until an answer or a query settles it.

Answers are matched by an id that nobody guesses. A request whose answer did not come is of
unknown outcome: it stays here, so that after a new connection a cancel can be repeated, which
does no harm, and with `replays` a new order too, under its own client order id, which the venue
takes once a day only. That is off by default: a price that was right then is seldom right now,
and without it the order is forgotten once it is proven absent. Replaces are never repeated.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from market_maker.clock import Clock
from market_maker.exchanges.chains import HITBTC
from market_maker.exchanges.hitbtc_orders import CANCEL, NEW, Call
from market_maker.model.wire import Answer, Stream

_REPLAY_WITHIN_S = 5.0  # what is older is left to be proven absent
_KEPT = 1_000
_LOST = "the stream was lost"


@dataclass(slots=True)
class _Sent:
    """A request on its way."""

    number: int
    call: Call
    sent_s: float
    has_come: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    report: Mapping[str, Any] | None = None  # it was done, says the stream
    is_waited_for: bool = True

    def is_done_by(self, report: Mapping[str, Any]) -> bool:
        """Whether *report* shows that the request was carried out."""
        params, wire_id = self.call.params, report.get("client_order_id")
        if self.call.method == CANCEL:
            return bool(params["client_order_id"] == wire_id and report.get("status") in HITBTC.cut)
        entered = params.get("new_client_order_id", params["client_order_id"])
        return bool(entered == wire_id)


class Requests:
    """Calls over a stream; `reply` is fed by the receive thread.

    `on_late(call, answer)` hears of answers that nobody waits for any more.
    """

    def __init__(
        self,
        stream: Stream,
        clock: Clock,
        timeout_s: float,
        on_late: Callable[[Call, Answer], None],
        *,
        replays: bool = False,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._timeout_s = timeout_s
        self._on_late = on_late
        self._replays = replays
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._lock = threading.Lock()

    def outstanding(self) -> list[Call]:
        """Requests that nothing has settled yet, oldest first."""
        with self._lock:
            return [sent.call for sent in self._sent.values()]

    def call(self, calls: Sequence[Call]) -> list[Answer]:
        """Send all, then wait for each answer: the result or the error, as the body."""
        waiting = [self._send(call) for call in calls]
        deadline_s = self._clock.monotonic() + self._timeout_s
        for sent in waiting:
            if sent.answer is None:
                self._clock.wait(sent.has_come, deadline_s - self._clock.monotonic())
        with self._lock:
            for sent in waiting:
                sent.is_waited_for = False
                if sent.report is not None and self._sent.pop(sent.number, None) is not None:
                    sent.answer = Answer(200, sent.report, {})  # in place of one that is lost
        return [sent.answer or _nothing("timed out") for sent in waiting]

    def reply(self, message: Mapping[str, Any]) -> None:
        """An answer came; a repeated or foreign one changes nothing."""
        number = message.get("id")
        with self._lock:
            sent = self._sent.pop(number, None) if isinstance(number, int) else None
            if sent is None:
                return
            body = message.get("result") if "error" not in message else message
            answer = Answer(200, body, {})
            is_late = not sent.is_waited_for or sent.answer is not None
            sent.answer = sent.answer or answer
        sent.has_come.set()
        if is_late:
            self._on_late(sent.call, answer)

    def see(self, report: Mapping[str, Any]) -> None:
        """A report came by itself: it settles what it shows to be done."""
        with self._lock:
            for number, sent in list(self._sent.items()):
                if sent.is_done_by(report):
                    sent.report = dict(report)
                    if not sent.is_waited_for:
                        del self._sent[number]

    def lose(self) -> None:
        """The connection is gone, and no answer comes any more."""
        with self._lock:
            for sent in self._sent.values():
                sent.answer = sent.answer or _nothing(_LOST)
                sent.has_come.set()

    def settle(self, order_id: str) -> None:
        """A query has told how all that was asked of the order ended."""
        with self._lock:
            for number, sent in list(self._sent.items()):
                if sent.call.order_id == order_id and not sent.is_waited_for:
                    del self._sent[number]

    def reconcile(self, open_ids: Collection[str]) -> None:
        """A new connection has shown what is open, by client order id: repeat what may be."""
        with self._lock:
            found = [s for s in self._sent.values() if not s.is_waited_for or s.answer is not None]
        now_s = self._clock.monotonic()
        for sent in found:
            is_open = sent.call.params["client_order_id"] in open_ids
            is_young = now_s - sent.sent_s <= _REPLAY_WITHIN_S
            if sent.call.method == NEW:
                repeats, is_settled = self._replays and is_young and not is_open, is_open
            elif sent.call.method == CANCEL:
                repeats, is_settled = is_open, not is_open
            else:
                repeats, is_settled = False, False
            if is_settled:
                with self._lock:
                    self._sent.pop(sent.number, None)
            elif repeats:
                self._write(sent)

    def _send(self, call: Call) -> _Sent:
        number = secrets.randbits(52)
        sent = _Sent(number, call, self._clock.monotonic())
        with self._lock:
            self._sent[number] = sent
            while len(self._sent) > _KEPT:
                self._sent.popitem(last=False)
        if not self._write(sent):
            sent.answer = _nothing(_LOST)
        return sent

    def _write(self, sent: _Sent) -> bool:
        frame = {"method": sent.call.method, "params": sent.call.params, "id": sent.number}
        try:
            self._stream.send(frame)
        except ConnectionError:
            return False
        return True


def _nothing(why: str) -> Answer:
    return Answer(0, None, {}, sent=True, error=why)
