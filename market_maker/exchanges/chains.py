"""One order of the bot through all the client ids it has where an amend gives it a new one.

A replace cancels the order and enters another under a new client id. Above, that is one order
still: its `orderID` is the first id without the last four characters, which count the replaces.
So each id tells by itself which order it belongs to, also after a restart, and the journal's
record of an amend, which names the `orderID` before anything is sent, names all ids.

Reports and answers come in either order and more than once; here each is placed in its chain.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from market_maker.exchanges.client_ids import ClientIds, base62
from market_maker.exchanges.okx_rows import decimal
from market_maker.exchanges.order_memory import OrderMemory

Raw = Mapping[str, Any]

SUFFIX = 4  # characters that count the replaces
_FIRST = "0" * SUFFIX
_GENERATIONS = 62**SUFFIX
_PER_S = 100.0
_PAST = 1_000  # ids of one order of which late reports may still come


class Words(NamedTuple):
    """How a venue tells of one id, where two venues differ."""

    executed: str  # the column of what was filled under it
    cut: frozenset[str]  # statuses: it ended, and not by being filled
    whole: str  # status: all of it was filled
    counts_anew: bool  # each id counts its own fills; False: not documented

    def is_dead(self, raw: Raw) -> bool:
        return raw.get("status") in self.cut or raw.get("status") == self.whole


BINANCE = Words(
    executed="executedQty",
    cut=frozenset({"CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"}),
    whole="FILLED",
    counts_anew=True,
)
HITBTC = Words(
    executed="quantity_cumulative",
    cut=frozenset({"canceled", "expired"}),
    whole="filled",
    counts_anew=False,
)


class Reading(NamedTuple):
    """What the bot's order looks like by the latest report of it."""

    order_id: str
    raw: Raw
    before: Decimal  # filled under earlier ids


@dataclass(slots=True)
class _Chain:
    wire_id: str  # the id it has, as far as we know
    raw: Raw | None = None  # the last report under that id
    filled: Decimal = Decimal(0)  # under that id
    before: Decimal = Decimal(0)  # under those it had before
    past: dict[str, Decimal] = field(default_factory=dict)  # ids it had -> filled
    wanted: str = ""  # the id that a replace on its way gives it
    number: int = 0  # of the last replace, so that no id comes twice
    end: Raw | None = None  # it was cancelled, maybe by that replace


