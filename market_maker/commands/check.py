"""`marketmaker check`: would the bot be able to trade? Places nothing."""

from collections.abc import Iterator
from typing import Any

from market_maker import venue
from market_maker.clock import Clock
from market_maker.exchanges.base import Connector, error_message, first_answers
from market_maker.exchanges.symbols import find_instrument, unknown_symbol
from market_maker.model.coins import Coin, coin_of
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row
from market_maker.model.ticks import LotGrid, PriceGrid, plain
from market_maker.quoting.limits import is_spot
from market_maker.settings import Settings, warnings
from market_maker.strategy_loader import load_strategy
from market_maker.utils.errors import NotSupported

_NOBODYS_ORDER = "00000000-0000-0000-0000-000000000000"
_TOLERATED_OFFSET_S = 5.0  # requests expire about so long after they are signed
_DEFAULT_INIT_MARGIN = 0.01
_WITHOUT_LADDER = ("grid", "decision")  # their sizes are their own


def check(settings: Settings) -> int:
    """Print a line for each thing checked; exit code 1 if one keeps the bot from trading."""
    symbol = str(settings.SYMBOL)
    files = ", ".join(path.name for path in settings.loaded_files()) or "the defaults"
    from market_maker.market_maker import OrderManager

    load_strategy(settings, OrderManager)
    _say("Settings", f"{files}: no faults")
    _say("Strategy", settings.STRATEGY)
    for line in warnings(settings):
        _say("Warning", line)
    connector = venue.open_connector(settings, symbol, Clock())
    try:
        return _check_exchange(settings, connector)
    finally:
        connector.stop()


def _check_exchange(settings: Settings, connector: Connector) -> int:
    if venue.is_play_money(settings):
        _say("Exchange", "built-in, play money")
    else:
        _say("Exchange", f"{settings.EXCHANGE} at {settings.BASE_URL or 'its own address'}")
    with first_answers():
        instrument = find_instrument(connector)
    fault = None if instrument else unknown_symbol(connector)
    if instrument is None or fault:
        _say("Symbol", str(fault))
        return 1
    _say_symbol(instrument)
    faults = [_say_clock(connector)]
    if connector.account_key == "public" and settings.DRY_RUN:
        _say("Key", "none; a dry run needs none, so funds, orders and position are not checked")
    else:
        faults += [_say_rights(settings, connector), _say_funds(settings, connector, instrument)]
        _say_orders(settings, connector)
        _say_position(connector)
    return 1 if any(faults) else 0


def _say_symbol(row: Row) -> None:
    tick, lot = row.get("tickSize") or 0.5, row.get("lotSize") or 1
    state = row.get("state") or "state unknown"
    _say(
        "Symbol",
        f"{row['symbol']} {state}, tick {PriceGrid.of(tick).format(tick)}, lot {plain(lot)}",
    )


def _say_clock(connector: Connector) -> bool:
    offset_s = connector.server_offset_s()
    too_far = abs(offset_s) > _TOLERATED_OFFSET_S
    advice = ": set this machine's clock; the bot corrects for it meanwhile" if too_far else ""
    _say("Clock", f"the exchange is {offset_s:+.1f} s from ours{advice}")
    return False


def _say_rights(settings: Settings, connector: Connector) -> bool:
    """Whether the key may trade. True: it may not."""
    try:
        listed = connector.call("GET", "/apiKey")
        if listed.status == 200 and isinstance(listed.body, list):
            for row in listed.body:
                if row.get("id") in (settings.BITMEX_API_KEY, connector.account_key):
                    rights = ", ".join(map(str, row.get("permissions") or ())) or "read only"
                    excess = " (it may withdraw money: give the bot one that may only trade)"
                    _say("Key", f"valid; rights: {rights}{excess if 'withdraw' in rights else ''}")
                    return "order" not in rights.split(", ")
        # Amending an order that cannot exist changes nothing; the refusal tells the rights.
        body = {"orderID": _NOBODYS_ORDER, "leavesQty": 0}
        answer = connector.call("PUT", "/order", None, body)
    except NotSupported:
        _say("Key", "its rights cannot be asked of this exchange")
        return False
    refused = answer.refuses_key
    if refused:
        _say("Key", f"may not trade: {error_message(answer)}")
    elif answer.status in (400, 404):  # it looked for the order, so the key may amend
        _say("Key", "valid; may trade")
    else:
        _say("Key", f"rights unknown: {error_message(answer)}")
    return refused


def _say_funds(settings: Settings, connector: Connector, instrument: Row) -> bool:
    """Whether the funds carry the ladder. True: they do not."""
    coin = coin_of(instrument.get("settlCurrency"))
    rows = connector.fetch_rows("margin")
    ours = [row for row in rows if coin_of(row.get("currency")) == coin] or [{}]
    available = int(ours[0].get("availableMargin") or 0)
    text = f"{_amount(available, coin)} {coin.name} available"
    if settings.STRATEGY in _WITHOUT_LADDER:
        _say("Funds", text)
        return False
    needed = ladder_margin(settings, instrument)
    if needed is None:
        _say("Funds", f"{text}; no price yet to tell what the ladder needs")
        return False
    short = available < needed
    verdict = ": too little" if short else ""
    _say("Funds", f"{text}, the ladder needs {_amount(needed, coin)}{verdict}")
    return short


def ladder_margin(settings: Settings, instrument: Row) -> int | None:
    """Minor units that all orders of the ladder tie up, by initial margin and taker fee; on spot
    what its bids cost.

    None without a price. All levels are taken at today's price, which the margin rounds up.
    """
    price = instrument.get("midPrice") or instrument.get("lastPrice") or instrument.get("markPrice")
    if not price:
        return None
    contract = Contract.from_instrument(instrument)
    rate = float(instrument.get("initMargin") or _DEFAULT_INIT_MARGIN)
    fee = float(instrument.get("takerFee") or 0.0)
    value = sum(contract.value(qty, float(price)) for qty in _sizes(settings, contract.lot_size))
    return round(value * (1 + fee) if is_spot(instrument) else 2 * value * (rate + 2 * fee))


def _sizes(settings: Settings, lot: float) -> Iterator[float]:
    for level in range(int(settings.ORDER_PAIRS)):
        if settings.RANDOM_ORDER_SIZE:
            yield settings.MAX_ORDER_SIZE
        else:
            qty = settings.ORDER_START_SIZE + level * settings.ORDER_STEP_SIZE
            yield max(lot, LotGrid.of(lot).nearest(qty))


def _say_orders(settings: Settings, connector: Connector) -> None:
    orders = connector.fetch_open_orders()
    ours = sum(is_ours(row, settings) for row in orders)
    _say("Orders", f"{ours} of ours open, {len(orders) - ours} of others")


def is_ours(row: Row, settings: Settings) -> bool:
    """Whether an order carries our prefix."""
    return str(row.get("clOrdID") or "").startswith(str(settings.ORDERID_PREFIX))


def _say_position(connector: Connector) -> None:
    rows = [r for r in connector.fetch_rows("position") if r.get("symbol") == connector.symbol]
    row = rows[0] if rows else {}
    entry = (
        f" at {row['avgEntryPrice']}" if row.get("currentQty") and row.get("avgEntryPrice") else ""
    )
    _say("Position", f"{row.get('currentQty') or 0} contracts{entry}")


def _amount(minor_units: int, coin: Coin) -> str:
    return f"{minor_units / coin.unit:.6f}"


def _say(what: str, text: Any) -> None:
    print(f"{what:<10}{text}")
