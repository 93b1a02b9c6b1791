"""The position and margin rows of an account, as BitMEX shows them."""

from market_maker.model.rows import Row
from market_maker.simulator.accounts import Ledger
from market_maker.simulator.instruments import RATE_SCALE, Instrument, iso_time
from market_maker.simulator.positions import Position

_NEVER_ABOVE = 100_000_000.0  # a liquidation price that no market reaches, as BitMEX showed it
_ACCOUNT_RISK_LIMIT = 1_000_000_000_000  # of captured margin rows


def position_row(ledger: Ledger, account_no: int, spec: Instrument, now_s: float) -> Row:
    """The position table's row."""
    position = ledger.look(account_no, spec)
    held, cost, profit = position.qty != 0, position.cost, position.unrealised_pnl
    initial, cross, fees = position.margins()
    locked = initial + cross + fees
    gross, premium = position.gross_open()
    sign = -1 if spec.is_inverse else 1
    ratio = profit / abs(cost) if cost else 0.0
    leverage = RATE_SCALE / position.init_e8
    entry = _entry_price(position) if held else None
    return {
        "account": account_no, "symbol": spec.symbol, "currency": spec.settle_currency,
        "underlying": spec.underlying, "quoteCurrency": spec.quote_currency,
        "commission": max(position.fees), "initMarginReq": position.init_e8 / RATE_SCALE,
        "maintMarginReq": position.maint_e8 / RATE_SCALE, "riskLimit": position.risk_limit,
        "leverage": round(leverage, 2), "crossMargin": position.is_cross,
        "deleveragePercentile": ledger.percentile(position) if held else None,
        "rebalancedPnl": -position.rebalanced,
        "prevRealisedPnl": position.rebalanced, "prevUnrealisedPnl": 0, "openingQty": 0,
        **_open_columns(position, sign),
        "currentQty": position.qty, "currentCost": position.current_cost,
        "currentComm": position.comm, "realisedCost": position.realised_cost,
        "unrealisedCost": cost, "grossOpenPremium": premium, "isOpen": held,
        "markPrice": position.mark_price if held else None, "markValue": position.mark_value,
        "riskValue": abs(position.mark_value) + gross,
        **_notional_columns(position), "posState": position.state, "posCost": cost,
        "posCross": cross, "posComm": fees, "posLoss": 0, "posMargin": locked,
        "posMaint": position.maintenance() + fees,
        "initMargin": position.order_margin(), "maintMargin": locked + profit,
        "realisedPnl": position.realised_pnl, "unrealisedPnl": profit,
        "unrealisedPnlPcnt": round(ratio, 4), "unrealisedRoePcnt": round(ratio * leverage, 4),
        "avgCostPrice": entry, "avgEntryPrice": entry, "breakEvenPrice": _break_even(position),
        **_limit_columns(ledger, account_no, position), "timestamp": iso_time(now_s),
    }  # fmt: skip


def margin_row(ledger: Ledger, account_no: int, now_s: float, currency: str = "XBt") -> Row:
    """The margin table's row of one currency, in its minor units."""
    funds = ledger.funds(account_no, currency)
    held = [
        position
        for position in ledger.positions(account_no).values()
        if position.spec.settle_currency == currency
    ]
    balance = funds.wallet + funds.unrealised
    used = funds.order_margin + funds.position_margin
    mark_value = sum(abs(position.mark_value) for position in held)
    open_cost, premium = map(sum, zip((0, 0), *(p.gross_open() for p in held), strict=True))
    return {
        "account": account_no, "currency": currency, "riskLimit": _ACCOUNT_RISK_LIMIT, "state": "",
        "amount": ledger.amount(account_no, currency),
        "prevRealisedPnl": sum(position.rebalanced for position in held),
        "grossComm": sum(p.comm for p in held),
        "grossOpenCost": open_cost, "grossOpenPremium": premium,
        "grossExecCost": sum(abs(position.cost) for position in held),
        "grossMarkValue": mark_value, "riskValue": mark_value + open_cost,
        "initMargin": funds.order_margin, "maintMargin": funds.position_margin,
        "targetExcessMargin": 0, "realisedPnl": sum(p.realised_pnl for p in held),
        "unrealisedPnl": funds.unrealised,
        "walletBalance": funds.wallet, "marginBalance": balance,
        "marginLeverage": mark_value / balance if balance > 0 else 0.0,
        "marginUsedPcnt": round(used / balance, 4) if balance > 0 else 1.0,
        "excessMargin": balance - used, "availableMargin": balance - used,
        "withdrawableMargin": funds.withdrawable,
        "makerFeeDiscount": 0, "takerFeeDiscount": 0, "timestamp": iso_time(now_s),
    }  # fmt: skip


