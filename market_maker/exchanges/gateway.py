"""The one door to the exchange: approve, record, send, believe.

Every order action passes here, by whatever name and from whatever thread. Limits, dry run, rate
budget, outbox, stale-data pull and dead man's switch live here and below, so that overriding a
method of a strategy cannot switch them off.
"""

import base64
import logging
import math
import random
import re
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from market_maker.clock import Clock
from market_maker.exchanges.approval import Limits, approve_amends, approve_creates
from market_maker.exchanges.base import Connector, ExchangeError, Result, Status
from market_maker.exchanges.deadman import DeadMansSwitch
from market_maker.exchanges.doubts import Doubts
from market_maker.exchanges.outbox import Outbox
from market_maker.exchanges.refusals import SPENT, RefusalLog, kind_of, refusal
from market_maker.exchanges.replacing import replace_orders
from market_maker.exchanges.state import LiveState
from market_maker.exchanges.throttle import RateBudget
from market_maker.journal import Journal
from market_maker.model.rows import LATE_AMEND, Row
from market_maker.quoting.limits import Approved, Refused, is_reducing
from market_maker.quoting.passive import PassiveHold
from market_maker.quoting.phases import amend_phases
from market_maker.quoting.urgency import by_urgency
from market_maker.utils.errors import AuthenticationError, StopTrading

logger = logging.getLogger("root")
_HURRIED_S = 3.0  # for cancels to take effect, when the user waits


class GatewayRules(NamedTuple):
    """What the settings say about every order, read anew for each batch."""

    limits: Limits = Limits()
    deadman_timeout_s: float = 0.0
    stale_after_s: float = math.inf  # so long after the last news of the market it is asked for


