"""What the exchange does with everyone's money at fixed times: funding, settlement, wallets.

Funding at 04:00, 12:00 and 20:00 UTC; realised profit moves to the wallets at 12:00 and
withdrawals go out at 13:00; a future settles when it expires.
"""

from collections import deque
from collections.abc import Callable, Mapping

from market_maker.simulator.accounts import FUND, HOUSE, Ledger
from market_maker.simulator.desk import Desk
from market_maker.simulator.events import FundingEvent, SettlementEvent
from market_maker.simulator.instruments import FUNDING_INTERVAL_S, Instrument, share, to_e8
from market_maker.simulator.listings import next_future
from market_maker.simulator.postings import funding, hand_over
from market_maker.simulator.tape import Tape
from market_maker.simulator.wallets import Wallets

_HOUR_S, _DAY_S = 3600, 86_400
_FUNDING_HOURS, _REBALANCE_HOUR, _WITHDRAWAL_HOUR = (4, 12, 20), 12, 13
_HOURS = (4, 12, 13, 20)
_KEPT = 1_000  # fundings, settlements and balances of the fund


class Clearing:
    """Acts at its own times on all positions of all desks."""

    def __init__(
        self,
        ledger: Ledger,
        tape: Tape,
        desks: Mapping[str, Desk],
        wallets: Wallets,
        list_new: Callable[[Instrument], object],
    ) -> None:
        self._ledger, self._tape, self._desks, self._wallets = ledger, tape, desks, wallets
        self._list_new = list_new
        self.fundings: deque[FundingEvent] = deque(maxlen=_KEPT)
        self.settlements: deque[SettlementEvent] = deque(maxlen=_KEPT)
        self.insurance: deque[tuple[float, str, int]] = deque(maxlen=_KEPT)
        self._done_s = tape.now()

    def next_time(self) -> float:
        """When it acts next (Unix seconds)."""
        day_s = self._done_s - self._done_s % _DAY_S
        times = [day_s + hour * _HOUR_S for hour in (*_HOURS, _HOURS[0] + 24)]
        due = min(time_s for time_s in times if time_s > self._done_s)
        return min([due, *(expiry_s for expiry_s, _ in self._expiring())])

    def step(self) -> None:
        """Act out what is due at `next_time`."""
        now_s = self.next_time()
        for expiry_s, desk in self._expiring():
            if expiry_s <= now_s:
                self._settle(desk, now_s)
        if now_s <= self._done_s:
            return  # it expired while nobody was here; the rest of that time is not made up for
        self._done_s = now_s
        hour = round(now_s % _DAY_S / _HOUR_S, 6)
        if hour in _FUNDING_HOURS:
            for desk in self._desks.values():
                if desk.spec.has_funding:
                    self.fund(desk)
        if hour == _REBALANCE_HOUR:
            self._wallets.rebalance()
            for currency in ("XBt", "USDt"):
                balance = self._ledger.funds(FUND, currency).wallet
                self.insurance.append((now_s, currency, balance))
        if hour == _WITHDRAWAL_HOUR:
            self._wallets.complete_withdrawals()

    def _expiring(self) -> list[tuple[float, Desk]]:
        return [
            (desk.spec.expiry_s, desk)
            for desk in self._desks.values()
            if desk.spec.expiry_s is not None and desk.display.state != "Settled"
        ]

    def fund(self, desk: Desk) -> None:
        """Longs pay shorts the rate of their value at the mark, or get it if it is negative."""
        symbol = desk.spec.symbol
        rate = desk.display.start_funding()
        rate_e8 = to_e8(rate)
        for account_no, position in self._ledger.holders(symbol):
            amount = share(rate_e8, abs(position.mark_value))
            amount = amount if position.qty > 0 else -amount
            funding(self._ledger, self._tape, account_no, position, rate_e8, amount)
        event = FundingEvent(self._tape.now(), symbol, rate, FUNDING_INTERVAL_S)
        self.fundings.append(event)
        self._tape.emit(event)

    def _settle(self, desk: Desk, now_s: float) -> None:
        """Close every position at the index; the house is in between and keeps remainders."""
        symbol = desk.spec.symbol
        price = round(desk.display.index_price, desk.spec.mark_decimals())
        for shelf in self._tape.shelves():
            for order in shelf.open_orders():
                if order.symbol == symbol and order.leaves_qty > 0:
                    desk.cancel(order, "Instrument expired")
        desk.clear_market()
        house = self._ledger.position(HOUSE, desk.spec)
        for account_no, position in self._ledger.holders(symbol):
            if account_no != HOUSE:
                hand_over(
                    self._ledger, self._tape, account_no, house, -position.qty, price,
                    "Settlement", "Settlement", position.fees.settlement,
                )  # fmt: skip
        desk.display.settle(price)
        desk.index.leave(desk.display)
        event = SettlementEvent(now_s, symbol, "Settlement", price)
        self.settlements.append(event)
        self._tape.emit(event)
        self._list_new(next_future(now_s, price))
