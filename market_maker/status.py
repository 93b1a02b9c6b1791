"""What the bot tells its user: the status block, the plan of a dry run, the last words."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market_maker.model.coins import Coin, coin_of
from market_maker.model.contracts import Contract
from market_maker.model.rows import Row, Ticker
from market_maker.model.ticks import LotGrid, PriceGrid, plain
from market_maker.quoting.ladder import Starts
from market_maker.quoting.limits import is_spot
from market_maker.quoting.queue_estimate import QueueEstimate

logger = logging.getLogger("root")


class Lines:
    """What a round has to say, told when its orders are out: the market does not wait for a log.
    Outside a round it is told at once."""

    def __init__(self) -> None:
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None

    def hold(self) -> None:
        self._held = []

    def say(self, tell: Callable[..., None], *what: Any) -> None:
        if self._held is None:
            tell(*what)
        else:
            self._held.append((tell, what))

    def let_go(self) -> None:
        held, self._held = self._held, None
        for tell, what in held or ():
            tell(*what)


def mark_of(exchange: Any) -> str:
    """What stands beside every amount that is no real money."""
    return f" ({exchange.stakes})" if exchange.stakes else ""


def log_start(exchange: Any) -> None:
    """What is traded, and with whose money."""
    logger.info("Using symbol %s.", exchange.symbol)
    if exchange.dry_run:
        logger.info("Initializing dry run. Orders printed below are not sent.")
    else:
        stakes = exchange.stakes or "executing real trades"
        logger.info("Order Manager initializing. Live run: %s.", stakes)


def log_fill(fill: Row, digits: int) -> None:
    """One execution of ours."""
    side, qty, price = fill.get("side"), fill.get("lastQty") or 0, fill.get("lastPx") or 0
    symbol = fill.get("symbol")
    size = plain(qty)
    logger.info("Execution: %s %s Contracts of %s at %.*f", side, size, symbol, digits, price)


def log_status(manager: Any) -> None:
    """Balance, position, averages, and what this run has traded."""
    exchange, digits = manager.exchange, manager.instrument["tickLog"]
    margin, position = exchange.get_margin(), exchange.get_position()
    mark = mark_of(exchange)
    coin, balance = coin_of(margin.get("currency")), margin.get("marginBalance") or 0
    logger.info("Current %s Balance: %.6f%s", coin.name, balance / coin.unit, mark)
    logger.info("Current Contract Position: %s", plain(position.get("currentQty") or 0))
    settings = manager.settings
    if settings.CHECK_POSITION_LIMITS:
        logger.info("Position limits: %s/%s", settings.MIN_POSITION, settings.MAX_POSITION)
    if position.get("currentQty") and position.get("avgCostPrice"):  # spot accounts tell none
        logger.info("Avg Cost Price: %.*f", digits, position.get("avgCostPrice") or 0)
        logger.info("Avg Entry Price: %.*f", digits, position.get("avgEntryPrice") or 0)
    logger.info("Contracts Traded This Run: %s", plain(manager.running_qty - manager.starting_qty))
    deltas = [f"{delta:.4f} {coin}" for coin, delta in exchange.delta_by_coin().items()]
    logger.info("Total Contract Delta: %s", ", ".join(deltas))
    log_quotes(exchange.desk)


def log_quotes(desk: Any) -> None:
    """How many of our quotes were filled: exchanges warn, then ban, those with too few."""
    sent, filled = desk.gateway.quotes_sent, desk.state.orders.filled_orders
    if sent:
        logger.info("Quotes This Run: %d, Filled: %d (%.2f%%)", sent, filled, 100 * filled / sent)


def log_ticker(instrument: Row, ticker: Ticker, starts: Starts) -> None:
    """Where the market is, and where the ladder begins."""
    digits = instrument["tickLog"]
    logger.info(
        "%s Ticker: Buy: %.*f, Sell: %.*f",
        *(instrument["symbol"], digits, ticker["buy"], digits, ticker["sell"]),
    )
    logger.info(
        "Start Positions: Buy: %.*f, Sell: %.*f, Mid: %.*f",
        *(digits, starts.buy, digits, starts.sell, digits, starts.mid),
    )


def log_limit(side: str, position: float, settings: Any) -> None:
    """*side* ("Long" or "Short") has reached its position limit."""
    name, limit = "Maximum", settings.MAX_POSITION
    if side == "Short":
        name, limit = "Minimum", settings.MIN_POSITION
    logger.info("%s delta limit exceeded", side)
    logger.info("Current Position: %s, %s Position: %s", plain(position), name, plain(limit))


def warn_of_odd_sizes(settings: Any, lot: float) -> None:
    """Sizes off the lot still trade, at the nearest lot."""
    for name in ("ORDER_START_SIZE", "ORDER_STEP_SIZE"):
        if not LotGrid.of(lot).contains(settings[name]):
            logger.warning(
                "%s = %s is no multiple of the lot size %s: sizes go to the nearest lot, at least "
                "one.",
                *(name, plain(settings[name]), plain(lot)),
            )


def log_amends(amends: Sequence[Row], working: Sequence[Row], digits: int) -> None:
    """One line for each change: from what to what, and by how far."""
    by_id = {row.get("orderID"): row for row in working}
    for change in sorted(amends, key=_price, reverse=True):
        old = by_id.get(change["orderID"], change)
        old_price, price = old.get("price") or 0, change.get("price") or old.get("price") or 0
        logger.info(
            "Amending %4s: %s @ %.*f to %s @ %.*f (%+.*f)",
            change["side"],
            plain(old.get("leavesQty") or 0),
            digits,
            old_price,
            plain(change["orderQty"] - (old.get("cumQty") or 0)),
            digits,
            price,
            digits,
            price - old_price,
        )


def log_orders(heading: str, orders: Sequence[Row], digits: int) -> None:
    """A heading with the count, then a line an order, from the highest price down."""
    logger.info(heading, len(orders))
    for order in sorted(orders, key=_price, reverse=True):
        qty = order.get("leavesQty", order.get("orderQty")) or 0
        logger.info("%4s %s @ %.*f", order.get("side"), plain(qty), digits, _price(order))


def log_places(orders: Sequence[Row], queue: QueueEstimate, grid: PriceGrid, now_s: float) -> None:
    """What stands before each of *orders* at its price."""
    for order in orders:
        place = queue.place(order, now_s)
        before = "?" if place.before is None else plain(place.before)
        logger.info(
            "  %s x %s: %s before it (%.2f), %.1f s",
            *(grid.format(order["price"]), plain(order["leavesQty"]), before),
            *(place.ratio, place.age_s),
        )


def log_last_words(manager: Any, fills: int, start_balance: int | None) -> None:
    """What a user wants to know when it is over."""
    exchange = manager.exchange
    qty = exchange.get_position().get("currentQty") or 0
    mark = mark_of(exchange)
    logger.info("Fills this run: %d. Position still open: %s contracts.", fills, plain(qty))
    margin = exchange.get_margin()
    balance, coin = margin.get("marginBalance"), coin_of(margin.get("currency"))
    if balance is not None and start_balance is not None:
        change = balance - start_balance
        logger.info("Balance change: %+.8f %s%s.", change / coin.unit, coin.name, mark)


def print_latency(desk: Any) -> None:
    """Where the time went, if it was measured: a table for the terminal."""
    if desk.latency is not None:
        print("\n".join(desk.latency.lines()), flush=True)


def fees(settings: Any, exchange: Any, instrument: Row) -> dict[str, Any]:
    """Fees and balance of a dry run, the coin of the balance, and what of it is assumed."""
    assumed = [] if exchange.desk.has_account else ["balance"]
    found: dict[str, Any] = {}
    for name in ("maker", "taker"):
        given = settings[f"{name.upper()}_FEE"]
        found[name] = given if given is not None else instrument.get(f"{name}Fee") or 0.0
        if given is not None or not exchange.desk.has_account:
            assumed.append(f"{name} fee")
    margin = exchange.get_margin()
    coin = coin_of(margin.get("currency"))
    balance = (margin.get("marginBalance") or 0) / coin.unit
    return {**found, "balance": balance, "coin": coin.name, "assumed": assumed}


def show_plan(
    orders: Sequence[Row], ticker: Ticker, instrument: Row, fees: Mapping[str, Any]
) -> None:
    """Print the table of a dry run."""
    for line in plan_lines(orders, ticker, instrument, fees):
        print(line, flush=True)


def plan_lines(
    orders: Sequence[Row], ticker: Ticker, instrument: Row, fees: Mapping[str, Any]
) -> list[str]:
    """The table of a dry run: each order it would have in the book, and the totals.

    *fees*: `maker` and `taker` ratios, `balance` in units of `coin`, and `assumed`, the names of
    those that stand in because the account cannot be read.
    """
    contract = Contract.from_instrument(instrument)
    grid = PriceGrid.of(instrument.get("tickSize") or 0.01)
    coin = coin_of(contract.settle_currency)
    margin_ratio = 1.0 if is_spot(instrument) else instrument.get("initMargin") or 0.01
    # A stop has a trigger, no price.
    orders = sorted((o for o in orders if o.get("price")), key=lambda o: -float(o["price"]))
    values = [contract.value(o["orderQty"], o["price"]) / coin.unit for o in orders]
    whole_digits = len(f"{max(values, default=0):.0f}")
    digits = max(2, min(coin.decimals, 9 - whole_digits))  # the columns hold so many
    lines = [
        f"{'side':<5}{'price':>11}{'size':>8}{'from mid':>10}{'ticks':>8}"
        f"{f'value {coin.name}':>12}{'margin':>11}{'fee':>13}",
    ]
    for order, value in zip(orders, values, strict=True):
        away = order["price"] / ticker["mid"] - 1
        ticks = (order["price"] - ticker["mid"]) * grid.scale / grid.units
        lines.append(
            f"{order['side']:<5}{grid.format(order['price']):>11}{order['orderQty']:>8}"
            f"{away:>+10.4%}{ticks:>+8.1f}{value:>12.{digits}f}{value * margin_ratio:>11.{digits}f}"
            f"{value * fees['maker']:>+13.{digits}f}"
        )
    buys = [order for order in orders if order["side"] == "Buy"]
    sells = [order for order in orders[::-1] if order["side"] == "Sell"]
    if buys and sells:
        spread = sells[0]["price"] - buys[0]["price"]
        mid = (sells[0]["price"] + buys[0]["price"]) / 2
        lines.append(f"quoted spread {spread:g} ({spread / mid:.4%})")
    lines += _funds_lines(sum(values) * margin_ratio, coin, fees)
    lines += _gain_lines(contract, buys, sells, fees["maker"])
    lines.append("nothing was sent")
    return lines


def _funds_lines(margin: float, coin: Coin, fees: Mapping[str, Any]) -> list[str]:
    needed = f"margin needed {margin:.6f} of {fees['balance']:.6f} {coin.name}"
    if fees["coin"] != coin.name:  # a dry run without a key assumes XBT
        needed = f"margin needed {margin:.6f} {coin.name}"
    rates = f"maker fee {fees['maker']:+.4%}, taker {fees['taker']:+.4%}"
    assumed = f" (assumed: {', '.join(fees['assumed'])})" if fees["assumed"] else ""
    return [needed, rates + assumed]


def _gain_lines(
    contract: Contract, buys: Sequence[Row], sells: Sequence[Row], maker_fee: float
) -> list[str]:
    """What buying and selling again at each level wins, three levels a line."""
    coin = coin_of(contract.settle_currency)
    gains = [
        _round_trip_gain(contract, buy, sell, maker_fee) / coin.unit
        for buy, sell in zip(buys, sells, strict=False)
    ]
    lines = []
    for first in range(0, len(gains), 3):
        levels = (f"{i + 1} {gains[i]:+.{coin.decimals}f}" for i in range(first, len(gains))[:3])
        lines.append(f"one round trip gains, {coin.name}, by level: " + "  ".join(levels))
    return lines


def _round_trip_gain(contract: Contract, buy: Row, sell: Row, maker_fee: float) -> float:
    """Minor units won by buying and selling the smaller of two sizes, fees paid."""
    qty = min(buy["orderQty"], sell["orderQty"])
    bought, sold = contract.cost(qty, buy["price"]), contract.cost(-qty, sell["price"])
    gross = -(bought + sold)
    return gross - maker_fee * (abs(bought) + abs(sold))


def _price(order: Row) -> float:
    return float(order.get("price") or order.get("stopPx") or 0)
