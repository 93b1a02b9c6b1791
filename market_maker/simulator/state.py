"""What survives a restart of the built-in exchange: accounts with their keys and money, positions,
orders, timers, transactions and executions.

The market itself begins anew, where its last mark prices were: the book of the public is not
kept. Restored orders rest in their old order of priority before the market comes; what it then
crosses trades as anywhere. Times go on by the clock, so that a timer that ran out meanwhile
fires at once.

The first line of the file is a JSON object, the last a checksum; between them each line is one
execution.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from market_maker import jsonx
from market_maker.simulator.desk import Desk
from market_maker.simulator.entry import is_reducing, is_waiting
from market_maker.simulator.events import Fill, Order, OrderEvent, Transaction
from market_maker.simulator.exchange import Engine
from market_maker.simulator.instruments import Instrument
from market_maker.simulator.keys import Account
from market_maker.simulator.positions import Fees, Position
from market_maker.simulator.tape import DAY_S, QuoteCount

FORMAT = "marketmaker exchange"
VERSION = 1
FOREIGN = "it is damaged or no state file of this exchange"
_REBUILT = frozenset({"spec", "contract", "fees", "state", "mark_price"})  # of a position

Row = dict[str, Any]


class BadState(ValueError):
    """The text holds no state, or none for this market; the message says why, in one line."""


class Writer:
    """Renders an engine's state as text; remembers the lines of executions, which never change."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}  # execID and account -> its line

    def render(self, engine: Engine) -> str:
        """The whole file. Call it under the engine's lock."""
        lines: dict[str, str] = {}
        for account_no in engine._ledger.customers():
            for event in engine.executions(account_no):
                key = f"{account_no} {event.exec_id}"
                lines[key] = self._lines.get(key) or jsonx.dumps(_event_row(event))
        self._lines = lines
        body = "\n".join([jsonx.dumps(_head(engine)), *lines.values(), ""])
        return f"{body}{_seal(body)}\n"


def _seal(body: str) -> str:
    """The last line, by which damage shows."""
    return jsonx.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest()})


def _head(engine: Engine) -> Row:
    ledger = engine._ledger
    customers = ledger.customers()
    return {
        "format": FORMAT,
        "version": VERSION,
        "time_s": engine.now(),
        "next_account": engine._next_account,
        "keys": [_key_row(account) for account in engine._keys._keys.values()],
        "timers": list(engine._timers.items()),
        "instruments": [_instrument_row(engine, symbol) for symbol in engine.symbols()],
        "settled": [[_row(spec), price] for spec, price in engine.settled()],
        "cash": list(ledger._cash.items()),
        "fees": [
            [number, {symbol: list(rates) for symbol, rates in fees.items()}]
            for number, fees in ledger._fees.items()
        ],
        "positions": [
            [account_no, symbol, _position_row(position)]
            for account_no, held in ledger._positions.items()
            for symbol, position in held.items()
        ],
        "orders": [_row(order) for number in customers for order in engine.orders(number)],
        "finished": [order.order_id for n in customers for order in engine._tape.shelf(n).finished],
        "queue": [order_id for desk in engine._desks.values() for order_id in _queue(desk)],
        "quotes": [[n, _row(count)] for n in customers for count in engine.quote_counts(n)],
        "transactions": [_row(made) for n in customers for made in engine.transactions(n)],
    }


def _row(thing: Any) -> Row:
    """The fields of a flat dataclass; `asdict` would copy deeply and take ten times as long."""
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


def _key_row(account: Account) -> Row:
    return {**_row(account), "permissions": sorted(account.permissions)}


def _instrument_row(engine: Engine, symbol: str) -> Row:
    spec = engine.instrument(symbol)
    index_price = engine._desks[symbol].display.index_price
    return {**_row(spec), "start_price": index_price or spec.start_price}


def _position_row(position: Position) -> Row:
    return {
        field.name: getattr(position, field.name)
        for field in dataclasses.fields(position)
        if field.init and field.name not in _REBUILT and not field.name.startswith("open_")
    }


def _queue(desk: Desk) -> Iterator[str]:
    """The customers' resting orders of a book in their priority at each price.

    The liquidation engine offers its own anew.
    """
    for side in desk.book.sides.values():
        for queue in side.queues.values():
            for place in queue.places:
                if place.order is not None and place.order.account > 0:
                    yield place.order.order_id


def _event_row(event: OrderEvent) -> Row:
    return {
        **event._asdict(),
        "order": _row(event.order),
        "fill": None if event.fill is None else _row(event.fill),
    }


# -- back -------------------------------------------------------------------------------------