def price_of_cost(position: Position, value: float) -> float | None:
    """The price at which what is held is worth *value*, in minor units."""
    if value <= 0 or not position.qty:
        return None
    notional = abs(position.contract.multiplier) * abs(position.qty)
    return notional / value if position.contract.is_inverse else value / notional


def bankruptcy_price(ledger: Ledger, account_no: int, position: Position) -> float:
    """Where leaving costs, with the fee, just all that stands behind the position.

    On the grid, rounded in the holder's favour, so that nobody can lose more than he has.
    """
    cost, fee_e8 = abs(position.cost), position.taker_e8
    sign = -1 if _gains_with_value(position) else 1
    total = ledger.backing(account_no, position) + position.margins()[2]
    loss = (total * RATE_SCALE - fee_e8 * cost) // (RATE_SCALE + sign * fee_e8)
    price = price_of_cost(position, cost + sign * loss)
    grid = position.spec.grid()
    if price is None or price > _NEVER_ABOVE:
        return position.spec.tick_size if position.qty > 0 else _NEVER_ABOVE
    ticks = grid.ask_ticks(price) if position.qty > 0 else grid.bid_ticks(price)
    return grid.price(max(1, ticks))


def _open_columns(position: Position, sign: int) -> Row:
    row: Row = {}
    for side in ("Buy", "Sell"):
        row[f"openOrder{side}Qty"] = position.open_qty[side]
        row[f"openOrder{side}Cost"] = sign * position.open_cost[side]
        row[f"openOrder{side}Premium"] = position.open_premium[side]
    return row


def _entry_price(position: Position) -> float | None:
    price = price_of_cost(position, abs(position.cost))
    return None if price is None else round(price, position.spec.grid().decimals + 3)


def _gains_with_value(position: Position) -> bool:
    """Whether the position gains when its contracts' value grows."""
    return (position.qty > 0) != position.contract.is_inverse


def _break_even(position: Position) -> float | None:
    """Where leaving would just pay the fees so far; rounded against the holder."""
    sign = 1 if _gains_with_value(position) else -1
    price = price_of_cost(position, abs(position.cost) + sign * position.comm)
    if price is None:
        return None
    grid = position.spec.grid()
    return grid.price(grid.ask_ticks(price) if position.qty > 0 else grid.bid_ticks(price))


def _limit_columns(ledger: Ledger, account_no: int, position: Position) -> Row:
    """Where the position would be taken over, and where all behind it would be lost."""
    liquidation = bankrupt = None
    if position.qty:
        bankrupt = bankruptcy_price(ledger, account_no, position)
        liquidation = liquidation_price(ledger, account_no, position)
    return {
        "marginCallPrice": liquidation,
        "liquidationPrice": liquidation,
        "bankruptPrice": bankrupt,
    }


def liquidation_price(ledger: Ledger, account_no: int, position: Position) -> float:
    """The mark price at which what is held would be taken over."""
    loss = ledger.backing(account_no, position) - position.maintenance()
    sign = -1 if _gains_with_value(position) else 1
    price = price_of_cost(position, abs(position.cost) + sign * loss)
    if price is None or price > _NEVER_ABOVE:
        return position.spec.tick_size if position.qty > 0 else _NEVER_ABOVE
    grid = position.spec.grid()
    return grid.price(grid.bid_ticks(price) if position.qty > 0 else grid.ask_ticks(price))


def _notional_columns(position: Position) -> dict[str, float]:
    if not position.qty:
        return {"homeNotional": 0.0, "foreignNotional": 0.0}
    _, home, foreign = position.spec.notionals(position.qty, position.mark_price)
    sign = 1 if position.qty > 0 else -1
    return {"homeNotional": sign * home, "foreignNotional": -sign * foreign}
