"""The position and margin rows of an account, as BitMEX shows them."""

from market_maker.model.rows import Row
from market_maker.simulator.accounts import Ledger, Position
from market_maker.simulator.instruments import Instrument, iso_time, share, to_e8

_NEVER_ABOVE = 100_000_000.0  # a liquidation price that no market reaches, as BitMEX showed it


def position_row(ledger: Ledger, account_no: int, spec: Instrument, now_s: float) -> Row:
    """The position table's row."""
    position = ledger.look(account_no, spec)
    held, cost, profit = position.qty != 0, position.cost, position.unrealised_pnl
    initial, cross, fees = position.margins()
    locked = initial + cross + fees
    limits = _price_limits(position, ledger.funds(account_no).available) if held else (None, None)
    buy_cost, sell_cost = position.open_cost["Buy"], position.open_cost["Sell"]
    sign = -1 if spec.is_inverse else 1
    pnl_ratio = round(profit / abs(cost), 4) if cost else 0.0
    entry = _entry_price(position) if held else None
    return {
        "account": account_no, "symbol": spec.symbol, "currency": spec.settle_currency,
        "underlying": spec.underlying, "quoteCurrency": spec.quote_currency,
        "commission": max(spec.maker_fee, spec.taker_fee), "initMarginReq": spec.init_margin,
        "maintMarginReq": spec.maint_margin, "riskLimit": spec.risk_limit,
        "leverage": round(1 / spec.init_margin, 2), "crossMargin": True,
        "deleveragePercentile": 1.0 if held else None, "rebalancedPnl": 0, "prevRealisedPnl": 0,
        "prevUnrealisedPnl": 0, "openingQty": 0,
        "openOrderBuyQty": position.open_qty["Buy"], "openOrderBuyCost": sign * buy_cost,
        "openOrderBuyPremium": 0, "openOrderSellQty": position.open_qty["Sell"],
        "openOrderSellCost": sign * sell_cost, "openOrderSellPremium": 0,
        "currentQty": position.qty, "currentCost": position.current_cost,
        "currentComm": position.comm, "realisedCost": position.realised_cost,
        "unrealisedCost": cost, "grossOpenPremium": 0, "isOpen": held,
        "markPrice": position.mark_price if held else None, "markValue": position.mark_value,
        "riskValue": abs(position.mark_value) + max(buy_cost, sell_cost),
        **_notional_columns(position), "posState": "", "posCost": cost, "posCross": cross,
        "posComm": fees, "posLoss": 0, "posMargin": locked,
        "posMaint": share(to_e8(spec.maint_margin), abs(cost)) + fees,
        "initMargin": position.order_margin(), "maintMargin": locked + profit,
        "realisedPnl": position.realised_pnl, "unrealisedPnl": profit,
        "unrealisedPnlPcnt": pnl_ratio, "unrealisedRoePcnt": round(pnl_ratio / spec.init_margin, 4),
        "avgCostPrice": entry, "avgEntryPrice": entry, "breakEvenPrice": _break_even(position),
        "marginCallPrice": limits[0], "liquidationPrice": limits[0], "bankruptPrice": limits[1],
        "timestamp": iso_time(now_s),
    }  # fmt: skip


def margin_row(ledger: Ledger, account_no: int, now_s: float) -> Row:
    """The margin table's row in satoshis."""
    funds = ledger.funds(account_no)
    held = list(ledger.positions(account_no).values())
    realised = sum(position.realised_pnl for position in held)
    balance = funds.wallet + funds.unrealised
    used = funds.order_margin + funds.position_margin
    mark_value = sum(abs(position.mark_value) for position in held)
    open_cost = sum(max(position.open_cost.values()) for position in held)
    deposit = ledger.deposit_sat(account_no)
    return {
        "account": account_no, "currency": "XBt", "riskLimit": 1_000_000_000_000, "state": "",
        "amount": deposit, "prevRealisedPnl": 0, "grossComm": sum(p.comm for p in held),
        "grossOpenCost": open_cost, "grossOpenPremium": 0,
        "grossExecCost": sum(abs(position.cost) for position in held),
        "grossMarkValue": mark_value, "riskValue": mark_value + open_cost,
        "initMargin": funds.order_margin, "maintMargin": funds.position_margin,
        "targetExcessMargin": 0, "realisedPnl": realised, "unrealisedPnl": funds.unrealised,
        "walletBalance": funds.wallet, "marginBalance": balance,
        "marginLeverage": mark_value / balance if balance > 0 else 0.0,
        "marginUsedPcnt": round(used / balance, 4) if balance > 0 else 1.0,
        "excessMargin": balance - used, "availableMargin": balance - used,
        "withdrawableMargin": max(0, min(balance, funds.wallet) - used),
        "makerFeeDiscount": 0, "takerFeeDiscount": 0, "timestamp": iso_time(now_s),
    }  # fmt: skip


def _price_at(position: Position, value: float) -> float | None:
    """The price at which what is held is worth *value* satoshis."""
    if value <= 0 or not position.qty:
        return None
    notional = abs(position.contract.multiplier) * abs(position.qty)
    return notional / value if position.contract.is_inverse else value / notional


def _entry_price(position: Position) -> float | None:
    price = _price_at(position, abs(position.cost))
    return None if price is None else round(price, position.spec.grid().decimals + 3)


def _gains_with_value(position: Position) -> bool:
    """Whether the position gains when its contracts' value in satoshis grows."""
    return (position.qty > 0) != position.contract.is_inverse


def _break_even(position: Position) -> float | None:
    """Where leaving would just pay the fees so far; rounded against the holder."""
    sign = 1 if _gains_with_value(position) else -1
    price = _price_at(position, abs(position.cost) + sign * position.comm)
    if price is None:
        return None
    grid = position.spec.grid()
    return grid.price(grid.ask_ticks(price) if position.qty > 0 else grid.bid_ticks(price))


def _price_limits(position: Position, available: int) -> tuple[float | None, float | None]:
    """(liquidation, bankruptcy) price with all of the account's free money behind it."""
    cost = abs(position.cost)
    backing = max(0, available) + sum(position.margins())
    maintenance = share(to_e8(position.spec.maint_margin), cost)
    prices = [_limit_price(position, cost, loss) for loss in (backing - maintenance, backing)]
    return prices[0], prices[1]


def _limit_price(position: Position, cost: int, loss: int) -> float:
    sign = -1 if _gains_with_value(position) else 1
    price = _price_at(position, cost + sign * loss)
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
