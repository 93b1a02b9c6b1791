"""What happens to a position whose margin is used up.

BitMEX's way: at the mark price where the maintenance margin would be touched, the open orders of
the symbol are cancelled; if that does not help, the position is taken over at its bankruptcy
price. Here the insurance fund is the account that takes it over. It sells into the book: first
at the bankruptcy price, and if that finds nobody by the next mark, at what the book gives. When
the fund is empty, traders on the other side are deleveraged at the bankruptcy price.
"""

from collections.abc import Mapping

from market_maker.simulator.accounts import FUND, MARKET, Ledger
from market_maker.simulator.desk import Desk
from market_maker.simulator.events import Order
from market_maker.simulator.positions import Position
from market_maker.simulator.postings import hand_over
from market_maker.simulator.statements import bankruptcy_price, price_of_cost
from market_maker.simulator.tape import Tape


class Liquidator:
    """Watches the positions of all customers and unwinds what the fund had to take over."""

    def __init__(self, ledger: Ledger, tape: Tape, desks: Mapping[str, Desk]) -> None:
        self._ledger, self._tape, self._desks = ledger, tape, desks
        self._seen: dict[str, float] = {}  # symbol -> mark at which its remainder was offered

    def check(self) -> None:
        """Take over what touched its maintenance margin since the last flush, and unwind."""
        for account_no, symbol in self._tape.touched():
            if account_no > 0 and self.is_due(account_no, self._desks[symbol]):
                self.liquidate(account_no, symbol)
        for symbol, position in list(self._ledger.positions(FUND).items()):
            if position.qty and self._seen.get(symbol) != position.mark_price:
                self._unwind(position)

    def is_due(self, account_no: int, desk: Desk) -> bool:
        """Whether the position's margin no longer covers its maintenance."""
        position = self._ledger.look(account_no, desk.spec)
        if not position.qty or not desk.is_open or desk.spec.is_spot:
            return False
        left = self._ledger.backing(account_no, position) + position.unrealised_pnl
        return left < position.maintenance()

    def liquidate(self, account_no: int, symbol: str) -> None:
        """Cancel the symbol's orders; take the position over if it is due, or else at the mark."""
        desk = self._desks[symbol]
        was_due = self.is_due(account_no, desk)
        position = self._ledger.position(account_no, desk.spec)
        self._set_state(account_no, position, "Liquidation")
        self._cancel_orders(account_no, desk, "Position in liquidation")
        if position.qty and (not was_due or self.is_due(account_no, desk)):
            price = position.mark_price
            if was_due:
                price = bankruptcy_price(self._ledger, account_no, position)
            self._take_over(account_no, desk, position, price)
        self._set_state(account_no, position, "")

    def deleverage(self, account_no: int, symbol: str, qty: int, price: float) -> None:
        """Close *qty* contracts of the account at *price* against the market's position."""
        desk = self._desks[symbol]
        self._deleverage(account_no, desk, qty, price, self._ledger.position(MARKET, desk.spec))

    def orders(self) -> list[Order]:
        """The liquidation engine's own open orders."""
        return self._tape.shelf(FUND).open_orders()

    def _take_over(self, account_no: int, desk: Desk, position: Position, price: float) -> None:
        fund = self._ledger.position(FUND, desk.spec)
        qty, was = position.qty, fund.qty
        hand_over(
            self._ledger, self._tape, account_no, fund, -qty, price, "Liquidation", "Liquidation",
            position.fees.taker,
        )  # fmt: skip
        if fund.qty and (fund.qty > 0) == (qty > 0):
            grid = desk.grid
            limit = grid.ask_ticks(price) if qty > 0 else grid.bid_ticks(price)
            self._seen[desk.spec.symbol] = fund.mark_price
            self._offer(desk, min(abs(qty), abs(was + qty)), limit)

    def _offer(self, desk: Desk, qty: int, limit_ticks: int) -> None:
        """Sell (or buy back) contracts of the fund at *limit_ticks* or better."""
        held = self._ledger.position(FUND, desk.spec).qty
        desk.submit(
            Order(
                "", FUND, desk.spec.symbol, "Sell" if held > 0 else "Buy", qty, limit_ticks,
                leaves_qty=qty, text="Liquidation",
            )
        )  # fmt: skip

    def _unwind(self, position: Position) -> None:
        """The fund still holds contracts at a new mark: get rid of them."""
        desk = self._desks[position.spec.symbol]
        self._seen[position.spec.symbol] = position.mark_price
        for order in self.orders():
            if order.symbol == position.spec.symbol:
                desk.cancel(order, "Liquidation order replaced")
        if not desk.is_open:
            return
        funds = self._ledger.funds(FUND, position.spec.settle_currency)
        if funds.wallet + funds.unrealised < 0:
            self._deleverage_others(desk, position)
        if position.qty:
            touch = desk.book.bids.best() if position.qty > 0 else desk.book.asks.best()
            nearest = desk.grid.nearest(position.mark_price)
            self._offer(desk, abs(position.qty), nearest if touch is None else touch)

    def _deleverage_others(self, desk: Desk, position: Position) -> None:
        """Close the fund's contracts against the traders with the most leveraged profit."""
        price = price_of_cost(position, abs(position.cost)) or position.mark_price
        for account_no, other in self.ranking(desk.spec.symbol, -1 if position.qty > 0 else 1):
            if not position.qty:
                return
            qty = min(abs(position.qty), abs(other.qty))
            self._deleverage(account_no, desk, qty, price, position)

    def ranking(self, symbol: str, sign: int) -> list[tuple[int, Position]]:
        """Holders on one side (1 long, -1 short), first to be deleveraged first; market last."""
        held = [
            (account_no, position)
            for account_no, position in self._ledger.holders(symbol)
            if position.qty * sign > 0 and account_no in (MARKET, max(account_no, 1))
        ]
        return sorted(held, key=lambda item: (item[0] == MARKET, -item[1].leveraged_profit()))

    def _deleverage(
        self, account_no: int, desk: Desk, qty: int, price: float, to: Position
    ) -> None:
        position = self._ledger.position(account_no, desk.spec)
        qty = min(qty, abs(position.qty))
        if not qty:
            return
        self._set_state(account_no, position, "Deleverage")
        self._cancel_orders(account_no, desk, "Position deleveraged")
        hand_over(
            self._ledger, self._tape, account_no, to, -qty if position.qty > 0 else qty, price,
            "Trade", "Deleverage", position.fees.maker,
        )  # fmt: skip
        self._set_state(account_no, position, "")

    def _cancel_orders(self, account_no: int, desk: Desk, reason: str) -> None:
        for order in self._tape.shelf(account_no).open_orders():
            if order.symbol == desk.spec.symbol and order.leaves_qty > 0:
                desk.cancel(order, reason)

    def _set_state(self, account_no: int, position: Position, state: str) -> None:
        """Show posState; each value is told on its own, as BitMEX did."""
        position.state = state
        if account_no > 0:
            self._tape.touch(account_no, position.spec.symbol)
            if state:
                self._tape.flush_accounts()
