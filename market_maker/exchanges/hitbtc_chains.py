"""One order of the bot through all the client ids it has at HitBTC.

A replace cancels the order first and enters another under a new client id. Above, that is one
order still: its `orderID` is the first id without the last four characters, which count the
replaces. So every id tells by itself which order it belongs to, also after a restart, and the
journal's record of an amend, which names the `orderID` before anything is sent, names both the
old id and the new one.

Reports and answers come in either order and more than once; here each is placed in its chain.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from market_maker.exchanges.client_ids import ClientIds, base62
from market_maker.exchanges.okx_rows import decimal

Raw = Mapping[str, Any]

SUFFIX = 4  # characters that count the replaces
_FIRST = "0" * SUFFIX
_GENERATIONS = 62**SUFFIX
_PER_S = 100.0
_REMEMBERED = 2_000
_PAST = 1_000  # ids of one order of which late reports may still come
DEAD = ("canceled", "expired")


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
    number: int = 0  # of the last replace, so that no id comes twice
    wanted: str = ""  # the id that a replace on its way gives it
    end: Raw | None = None  # it was cancelled, maybe by that replace


class Chains:
    """All orders of one account. *now* tells Unix seconds, from which new ids are made."""

    def __init__(self, ids: ClientIds, now: Callable[[], float]) -> None:
        self._ids, self._now = ids, now
        self._chains: OrderedDict[str, _Chain] = OrderedDict()
        self._lock = threading.RLock()  # answers are read by who waits, reports by the receiver

    # -- ids -----------------------------------------------------------------------------------

    def order_id(self, wire_id: str) -> str:
        """Which order of the bot an id belongs to; somebody else's stands for itself."""
        is_ours = wire_id.startswith(self._ids.tag) and len(wire_id) > len(self._ids.tag) + SUFFIX
        return wire_id[:-SUFFIX] if is_ours else wire_id

    def cl_ord_id(self, order_id: str) -> str:
        return self._ids.decode(order_id)

    def first_id(self, cl_ord_id: str) -> str:
        """The id of a new order; raises ValueError for one that does not fit."""
        return self._ids.encode(cl_ord_id) + _FIRST

    def order_id_of(self, cl_ord_id: str) -> str:
        return self._ids.encode(cl_ord_id)

    def ids(self, order_id: str) -> list[str]:
        """The ids under which it may be live, the newest first."""
        with self._lock:
            chain = self._chains.get(order_id)
            if chain is None:
                is_ours = order_id.startswith(self._ids.tag)
                return [order_id + _FIRST if is_ours else order_id]
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

    # -- a replace -----------------------------------------------------------------------------

    def begin_replace(self, order_id: str) -> str:
        """The new id for a replace that is about to be sent; no id is ever made twice."""
        with self._lock:
            chain = self._chains.setdefault(order_id, _Chain(self.ids(order_id)[-1]))
            while True:
                chain.number = max(chain.number + 1, int(self._now() * _PER_S))
                name = order_id + base62(chain.number % _GENERATIONS, SUFFIX)
                if name != chain.wire_id and name not in chain.past:
                    chain.wanted = name
                    return name

    def end_replace(self, order_id: str) -> Reading | None:
        """The replace came to nothing: how the order ended, if it did."""
        with self._lock:
            chain = self._chains.get(order_id)
            if chain is None:
                return None
            chain.wanted, end, chain.end = "", chain.end, None
            if end is None:
                return None
            chain.raw = end
            return Reading(order_id, end, chain.before)

    # -- what the venue says -------------------------------------------------------------------

    def read(self, raw: Raw) -> Reading | None:
        """Place a report: how the order stands now, or None where that is not known yet."""
        wire_id = str(raw.get("client_order_id") or "")
        order_id = self.order_id(wire_id)
        filled = decimal(raw.get("quantity_cumulative"))
        with self._lock:
            chain = self._chains.get(order_id)
            if chain is None:
                chain = self._chains[order_id] = _Chain(wire_id)
                self._trim()
            if wire_id in chain.past:
                return self._late(order_id, chain, wire_id, filled)
            if wire_id != chain.wire_id:
                _move_on(chain, wire_id, filled)
            chain.filled = max(chain.filled, filled)
            if raw.get("status") in DEAD and chain.wanted:
                chain.end = raw  # by the replace itself, or for good: its answer tells
                return None
            chain.raw = raw
            return Reading(order_id, raw, chain.before)

    def before(self, wire_id: str) -> Decimal | None:
        """What was filled before under earlier ids, of an id that is the order's own now."""
        with self._lock:
            chain = self._chains.get(self.order_id(wire_id))
            return chain.before if chain and chain.wire_id == wire_id else None

    def _late(self, order_id: str, chain: _Chain, wire_id: str, filled: Decimal) -> Reading | None:
        """A report under an id that it has no more matters only for what it had filled."""
        more = filled - chain.past[wire_id]
        if more <= 0 or chain.raw is None:
            return None
        chain.past[wire_id], chain.before = filled, chain.before + more
        return Reading(order_id, chain.raw, chain.before)

    def _trim(self) -> None:
        while len(self._chains) > _REMEMBERED:
            self._chains.popitem(last=False)


def _move_on(chain: _Chain, wire_id: str, filled: Decimal) -> None:
    """The order has another id from now on.

    Whether its count of what is filled begins anew there is not documented; a count below what
    it had before did.
    """
    begins_anew = filled < chain.filled or not chain.filled
    chain.past[chain.wire_id] = chain.filled
    if len(chain.past) > _PAST:
        del chain.past[next(iter(chain.past))]
    if begins_anew:
        chain.before += chain.filled
    chain.wire_id, chain.filled = wire_id, Decimal(0)
    chain.wanted, chain.end = "", None