class Gateway:
    """Sends our orders. One batch at a time; safe to call from several threads."""

    def __init__(
        self,
        connector: Connector,
        state: LiveState,
        *,
        clock: Clock,
        journal: Journal,
        budget: RateBudget,
        rng: random.Random,
        prefix: str,
        rules: Callable[[], GatewayRules],
        dry_run: bool = False,
        burst: RateBudget | None = None,
    ) -> None:
        self.connector = connector
        self.state = state
        self.budget = budget
        per_s = connector.caps.requests_per_s
        self.burst = burst or RateBudget(clock, per_s, per_s)
        self.dry_run = dry_run
        self.hold = PassiveHold()
        self.quotes_sent = 0  # creates and amends that the exchange took
        self.stale_reason: Callable[[float], str] = lambda _: ""  # why the data is old, if it is
        self.pulled = ""  # why the quotes are out of the market, while they are
        self.hurry = threading.Event()  # the user waits: verify, but wait for nothing any more
        self._pulled_for = ""  # the reason said last, until quotes go out again
        self._is_stopping = False
        self._clock = clock
        self._journal = journal
        self._rng = rng
        self._prefix = prefix
        self._rules = rules
        self._lock = threading.RLock()
        self.outbox = Outbox(connector, state, journal, budget, clock)
        self.doubts = Doubts(connector, state, clock, self.own_open_orders, self._can_ask)
        self.switch = DeadMansSwitch(connector, clock, budget, self.burst)
        self.switch.is_fresh = lambda: state.ready
        self._reserved: set[str] = set()  # ids that are written down, and not yet used
        self._cancelled_unasked = 0  # the orders of that kind that we know of
        self._refusals = RefusalLog(clock)

    def new_client_id(self) -> str:
        """The prefix and 22 characters that no other order has."""
        tail = base64.b64encode(self._rng.getrandbits(128).to_bytes(16, "big"))
        return self._prefix + tail.decode().rstrip("=")

    def reserve_client_id(self) -> str:
        """An id that the order bearing it keeps: for a strategy that writes it down beforehand."""
        self._reserved.add(name := self.new_client_id())
        return name

    # -- the three actions --------------------------------------------------------------

    def place(self, orders: Sequence[Row]) -> list[Result]:
        """Create orders. Writes `clOrdID` and `symbol` into the rows it is given."""
        with self._lock:
            for order in orders:
                # A row that came back from us carries an id of ours: it stands for that order.
                name = str(order.get("clOrdID") or "")
                if name in self._reserved:
                    self._reserved.remove(name)
                elif not name or re.fullmatch(f"{re.escape(self._prefix)}.{{22}}", name):
                    order["clOrdID"] = self.new_client_id()
                order["symbol"] = self.connector.symbol
            rules = self._rules()
            caps = self.connector.caps
            verdicts = approve_creates(orders, self.state, rules.limits, self._halt(rules), caps)
            return self._carry_out(verdicts, self.outbox.create, rules)

    def amend(self, changes: Sequence[Row]) -> list[Result]:
        """Change orders: each row has `orderID` and a new total `orderQty` and/or `price`."""
        with self._lock:
            rules = self._rules()
            verdicts = approve_amends(changes, self.state, rules.limits, self._halt(rules))
            if self.connector.caps.amend == "none":
                return replace_orders(self, verdicts)
            resting = self.state.orders.resting()
            atomic = self.connector.caps.atomic_batch
            phases = [list(range(len(changes)))] if atomic else amend_phases(changes, resting)
            results: dict[int, Result] = {}
            amend = self.outbox.amend
            with self.outbox.noted_at_the_end():
                for phase in phases:
                    answers = self._carry_out([verdicts[i] for i in phase], amend, rules)
                    results.update(zip(phase, answers, strict=True))
                    if any(a.status is not Status.OK and a.text != LATE_AMEND for a in answers):
                        break  # the other side may still stand where this one would go
            waits = Result(Status.NOT_SENT, {}, "waits for the other side to move away")
            return [results.get(i, waits) for i in range(len(changes))]

    def cancel(self, order_ids: Sequence[str]) -> list[Result]:
        """Cancel orders, ours or not, by their ids. Cancels may spend the last of the budget."""
        with self._lock:
            if self.dry_run or not order_ids:
                return [Result(Status.NOT_SENT, {}, "dry run") for _ in order_ids]
            self._pay_at_once()
            return self.outbox.cancel(order_ids)

    def reduce(self, order: Row) -> Result:
        """Send an order that can only shrink the position, whatever else may not go out."""
        if not is_reducing(order):
            raise ValueError("an order that may enlarge the position")
        with self._lock:
            if self.dry_run:
                return Result(Status.NOT_SENT, {}, "dry run")
            order.update(clOrdID=self.new_client_id(), symbol=self.connector.symbol)
            self._pay_at_once()
            return self.outbox.create([order])[0]

    # -- all of ours --------------------------------------------------------------------

    def own_open_orders(self) -> list[Row]:
        """Our open orders as the exchange itself lists them now; raises when it cannot."""
        with self._lock:  # an order placed after the list was made must not seem to be missing
            rows = self.connector.fetch_open_orders()
            ours = [row for row in rows if self.is_ours(str(row.get("clOrdID") or ""))]
            with self.state.lock:
                self.state.drain()
                self.state.orders.resync(ours)
            return ours

    def cancel_own(self, timeout_s: float = 15.0) -> list[Row]:
        """Cancel every order of ours and verify with the exchange that none is left.

        Returns those that were found. Raises ExchangeError, or AuthenticationError, when it cannot
        verify in *timeout_s*, which must be longer than a request without an answer may take to
        arrive; in a `hurry` it waits for none, and not long for cancels to take effect.
        """
        found: dict[str, Row] = {}
        deadline_s, delay_s = self._clock.monotonic() + timeout_s, 0.05
        with self.state.lock:
            self.state.orders.doubt_in_flight(self.outbox.provable_from_s())
        while True:
            failure: Exception = ExchangeError(0, "orders of ours are still open")
            listed = None
            try:
                with self.state.lock:
                    known = {row["orderID"]: row for row in self.state.orders.resting()}
                self.cancel(list(known))
                listed = {row["orderID"]: row for row in self.own_open_orders()}
                found = {**known, **listed, **found}
                self.cancel(list(listed))
                self.settle_unknown()
            except AuthenticationError as error:
                if not len(self.state.orders):
                    raise
                failure = error  # a key may be taken again, and our orders stand meanwhile
            except ExchangeError as error:
                failure = error
            with self._lock:
                if listed == {} and not len(self.state.orders):
                    self.outbox.close_unsettled()
                    return list(found.values())
            now_s = self._clock.monotonic()
            if self.hurry.is_set():
                deadline_s = -math.inf if listed == {} else min(deadline_s, now_s + _HURRIED_S)
            if now_s > deadline_s:
                raise failure
            self._clock.sleep(delay_s)
            delay_s = min(1.0, delay_s * 2)

    def pull(self, reason: str) -> None:
        """Take every quote we know of out of the market, and let none in until `release`."""
        with self._lock:
            kind = kind_of(reason)
            if kind != self._pulled_for and not self.pulled:
                logger.warning("Pulling all quotes: %s.", reason)
                self._pulled_for = kind
            self.pulled = reason
            with self.state.lock:
                ids = [row["orderID"] for row in self.state.orders.resting()]
            if ids:
                self.cancel(ids)

    def stop(self) -> None:
        """Let nothing new in from now on, whatever `release` says; cancels go on."""
        self._is_stopping = True

    def go_on(self) -> None:
        """Take `stop` back."""
        self._is_stopping = False

    def release(self) -> None:
        """Quotes may go out again; it is said when they do."""
        self.pulled = ""

    def settle_unknown(self) -> None:
        """Ask the exchange for what we are not sure of, where it is time to."""
        with self._lock:
            self.doubts.settle()

    def _can_ask(self) -> bool:
        """Pay for a question; at the end it is asked in any case."""
        return self.budget.take(1, urgent=True) or self._is_stopping

    def is_ours(self, cl_ord_id: str) -> bool:
        """Whether the id has our prefix, or the journal knows it as ours."""
        if cl_ord_id.startswith(self._prefix):
            return True
        try:
            return self._journal.is_ours(cl_ord_id)
        except StopTrading as error:
            self.outbox.stop_for(error)
            return self.state.orders.get(cl_ord_id) is not None

    def _halt(self, rules: GatewayRules) -> str:
        """Why nothing new may go out at all, or an empty text."""
        if self.outbox.fatal or self._is_stopping:
            return self.outbox.fatal or "the bot is stopping"
        silence_s = self._clock.monotonic() - self.state.last_recv_s
        # A round would have asked: this is a strategy that acts without one.
        is_silent = not self.pulled and silence_s > rules.stale_after_s
        if is_silent and (reason := self.stale_reason(rules.stale_after_s)):
            self.pull(reason)
            self.release()  # the next action is judged anew
            return reason
        return f"quotes are pulled: {self.pulled}" if self.pulled else ""

    def beat(self) -> None:
        """A round is complete: the dead man's switch may be renewed."""
        self.switch.note_round(self._rules().deadman_timeout_s)

    # -- record, send, believe ----------------------------------------------------------

    def _carry_out(
        self,
        verdicts: Sequence[Approved | Refused],
        send: Callable[[Sequence[Row]], list[Result]],
        rules: GatewayRules,
    ) -> list[Result]:
        """Send what is approved; one result for each verdict, in order."""
        results: dict[int, Result] = {}
        approved: list[int] = []
        for i, verdict in enumerate(verdicts):
            if isinstance(verdict, Refused):
                results[i] = refusal(verdict)
            else:
                approved.append(i)
        if self.dry_run:
            dry = Result(Status.NOT_SENT, {}, "dry run")
            return [results.get(i, dry) for i in range(len(verdicts))]
        sendable = self._affordable([verdicts[i].order for i in approved], approved)
        results.update((i, SPENT) for i in approved if i not in sendable)
        # The switch is armed before the first order, where the exchange has one, and again when
        # orders went that nobody cancelled, or none rests to tell: it may have fired.
        unasked = self.state.orders.cancelled_unasked
        if unasked != self._cancelled_unasked or not len(self.state.orders):
            self._cancelled_unasked = unasked
            self.switch.doubt()
        if sendable and not self.switch.arm(rules.deadman_timeout_s):
            unarmed = "the dead man's switch is not armed; DEADMAN_TIMEOUT = 0 trades without"
            results.update((i, Result(Status.NOT_SENT, {}, unarmed)) for i in sendable)
        elif sendable:
            rows = [verdicts[i].order.items() for i in sendable]
            batch = [{name: value for name, value in row if value is not None} for row in rows]
            per_request = self.connector.caps.max_batch
            answers = send(batch)
            if self.connector.caps.max_batch < per_request:  # they went one by one after all
                self.burst.take(sum(a.status is not Status.NOT_SENT for a in answers))
            self._learn(answers)
            results.update(zip(sendable, answers, strict=True))
            if self._pulled_for:
                self._pulled_for = ""
                logger.info("Quoting again.")
        ordered = [results[i] for i in range(len(verdicts))]
        if any(result.status is Status.NOT_SENT for result in ordered):
            self.state.want_round()  # the plan is not carried out yet
        self._refusals.note(send.__name__, [] if self.outbox.fatal else ordered)  # said at the end
        return ordered

    def _learn(self, answers: Sequence[Result]) -> None:
        """Count the quotes that went out, and note those that were refused for taking."""
        for answer in answers:
            self.quotes_sent += answer.status in (Status.OK, Status.ACCEPTED)
            self.hold.learn(answer.row, answer.text, self._clock.monotonic())

    def _affordable(self, orders: Sequence[Row], ids: Sequence[int]) -> list[int]:
        """Pay for as many *orders* as the rate limit lets go now; the *ids* of the most urgent."""
        count = self._pay(len(orders))
        if count == len(orders):
            return list(ids)
        with self.state.lock:
            tracked = [self.state.orders.get(str(order.get("orderID"))) for order in orders]
            before = [dict(found.row) if found else {} for found in tracked]
            position_qty = sum(self.state.position_range()) / 2
        chosen = by_urgency(orders, before, position_qty)[:count]
        return [ids[i] for i in sorted(chosen)]

    def _pay_at_once(self) -> None:
        """What goes in any case counts all the same: quotes wait for their turn after it."""
        self.budget.take(1, urgent=True)
        self.burst.take(1, urgent=True)

    def _pay(self, count: int) -> int:
        """Pay for as many of *count* orders as both layers of the rate limit let go now."""
        if count == 1:  # a script's own calls, one by one, wait for their second
            self._clock.sleep(min(1.0, self.burst.wait_s(1)))
        caps = self.connector.caps
        per_request = caps.max_batch
        # Requests of their own, unlike one large call, may wait for a part of them to be due.
        count = min(count, max(1, int(caps.requests_per_s)) * per_request)
        while count:
            requests = math.ceil(count / per_request)
            cost = math.ceil(count * caps.order_cost) if per_request > 1 else count
            # Another bot of the account may take between the question and the payment.
            is_due = self.budget.wait_s(cost) == 0
            if is_due and self.burst.take(requests) and self.budget.take(cost):
                return count
            count -= 1
        return 0