class Chains:
    """All orders of one account. *now* tells Unix seconds, from which new ids are made."""

    def __init__(self, ids: ClientIds, now: Callable[[], float], words: Words) -> None:
        self._ids, self._now, self._words = ids, now, words
        self._chains: OrderMemory[_Chain] = OrderMemory()
        self._lock = threading.RLock()  # answers are read by who waits, reports by the receiver

    # -- ids -----------------------------------------------------------------------------------

    def order_id(self, wire_id: str) -> str:
        """Which order of the bot an id belongs to; somebody else's stands for itself."""
        is_ours = wire_id.startswith(self._ids.tag) and len(wire_id) > len(self._ids.tag) + SUFFIX
        return wire_id[:-SUFFIX] if is_ours else wire_id

    def cl_ord_id(self, order_id: str) -> str:
        return self._ids.decode(order_id)

    def order_id_of(self, cl_ord_id: str) -> str:
        """Raises ValueError for an id that does not fit."""
        return self._ids.encode(cl_ord_id)

    def first_id(self, cl_ord_id: str) -> str:
        """The id of a new order; raises ValueError for one that does not fit."""
        return self.order_id_of(cl_ord_id) + _FIRST

    def ids(self, order_id: str) -> list[str]:
        """The ids under which it may be live, the newest first."""
        with self._lock:
            chain = self._chains.get(order_id)
            if chain is None:
                return [order_id + (_FIRST if order_id.startswith(self._ids.tag) else "")]
            return [name for name in (chain.wanted, chain.wire_id) if name]

    def filled(self, order_id: str) -> tuple[Decimal, Decimal]:
        """(under all its ids, under the one it has)."""
        with self._lock:
            chain = self._chains.get(order_id)
            return (chain.before + chain.filled, chain.filled) if chain else (Decimal(0),) * 2

    def last(self, order_id: str) -> Raw | None:
        """The latest report under the id it has."""
        with self._lock:
            chain = self._chains.get(order_id)
            return chain.raw if chain else None

    def before(self, wire_id: str) -> Decimal | None:
        """What was filled before under earlier ids, of an id that is the order's own now."""
        with self._lock:
            chain = self._chains.get(self.order_id(wire_id))
            return chain.before if chain and chain.wire_id == wire_id else None

    # -- a replace -----------------------------------------------------------------------------

    def begin_replace(self, order_id: str) -> str:
        """The new id for a replace that is about to be sent; no id is ever made twice."""
        with self._lock:
            chain = self._chains.get(order_id) or _Chain(self.ids(order_id)[-1])
            while True:
                chain.number = max(chain.number + 1, int(self._now() * _PER_S))
                name = order_id + base62(chain.number % _GENERATIONS, SUFFIX)
                if name != chain.wire_id and name not in chain.past:
                    chain.wanted = name
                    self._keep(order_id, chain)
                    return name

    def end_replace(self, order_id: str) -> Reading | None:
        """The replace came to nothing: how the order ended, if it did."""
        with self._lock:
            chain = self._chains.get(order_id)
            if chain is None:
                return None
            chain.wanted, end, chain.end = "", chain.end, None
            chain.raw = chain.raw if end is None else end
            self._keep(order_id, chain)
            return None if end is None else Reading(order_id, end, chain.before)

    # -- what the venue says -------------------------------------------------------------------

    def read(self, raw: Raw) -> Reading | None:
        """Place a report: how the order stands now, or None where that is not known yet."""
        wire_id = str(raw.get("client_order_id") or "")
        order_id = self.order_id(wire_id)
        with self._lock:
            chain = self._chains.get(order_id) or _Chain(wire_id)
            reading = self._place(raw, wire_id, order_id, chain)
            self._keep(order_id, chain)
            return reading

    def _place(self, raw: Raw, wire_id: str, order_id: str, chain: _Chain) -> Reading | None:
        words, filled = self._words, decimal(raw.get(self._words.executed))
        if wire_id in chain.past:
            return self._late(order_id, chain, wire_id, filled)
        if wire_id != chain.wire_id:
            _move_on(chain, wire_id, words.counts_anew or filled < chain.filled)
        chain.filled = max(chain.filled, filled)
        if raw.get("status") in words.cut and chain.wanted:
            chain.end = raw  # by the replace itself, or for good: its answer tells
            return None
        if chain.raw is None or words.is_dead(raw) or not words.is_dead(chain.raw):
            chain.raw = raw
        return Reading(order_id, raw, chain.before)

    def _keep(self, order_id: str, chain: _Chain) -> None:
        has_ended = chain.raw is not None and self._words.is_dead(chain.raw)
        self._chains.put(order_id, chain, rests=bool(chain.wanted) or not has_ended)

    def _late(self, order_id: str, chain: _Chain, wire_id: str, filled: Decimal) -> Reading | None:
        """A report under an id that it has no more matters only for what it had filled."""
        more = filled - chain.past[wire_id]
        if more <= 0 or chain.raw is None:
            return None
        chain.past[wire_id], chain.before = filled, chain.before + more
        return Reading(order_id, chain.raw, chain.before)


def _move_on(chain: _Chain, wire_id: str, counts_anew: bool) -> None:
    """The order has another id from now on, whose count of what is filled goes on or *counts_anew*:
    one below what the order had before did."""
    chain.past[chain.wire_id] = chain.filled
    if len(chain.past) > _PAST:
        del chain.past[next(iter(chain.past))]
    if counts_anew:
        chain.before += chain.filled
    chain.wire_id, chain.filled, chain.raw = wire_id, Decimal(0), None
    chain.wanted, chain.end = "", None
