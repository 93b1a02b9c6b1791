"""Watches what this bot's instrument has lost, across restarts, and remembers a stop."""

import math
import sqlite3
from datetime import date
from functools import lru_cache

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.exchanges.state import LiveState
from market_maker.journal import Journal, write_notes
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import SIZE_DECIMALS
from market_maker.quoting.loss import Book, LossLimits, Marks, check_losses

_EPOCH = date(1970, 1, 1).toordinal()
_ODD_FOR_S = 5.0  # a position that the fills do not explain for so long was moved by others
_SUMMED = ("lastQty", "execCost", "execComm")
_BOOK, _PENDING, _STOP = "losses", "losses pending", "stop"


class LossWatch:
    """Books every execution and compares the result with where the run, the day and the best
    moment stood. Book and marks live in the journal; a loss while no bot runs counts as well."""

    def __init__(self, state: LiveState, journal: Journal, clock: Clock) -> None:
        self._state = state
        self._journal = journal
        self._clock = clock
        self._book, self._marks = Book(), Marks()
        # Executions that are not in the saved book yet, those of an earlier run too.
        self._pending: list[Row] = jsonx.loads(journal.get(_PENDING) or "[]")
        self._odd_since_s = math.inf
        self._has_begun = False
        self._saved = ""
        self._known: tuple[object, ...] = ()  # what it was made of

    @property
    def result(self) -> int | None:
        """Minor units won since the run began, or None before its first round."""
        known = self._market() if self._has_begun else None
        return self._book.result(*known) - self._marks.run_start if known else None

    def note(self, db: sqlite3.Connection, executions: list[Row]) -> None:
        """Executions that were not booked before, in the transaction that books them: whatever
        ends the run before the next `check`, they count."""
        pending = self._pending.copy()
        for row in executions:
            _append(pending, row)
        write_notes(db, {_PENDING: jsonx.dumps(pending)})
        self._pending = pending

    def check(self, limits: LossLimits) -> str:
        """Why trading must stop, or nothing. A stop is remembered until `resume`."""
        known = self._market()
        if known is None:
            return ""
        mark_price, contract = known
        with self._state.lock:
            if not self._has_begun:
                self._load()
            reckoned, self._pending = self._pending, []
            for row in reckoned:
                self._book.add(row, contract)
            self._agree(mark_price, contract)
            result = self._book.result(mark_price, contract)
            if not self._has_begun:
                self._has_begun, self._marks.run_start = True, result
                if not self._saved:  # nothing before counts
                    self._marks.peak = result
            self._marks.note(result, _day_of(int(self._clock.now() // 86_400)))
            self._save(is_due=bool(reckoned))
        reason = check_losses(result, self._marks, limits, contract.settle_currency)
        if reason:
            remember_stop(self._journal, reason)
        return reason

    def _market(self) -> tuple[float, Contract] | None:
        instrument = self._state.instrument()
        if not instrument or not instrument.get("markPrice"):
            return None
        return instrument["markPrice"], Contract.from_instrument(instrument)

    def _agree(self, mark_price: float, contract: Contract) -> None:
        """Take over the exchange's position where the executions do not lead to it."""
        low, high = self._state.position_range()
        if low == high == self._book.qty:
            self._odd_since_s = math.inf
            return
        now_s = self._clock.monotonic()
        self._odd_since_s = min(self._odd_since_s, now_s)
        if low == high and (not self._has_begun or now_s - self._odd_since_s > _ODD_FOR_S):
            self._book.adopt(low, mark_price, contract)

    def _load(self) -> None:
        self._saved = self._journal.get(_BOOK)
        if self._saved:
            saved = jsonx.loads(self._saved)
            self._book = Book(*saved["book"])
            self._marks = Marks(0, saved["day"], saved["day_start"], saved["peak"])

    def _save(self, *, is_due: bool) -> None:
        book, marks = self._book, self._marks
        known = book.qty, book.cost, book.fees, marks.day, marks.day_start, marks.peak
        if known == self._known:
            return
        self._known = known
        text = jsonx.dumps(
            {
                "book": [book.qty, book.cost, book.fees],
                "day": marks.day,
                "day_start": marks.day_start,
                "peak": marks.peak,
            }
        )
        if is_due or text != self._saved:
            self._journal.put_all({_BOOK: text, _PENDING: jsonx.dumps(self._pending)})
            self._saved = text


@lru_cache(maxsize=1)  # asked for in every round
def _day_of(number: int) -> str:
    """The day *number* since 1970, UTC."""
    return date.fromordinal(_EPOCH + number).isoformat()


def _append(pending: list[Row], row: Row) -> None:
    """Executions of one side that say what they cost are one: a burst of them is written down
    anew with each."""
    last = pending[-1] if pending else {}
    if _is_sum(row) and _is_sum(last) and last.get("side") == row.get("side"):
        sums = {name: round(last[name] + row[name], SIZE_DECIMALS) for name in _SUMMED}
        pending[-1] = {"execType": "Trade", "side": last.get("side"), **sums}
    else:
        pending.append(row)


def _is_sum(row: Row) -> bool:
    return row.get("execType") == "Trade" and all(row.get(name) is not None for name in _SUMMED)


def remember_stop(journal: Journal, reason: str) -> None:
    """Keep this bot from starting again, unless it is stopped already."""
    if not stop_of(journal):
        journal.put(_STOP, reason)


def stop_of(journal: Journal) -> str:
    """Why this bot was stopped, or nothing."""
    return journal.get(_STOP)


def resume(journal: Journal) -> None:
    """Let it start again, and measure losses from there."""
    journal.put_all({_BOOK: "", _PENDING: "", _STOP: ""})
