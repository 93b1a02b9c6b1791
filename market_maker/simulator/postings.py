"""Executions that no order of the customer brought about: funding, settlement, takeovers."""

from market_maker.simulator.accounts import Ledger
from market_maker.simulator.events import Fill, Order
from market_maker.simulator.positions import Position
from market_maker.simulator.tape import Tape

NO_ORDER = "00000000-0000-0000-0000-000000000000"  # the orderID of captured rows of this kind


def hand_over(
    ledger: Ledger,
    tape: Tape,
    account_no: int,
    to: Position,
    qty: int,
    price: float,
    exec_type: str,
    text: str,
    rate: float,
) -> None:
    """Trade *qty* contracts (negative sells) of an account with *to* at *price*, for a fee."""
    position = ledger.position(account_no, to.spec)
    cost, realised = position.trade(qty, price)
    to.trade(-qty, price)
    fee = ledger.charge(position, rate, cost) if account_no > 0 else 0
    side = "Buy" if qty > 0 else "Sell"
    fill = _fill(tape, to, abs(qty), price, rate, cost, fee, realised)
    tell(tape, account_no, to.spec.symbol, side, exec_type, text, fill)


def funding(
    ledger: Ledger, tape: Tape, account_no: int, position: Position, rate_e8: int, amount: int
) -> None:
    """Book funding that the holder pays (negative: gets)."""
    ledger.pay(position, amount)
    fill = _fill(
        tape, position, abs(position.qty), position.mark_price, rate_e8 / 1e8,
        position.mark_value, amount, 0,
    )  # fmt: skip
    tell(tape, account_no, position.spec.symbol, "", "Funding", "Funding", fill)


def tell(
    tape: Tape, account_no: int, symbol: str, side: str, exec_type: str, text: str, fill: Fill
) -> None:
    """Put an execution without an order on the customer's tape; the others' are not told."""
    if account_no <= 0:
        return
    order = Order(
        NO_ORDER, account_no, symbol, side, fill.qty, fill.price_ticks,
        time_in_force="ImmediateOrCancel", ord_status="Filled", cum_qty=fill.qty,
        avg_px=fill.price, text=text,
    )  # fmt: skip
    tape.order_event(order, exec_type, fill=fill)
    tape.touch(account_no, symbol)


def _fill(
    tape: Tape, position: Position, qty: int, price: float, rate: float, cost: int, comm: int,
    realised: int,
) -> Fill:  # fmt: skip
    ticks = position.spec.grid().nearest(price)
    return Fill(tape.new_id(), tape.new_id(), qty, ticks, False, rate, cost, comm, realised, price)
