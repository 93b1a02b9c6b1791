"""`marketmaker cancel-all`, `marketmaker resume` and `marketmaker withdraw`."""

import random
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, Self

from market_maker import supervised, venue
from market_maker.clock import Clock
from market_maker.commands.check import is_ours
from market_maker.exchange_interface import ExchangeInterface
from market_maker.exchanges import losses
from market_maker.exchanges.base import Connector, Status, error_message
from market_maker.journal import Journal
from market_maker.settings import Settings
from market_maker.utils.constants import XBt_TO_XBT


def cancel_all(settings: Settings) -> int:
    """Cancel every open order of the symbol and ask whether any is left; 1 if so."""
    if venue.is_play_money(settings):
        print("The built-in exchange starts anew with each bot: no order rests there.")
        return 0
    connector = venue.open_connector(settings, str(settings.SYMBOL), Clock())
    try:
        return _cancel_open(settings, connector)
    finally:
        connector.stop()


def cancel_own(settings: Settings) -> int:
    """Cancel the orders that a bot which has died has left, and verify that none is left."""
    if settings.DRY_RUN or (venue.is_play_money(settings) and not supervised.play_folder()):
        print("Nothing of a bot that has ended rests here.")
        return 0
    clock, rng, symbol = Clock(), random.Random(), str(settings.SYMBOL)
    desk = venue.open_desk(settings, symbol, clock, rng, only_cancels=True)
    exchange = ExchangeInterface(desk=desk, settings=settings, clock=clock, rng=rng)
    try:
        found = desk.gateway.cancel_own()
        print(f"{len(found)} orders cancelled, none is left.")
        supervised.report(desk.journal.count_fills(supervised.began_s()), exchange.get_delta())
    finally:
        desk.close()
    return 0


def _cancel_open(settings: Settings, connector: Connector) -> int:
    orders = connector.fetch_open_orders()
    if not orders:
        print(f"No open orders of {connector.symbol}.")
        return 0
    for row in orders:
        owner = "" if is_ours(row, settings) else " (not of this bot)"
        size = row.get("leavesQty")
        print(f"Canceling: {row.get('side')} {size} @ {row.get('price')}{owner}")
    if settings.DRY_RUN:
        print("Dry run: nothing was sent.")
        return 0
    ids = [str(row["orderID"]) for row in orders]
    step = max(1, connector.caps.max_cancel)
    for start in range(0, len(ids), step):
        for result in connector.cancel(ids[start : start + step]):
            if result.status not in (Status.OK, Status.ACCEPTED):
                print(f"Not cancelled: {result.text}", file=sys.stderr)
    left = connector.fetch_open_orders()
    print(f"{len(orders)} cancelled, none left." if not left else f"{len(left)} orders are LEFT.")
    return 1 if left else 0


def resume(settings: Settings) -> int:
    """Let a bot that a loss limit has stopped trade again, its losses measured from here."""
    if venue.is_play_money(settings):
        print("The built-in exchange starts anew with each bot: there is nothing to resume.")
        return 0
    clock = Clock()
    connector = venue.open_connector(settings, str(settings.SYMBOL), clock)
    connector.stop()
    path = Path(venue.journal_path(settings, connector))
    journal = Journal(path, clock) if path.exists() else None
    reason = losses.stop_of(journal) if journal else ""
    if journal:
        if reason:
            losses.resume(journal)
        journal.close()
    if reason:
        print(f"It was stopped: {reason}. It may trade {connector.symbol} again.")
    else:
        print(f"No bot for {connector.symbol} is stopped here.")
    return 0


class Withdrawal(NamedTuple):
    """What to send where; amounts in satoshi. `fee_sat` None: the exchange chooses."""

    amount_sat: int
    address: str
    fee_sat: int | None

    @classmethod
    def parse(cls, amount: str, address: str, fee: str | None) -> Self:
        """Read the words of the command line; raises ValueError with a line for the user."""
        if not address.isalnum():
            raise ValueError(f"'{address}' is no address")
        fee_sat = None if fee is None else to_satoshi(fee, "the fee", least=0)
        return cls(to_satoshi(amount, "the amount", least=1), address, fee_sat)


def to_satoshi(text: str, what: str, least: int) -> int:
    """Whole satoshi in *text*, an amount of XBT; raises ValueError below *least* or between."""
    try:
        satoshi = Decimal(text) * XBt_TO_XBT
        if satoshi.is_finite() and satoshi == int(satoshi) and satoshi >= least:
            return int(satoshi)
    except InvalidOperation:
        pass
    raise ValueError(f"{what} must be XBT with at most 8 decimals, such as 0.5; was '{text}'")


def withdraw(settings: Settings, wanted: Withdrawal, *, yes: bool) -> int:
    """Show the amounts, have the amount typed again, then ask the exchange to send it.

    Without a terminal nothing is asked: *yes* must be given, else the exit code is 2.
    """
    _show(wanted)
    if not yes:
        if not sys.stdin.isatty():
            print("Without a terminal 'withdraw' needs --yes. Nothing was sent.", file=sys.stderr)
            return 2
        if _typed_satoshi() != wanted.amount_sat:
            print("The amounts differ. Nothing was sent.", file=sys.stderr)
            return 2
    if settings.DRY_RUN:
        print("Dry run: nothing was sent.")
        return 0
    connector = venue.open_connector(settings, str(settings.SYMBOL), Clock())
    try:
        return _send(connector, wanted)
    finally:
        connector.stop()


def _send(connector: Connector, wanted: Withdrawal) -> int:
    body = {
        "currency": "XBt",
        "network": "btc",
        "amount": wanted.amount_sat,
        "address": wanted.address,
    }
    if wanted.fee_sat is not None:
        body["fee"] = wanted.fee_sat
    answer = connector.call("POST", "/user/requestWithdrawal", None, body)
    if 200 <= answer.status < 300:
        state = answer.body.get("transactStatus") if isinstance(answer.body, dict) else None
        print(f"The exchange has taken the request: {state or 'no status given'}.")
        return 0
    if answer.sent and (answer.status == 0 or answer.status >= 500):
        print(
            f"No usable answer ({error_message(answer)}): the request may have been taken. "
            "Look at the account before trying again.",
            file=sys.stderr,
        )
    else:
        print(f"The exchange refuses: {error_message(answer)}", file=sys.stderr)
    return 1


def _show(wanted: Withdrawal) -> None:
    fee = "chosen by the exchange"
    if wanted.fee_sat is not None:
        fee = f"{_xbt(wanted.fee_sat)} XBT ({wanted.fee_sat} satoshi)"
    print(f"Withdraw {_xbt(wanted.amount_sat)} XBT ({wanted.amount_sat} satoshi)")
    print(f"to       {wanted.address}")
    print(f"fee      {fee}")
    print("The exchange may ask you to confirm by e-mail or with a second factor.")


def _xbt(satoshi: int) -> str:
    return f"{satoshi / XBt_TO_XBT:.8f}"


def _typed_satoshi() -> int | None:
    try:
        return to_satoshi(input("Type the amount in XBT again: ").strip(), "the amount", least=1)
    except (ValueError, EOFError):
        return None