class State:
    """A state that was read; raises BadState where the text is none of ours."""

    def __init__(self, text: str) -> None:
        body, _, seal = text.removesuffix("\n").rpartition("\n")
        lines = body.split("\n") if body else [seal]
        try:
            head = jsonx.loads(lines[0]) if lines else None
            self._events = [jsonx.loads(line) for line in lines[1:] if line]
        except (ValueError, RecursionError):
            raise BadState(FOREIGN) from None
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise BadState(FOREIGN)
        self._head: Row = head
        if self._head.get("version") != VERSION:
            raise BadState(f"its version is {self._head.get('version')}, not {VERSION}")
        if seal != _seal(f"{body}\n"):
            raise BadState("it is damaged")
        with _read_strictly():
            self.instruments = [Instrument(**row) for row in self._head["instruments"]]
            settled = self._head.get("settled", [])  # files of before have none
            self._settled = [(Instrument(**row), float(price)) for row, price in settled]

    def over(self, listed: Iterable[Instrument]) -> list[Instrument]:
        """The instruments of a synthetic market that goes on from here."""
        kept = {spec.symbol: spec for spec in self.instruments}
        return [*kept.values(), *(spec for spec in listed if spec.symbol not in kept)]

    def restore(self, engine: Engine) -> None:
        """Put everything into a fresh engine without a market; raises BadState."""
        with _read_strictly():
            self._check_symbols(engine)
            for spec, price in self._settled:
                engine.list_settled(spec, price)
            head = self._head
            for row in head["keys"]:
                permissions = frozenset(row["permissions"])
                engine._keys.put(Account(**{**row, "permissions": permissions}))
            engine._next_account = int(head["next_account"])
            engine._timers.update({int(number): float(at) for number, at in head["timers"]})
            self._restore_money(engine)
            self._restore_orders(engine)
            for row in self._events:
                event = _event(row)
                if event.order.symbol in engine._desks:
                    engine._tape.shelf(event.order.account).executions.append(event)
            for number, row in head["quotes"]:
                engine._tape.shelf(number).quotes.append(QuoteCount(**row))
            for row in head["transactions"]:
                engine._wallets.take_in(Transaction(**row))
        if any(engine.imbalance_sat(name) for name in ("XBt", "USDt")):
            raise BadState("it is damaged: its postings do not sum to zero")

    def _check_symbols(self, engine: Engine) -> None:
        rows = self._head["orders"]
        used = {row["symbol"] for row in rows if row["leaves_qty"]}
        used |= {symbol for _, symbol, row in self._head["positions"] if row["current_cost"]}
        for spec in self.instruments:
            if spec.symbol not in used:
                continue
            if spec.symbol not in engine.symbols():
                raise BadState(f"it holds {spec.symbol}, which this market does not have")
            now = engine.instrument(spec.symbol)
            if (now.tick_size, now.lot_size) != (spec.tick_size, spec.lot_size):
                raise BadState(f"its {spec.symbol} has another tick or lot size than this market")

    def _restore_money(self, engine: Engine) -> None:
        ledger = engine._ledger
        for number, cash in self._head["cash"]:
            if number not in ledger._cash:
                ledger.open(number)
            ledger._cash[number] = {str(name): int(amount) for name, amount in cash.items()}
        for number, fees in self._head["fees"]:
            ledger.set_fees(number, {symbol: Fees(*rates) for symbol, rates in fees.items()})
        for number, symbol, row in self._head["positions"]:
            if symbol not in engine._desks:
                continue  # nothing is booked on it: see _check_symbols
            position = ledger.position(number, engine.instrument(symbol))
            for name, value in row.items():
                setattr(position, name, value)
            position.set_terms(position.leverage, position.risk_limit)

    def _restore_orders(self, engine: Engine) -> None:
        rows = [row for row in self._head["orders"] if row["symbol"] in engine._desks]
        orders = {row["order_id"]: Order(**row) for row in rows}
        for order in orders.values():
            engine._tape.shelf(order.account).add(order)
        for order_id in self._head["finished"]:
            if order_id in orders:
                order = orders[order_id]
                engine._tape.shelf(order.account).finish(order)
        for order in orders.values():
            if order.leaves_qty:  # it bears its clOrdID, whoever bore it later and is done
                engine._tape.shelf(order.account).add(order)
        for order_id in self._head["queue"]:
            _rest(engine, orders[order_id])
        midnight_s = (self._head["time_s"] // DAY_S + 1) * DAY_S
        for order in orders.values():
            if order.leaves_qty and is_waiting(order):
                engine._desks[order.symbol]._wait(order)
            if order.leaves_qty and order.time_in_force == "Day":
                desk = engine._desks[order.symbol]
                engine.call_at(midnight_s, partial(desk.expire, order))


def _rest(engine: Engine, order: Order) -> None:
    """Put an order back where it stood; nothing can cross, since nothing did."""
    desk = engine._desks[order.symbol]
    desk.book.rest(order)
    desk._open(order, order.leaves_qty)
    if is_reducing(order):
        engine._tape.shelf(order.account).reducing[order.order_id] = order


def _event(row: Row) -> OrderEvent:
    fill = None if row["fill"] is None else Fill(**row["fill"])
    return OrderEvent(**{**row, "order": Order(**row["order"]), "fill": fill})


class _read_strictly:
    """Anything missing or of another type within is damage."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, *_: Any) -> None:
        wrong = LookupError | TypeError | ValueError | AttributeError | ArithmeticError
        if isinstance(error, wrong | AssertionError) and not isinstance(error, BadState):
            raise BadState("it is damaged") from None
