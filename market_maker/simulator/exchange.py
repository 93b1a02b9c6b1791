"""The built-in exchange behind one object, free of any wire language and of any thread.

An operation checks everything first, then happens at once; listeners hear of it in this order:
order events (a maker before its taker), trades, positions, margins, book levels, the touch,
instrument columns. An order event with `is_first` is the order's first row on the private
stream; an event "New" without it belongs to an order that died at entry and has no row of its
own: its "Canceled" event, which follows, is the first one.

Rows (`instrument_row`, `position_row`, `margin_row`, `InstrumentEvent.changes`) are ready for
the wire: BitMEX's columns, float prices, ISO timestamps, None where unknown.

One caller at a time; whoever has several threads brings the lock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random, SystemRandom
from typing import Any, NamedTuple, Protocol

from market_maker.clock import Clock
from market_maker.simulator.accounts import PLAY_MONEY
from market_maker.simulator.amends import find_order
from market_maker.simulator.desk import Desk
from market_maker.simulator.entry import Refused
from market_maker.simulator.events import Event, Order, TickEvent
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.keys import ORDER_PERMISSIONS, Account, KeyRing
from market_maker.simulator.liquidity import Liquidity
from market_maker.simulator.listings import all_instruments
from market_maker.simulator.matching import Level
from market_maker.simulator.positions import Fees
from market_maker.simulator.records import Records
from market_maker.simulator.regrid import move_to_grid
from market_maker.simulator.tape import DAY_S, Tape

__all__ = ["Account", "CancelRow", "Engine", "Level", "MarketSource", "Refused"]


class CancelRow(NamedTuple):
    """The answer for one id of a cancel: the order if the account has it, and why not."""

    order: Order | None
    id: str  # as asked
    error: str  # "" when the order was cancelled
    is_client_id: bool = False


class MarketSource(Protocol):
    """The other side of the market. It acts on the engine at times of its own."""

    def bind(self, engine: "Engine") -> None:
        """Take the engine to act on; its `now()` is the start."""

    def next_time(self) -> float | None:
        """When it acts next (Unix seconds), or None if never again."""

    def step(self) -> None:
        """Act out what is due at `next_time`."""


class Engine(Records):
    """Accounts, orders and books; a World of the manual clock."""

    def __init__(
        self,
        clock: Clock,
        instruments: Iterable[Instrument] | None = None,
        *,
        market: MarketSource | None = None,
        seed: int | None = None,
        account_base: int | None = None,
    ) -> None:
        """With *seed* all ids, keys and account numbers repeat; without, they never do."""
        self._rng: Random = SystemRandom() if seed is None else Random(seed)
        self._clock = clock
        # identifiers come from a generator: asking the OS for each costs too much
        super().__init__(Tape(clock, Random(self._rng.getrandbits(128))))
        for spec in instruments or all_instruments(self.now()):
            self.list_new(spec)
        self._next_account = account_base or self._rng.randrange(100_000, 900_000)
        self._keys = KeyRing(self._rng)
        self._timers: dict[int, float] = {}  # account -> when all its orders are cancelled
        self.skew_s = 0.0  # how far the clock that clients see is ahead of the true one
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._agenda_order = count()
        self._market: MarketSource | None = None
        self.call_at(self._clearing.next_time(), self._clear)
        if market is not None:
            self.open_market(market)

    def open_market(self, market: MarketSource) -> None:
        """Let *market* be the other side from now on; it meets what rests already."""
        self._market = market
        market.bind(self)
        self._flush()

    # -- time ---------------------------------------------------------------------------------

    def next_event_time(self) -> float | None:
        """When a timer or the market acts next, or None."""
        times = list(self._timers.values())
        if self._agenda:
            times.append(self._agenda[0][0])
        market_time = self._market.next_time() if self._market else None
        if market_time is not None:
            times.append(market_time)
        return min(times, default=None)

    def advance_to(self, now_s: float) -> None:
        """Act out all that is due up to *now_s*, each at its own time."""
        while (due := self.next_event_time()) is not None and due <= now_s:
            with self._tape.at(due):
                if self._market and self._market.next_time() == due:
                    self._market.step()
                    self._flush()
                elif self._agenda and self._agenda[0][0] == due:
                    heappop(self._agenda)[2]()
                    self._flush()
                else:
                    self.fire_timer(min(self._timers, key=self._timers.__getitem__))

    def call_at(self, time_s: float, action: Callable[[], object]) -> None:
        """Let *action* happen at *time_s* (Unix seconds); what is past happens next."""
        heappush(self._agenda, (max(time_s, self.now()), next(self._agenda_order), action))

    def tell_at(self, time_s: float) -> None:
        """Send the listeners a TickEvent at *time_s* (Unix seconds)."""
        self.call_at(time_s, lambda: self._tape.emit(TickEvent(time_s)))

    @property
    def listeners(self) -> list[Callable[[Event], None]]:
        """Called with each event in turn; append to it."""
        return self._tape.listeners

    # -- accounts -----------------------------------------------------------------------------

    def open_account(
        self,
        balance_sat: int = PLAY_MONEY["XBt"],
        permissions: frozenset[str] = ORDER_PERMISSIONS,
        *,
        fees: Mapping[str, Fees] | None = None,
        balances: Mapping[str, int] | None = None,
    ) -> Account:
        """A new account with *balance_sat* of play money and a key of its own.

        *fees* are rates by symbol ("" for all others); *balances* are of other currencies.
        """
        account = self._keys.add(self._next_account, permissions)
        self._next_account += 1
        self._open_money(account.number, {**PLAY_MONEY, "XBt": balance_sat, **(balances or {})})
        self._ledger.set_fees(account.number, fees or {})
        return account

    def add_key(self, account_no: int, permissions: Iterable[str]) -> Account:
        """One more key of an account; raises ValueError for impossible rights."""
        return self._keys.add(account_no, permissions)

    def disable_key(self, key: str) -> None:
        """From now on *key* opens nothing."""
        self._keys.disable(key)

    def keys_of(self, account_no: int) -> list[Account]:
        """The account's keys, oldest first."""
        return [key for key in self._keys.keys() if key.number == account_no]  # noqa: SIM118

    def account_by_key(self, key: str) -> Account | None:
        return self._keys.find(key)

    def accounts(self) -> list[Account]:
        """All customers by their first key, oldest first."""
        return self._keys.accounts()

    # -- orders -------------------------------------------------------------------------------

    def place(self, account_no: int, fields: Mapping[str, Any]) -> Order:
        """Enter one order given by BitMEX's fields; raises Refused."""
        return self.place_many(account_no, [fields])[0]

    def place_many(self, account_no: int, rows: Sequence[Mapping[str, Any]]) -> list[Order]:
        """Enter orders of one symbol; either all pass the checks or none is entered."""
        desk = self._one_desk(rows)
        orders = desk.check_new(account_no, rows)
        for order in orders:
            desk.submit(order)
            if order.time_in_force == "Day" and order.leaves_qty:
                self.call_at((self.now() // DAY_S + 1) * DAY_S, partial(desk.expire, order))
        self._flush_one(desk)
        return orders

    def amend(self, account_no: int, fields: Mapping[str, Any]) -> Order:
        """Change one order; raises Refused."""
        return self.amend_many(account_no, [fields])[0]

    def amend_many(self, account_no: int, rows: Sequence[Mapping[str, Any]]) -> list[Order]:
        """Change orders of one symbol; either all pass the checks or none is changed."""
        shelf = self._tape.shelf(account_no)
        orders = [find_order(shelf, fields) for fields in rows]
        if len({order.symbol for order in orders}) != 1:
            raise Refused("Instruments do not match" if orders else "Invalid orderID")
        desk = self._desks[orders[0].symbol]
        changes = desk.check_amends(account_no, list(zip(orders, rows, strict=True)))
        for change in changes:
            desk.apply(change)
        self._flush_one(desk)
        return orders

    def cancel(
        self,
        account_no: int,
        order_ids: Sequence[str] = (),
        cl_ord_ids: Sequence[str] = (),
        text: str | None = None,
    ) -> list[CancelRow]:
        """Cancel by ids; one answer for each id, in the order asked."""
        shelf = self._tape.shelf(account_no)
        asked = [(i, shelf.orders.get(i), False) for i in order_ids]
        asked += [(i, shelf.by_client_id(i), True) for i in cl_ord_ids]
        answers, desks = [], set()
        for name, order, is_client_id in asked:
            error = ""
            if order is None:
                error = "Unable to cancel order"
                if not is_client_id:
                    self._tape.reject_cancel(account_no, name)
            elif order.leaves_qty <= 0:
                error = f"Unable to cancel order due to existing state: {order.ord_status}"
            else:
                desk = self._desks[order.symbol]
                desk.cancel(order, text or "Canceled via API.")
                desks.add(desk)
            answers.append(CancelRow(order, name, error, is_client_id))
        if len(desks) == 1:
            self._flush_one(desk)
        else:
            self._flush()
        return answers

    def cancel_all(
        self, account_no: int, symbol: str | None = None, text: str | None = None
    ) -> list[Order]:
        """Cancel all open orders, or those of one symbol; the orders cancelled."""
        return self._cancel_open(account_no, symbol, text or "Canceled via API.")

    def close_position(self, account_no: int, symbol: str, price: float | None = None) -> Order:
        """Cancel all orders of the symbol and close the position, at the market or at *price*."""
        self._cancel_open(account_no, symbol, "Canceled via API.")
        return self.place(account_no, {"symbol": symbol, "price": price, "execInst": "Close"})

    def cancel_all_after(self, account_no: int, timeout_ms: int) -> float | None:
        """Arm the account's one timer, or disarm it with 0; when it fires (Unix seconds)."""
        self._timers.pop(account_no, None)
        if timeout_ms <= 0:
            return None
        self._timers[account_no] = self.now() + timeout_ms / 1000
        return self._timers[account_no]

    def timer(self, account_no: int) -> float | None:
        """When the account's timer fires (Unix seconds), or None where it is not armed."""
        return self._timers.get(account_no)

    def fire_timer(self, account_no: int) -> None:
        """Do what the account's timer does when it runs out, whether or not it was armed."""
        self._timers.pop(account_no, None)
        self._cancel_open(account_no, None, "Canceled via Cancel All After.")

    # -- what happens to a market ---------------------------------------------------------------

    def close_symbol(self, symbol: str, state: str = "Closed") -> None:
        """Stop trading, or go on with *state* Open. Orders stay; cancels are still taken.

        What has expired stays settled.
        """
        desk = self._desk(symbol)
        if desk.display.settled_price is None:
            desk.display.set_state(state)
            desk.display.flush()

    def change_grid(self, symbol: str, tick_size: float, lot_size: int) -> list[Order]:
        """Trade on another tick and lot from now on; the orders cancelled for not fitting it."""
        desk = self._desk(symbol)
        spec = replace(desk.spec, tick_size=tick_size, lot_size=lot_size)
        cancelled = move_to_grid(desk, self._ledger, self._tape, spec)
        self._flush()
        return cancelled

    def move_position(self, account_no: int, symbol: str, qty: int) -> Order:
        """Trade *qty* contracts (negative sells) at the mark by another hand of the account."""
        order = self._desk(symbol).trade_by_hand(account_no, qty)
        self._flush()
        return order

    def _cancel_open(self, account_no: int, symbol: str | None, text: str) -> list[Order]:
        open_orders = self._tape.shelf(account_no).open_orders()
        cancelled = [o for o in open_orders if symbol is None or o.symbol == symbol.upper()]
        for order in cancelled:
            if order.leaves_qty > 0:
                self._desks[order.symbol].cancel(order, text)
        self._flush()
        return cancelled

    # -- for the market source ----------------------------------------------------------------

    def liquidity(self, symbol: str) -> Liquidity:
        """Where a market source acts; what it does is told when its step ends."""
        return Liquidity(self._desk(symbol))

    def _one_desk(self, rows: Sequence[Mapping[str, Any]]) -> Desk:
        if len(rows) == 1:
            return self._desk(rows[0].get("symbol", ""))
        desks = {id(desk): desk for desk in (self._desk(row.get("symbol", "")) for row in rows)}
        if len(desks) != 1:
            raise Refused("Instruments do not match" if desks else "Invalid orders")
        return desks.popitem()[1]

    def _clear(self) -> None:
        """Funding, settlement and the like are due; come back when they are due again."""
        self._clearing.step()
        self.call_at(self._clearing.next_time(), self._clear)

    def _flush_one(self, desk: Desk) -> None:
        """Tell what an operation on one desk changed."""
        desk.wake()
        self._tape.flush_accounts()
        desk.display.flush()
