"""A ping-pong grid: a filled order is answered on the other side.

What rests where is kept in the journal (`market_maker/levels.py`), so that GRID_SEED = "cont" goes
on after any end of the program with the same prices and what was left of the sizes. The arithmetic
is in `market_maker/quoting/grid.py`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from market_maker import options
from market_maker.exchanges.base import ExchangeError
from market_maker.levels import Level, LevelBook, doubled, last_price, nearest_first
from market_maker.market_maker import OrderManager, logger
from market_maker.model.rows import Row
from market_maker.quoting import grid
from market_maker.quoting.grid import GridRules, Quote
from market_maker.utils.errors import NotSupported, SettingsError, SkipRound, StopTrading

_ROUNDED_AT_MOST = Decimal("0.01")
_REST_S = 2.0  # after an order was refused, before its level is tried again


class Grid(OrderManager):
    """Levels of buys below and of sells above, GRID_SPACE apart."""

    options_used = options.BRAKE  # prices and sizes are the grid's own

    def on_start(self) -> None:
        """Read the settings against the instrument: refuses a grid that would not be itself."""
        s, instrument = self.settings, self.exchange.get_instrument()
        tick, lot = _decimal(instrument.get("tickSize") or 1), self._lot()
        self.rules = GridRules(
            s.GRID_KIND,
            _decimal(s.GRID_SPACE),
            _step("GRID_BASE_SCALE", s.GRID_BASE_SCALE, tick),
            _step("GRID_COUNTER_SCALE", s.GRID_COUNTER_SCALE, lot),
            _decimal(s.GRID_QUANTITY_POWER),
            bool(s.GRID_NO_QTY_CUTOFF),
            None if s.GRID_MIN_PRICE is None else _decimal(s.GRID_MIN_PRICE),
            None if s.GRID_MAX_PRICE is None else _decimal(s.GRID_MAX_PRICE),
        )
        quantities = (_decimal(s.GRID_BUY_QUANTITY), _decimal(s.GRID_SELL_QUANTITY))
        self.plan = grid.Plan(s.GRID_BUY_LEVELS, s.GRID_SELL_LEVELS, *quantities)
        in_price = ["GRID_SPACE"] if s.GRID_KIND == "fullfixed" else []
        for name in [*in_price, *([] if isinstance(s.GRID_SEED, str) else ["GRID_SEED"])]:
            if _decimal(s[name]) % tick:
                raise SettingsError([f"{name} = {s[name]} is no multiple of the tick {tick}"])
        self._check_plan(_decimal(self.get_ticker()["mid"]))
        counter = lambda side, filled: grid.counter(self.rules, side, filled)  # noqa: E731
        self.levels = LevelBook(self.exchange.desk.journal, counter)
        self._has_begun = False
        self._misfit = ""  # why its sizes cannot be placed now
        self._first_lot = lot
        self._rest_until: dict[int, float] = {}  # level -> when it may be tried again

    def _check_plan(self, mid: Decimal) -> None:
        """Raise SettingsError where the levels around *mid* would not be those asked for."""
        space, lowest = self.settings.GRID_SPACE, Quote(mid, self.plan.buy_qty)
        if not self.rules.step("Buy", lowest).price < mid < self.rules.step("Sell", lowest).price:
            raise SettingsError([f"GRID_SPACE = {space} is no space between two prices"])
        for _ in range(self.plan.buy_levels):
            lowest = self.rules.step("Buy", lowest)
        if lowest.price <= 0:
            raise SettingsError([f"GRID_SPACE = {space}: GRID_BUY_LEVELS would go below 0"])
        worst = self._worst_rounding(self.rules)
        if worst > _ROUNDED_AT_MOST:
            raise SettingsError(
                [
                    f"a size of the grid would be rounded by {worst:.1%} to multiples of "
                    f"{self.rules.qty_step}, more than {_ROUNDED_AT_MOST:.0%}: raise "
                    "GRID_BUY_QUANTITY and GRID_SELL_QUANTITY"
                ]
            )

    def reset(self) -> None:
        """Begin: "cont" keeps the orders that are there, the other seeds clear them first."""
        if self._clears():
            self.exchange.cancel_all_orders()
        self.sanity_check()
        self.print_status()
        self.place_orders()

    def place_orders(self) -> None:
        """Hear what became of the orders, answer what is filled, fill up both sides."""
        if not self._has_begun:
            self._begin()
            self._has_begun = True
        self._hear()
        self.levels.pay_owed()
        resting = self._unfilled()
        self._check_lot(resting)
        orders = self.exchange.desk.state.orders
        if not orders.unproven() and next(orders.unknown(), None) is None:  # nothing is in flight
            self._grow(resting)
            resting = self._unfilled()
        twice = doubled(resting)
        self.levels.drop(twice)
        # Those that wait keep no other level from resting in their place.
        left_out = {*twice, *self._odd(resting), *self._passed(resting)}
        able = [level for level in resting if level not in left_out]
        wanted = [*self._wanted("Buy", able), *self._wanted("Sell", able)]
        if self.exchange.dry_run:
            rows = [self._row(level) for level in wanted]
            buys = [row for row in rows if row["side"] == "Buy"]
            self.converge_orders(buys, [row for row in rows if row["side"] == "Sell"])
            return
        kept = {level.id for level in wanted}
        self._cancel([level for level in resting if level.id not in kept])
        self._place([level for level in wanted if not level.cl_ord_id])

    def print_status(self) -> None:
        """The status block, and where the grid stands."""
        super().print_status()
        levels = self.levels.all()
        owed = sum(level.left <= 0 for level in levels)
        for side in ("Buy", "Sell"):
            ours = nearest_first(levels, side)
            prices = sorted(level.price for level in ours if level.cl_ord_id)
            if prices:
                waiting = f", {len(ours) - len(prices)} waiting" if len(ours) > len(prices) else ""
                count, low, high = len(prices), f"{prices[0]:f}", f"{prices[-1]:f}"
                logger.info("Grid %ss: %d from %s to %s%s", side, count, low, high, waiting)
        if owed:
            logger.info("Grid counters owed: %d", owed)
        if self._misfit:
            logger.info("Grid: no quotes: %s.", self._misfit)

    # -- beginning ----------------------------------------------------------------------

    def _clears(self) -> bool:
        """Whether the start cancels what is there: as CLEAR_ORDERS says, else all but "cont"."""
        if self.settings.CLEAR_ORDERS is not None:
            return bool(self.settings.CLEAR_ORDERS)
        return bool(self.settings.GRID_SEED != "cont")

    def _begin(self) -> None:
        is_continued = self.settings.GRID_SEED == "cont"
        if self._clears() and not is_continued:
            self.levels.clear()
        else:
            self._hear()
            if not is_continued:  # only what rests counts, and what is owed
                self.levels.drop(level for level in self.levels.all() if not level.cl_ord_id)
            self.levels.adopt(self.exchange.get_orders())
        levels = self.levels.all()
        if is_continued and levels:
            logger.info("The grid continues with %d levels.", len(levels))
            return
        market = self._seed_price()
        found = grid.initial_seed(self.rules, self.plan, market, *self._quotes(levels))
        if not (levels or any(found.values())):
            raise SettingsError(
                [f"no level around {market:f} lies between GRID_MIN_PRICE and GRID_MAX_PRICE"]
            )
        for side, quotes in found.items():
            self.levels.add_seeds(side, quotes)
        logger.info("The grid is seeded at %s.", f"{market:f}")

    def _seed_price(self) -> Decimal:
        method = self.settings.GRID_SEED
        if not isinstance(method, str):
            return self._on_tick(_decimal(method))
        if method != "lastOwn":
            return self._on_tick(_decimal(self.get_ticker()["last"]))
        price = self.levels.last_own_price()
        if price is None:
            try:
                rows = self.exchange.desk.connector.fetch_rows(
                    "execution/tradeHistory", count=100, reverse="true"
                )
                price = last_price(rows)
            except (ExchangeError, NotSupported) as error:
                logger.debug("The trade history cannot be asked: %s", error)
        if price is None:
            raise StopTrading("GRID_SEED = 'lastOwn', but there is no trade of ours to begin from")
        return self._on_tick(price)

    def _on_tick(self, price: Decimal) -> Decimal:
        return grid.round_to(price, _decimal(self.instrument["tickSize"]), "ROUND_HALF_EVEN")

    # -- round by round -----------------------------------------------------------------

    def _hear(self) -> None:
        """Take over what the orders of the levels have come to."""
        for level in self.levels.all():
            if not level.cl_ord_id:
                continue
            fate = self.exchange.desk.fate_of(level.cl_ord_id, level.order_id)
            if fate.row.get("orderID") and not level.order_id:
                self.levels.note_order(level.cl_ord_id, fate.row["orderID"])
            filled = _decimal(fate.cum_qty)
            if fate.has_ended:
                self.levels.note_end(level.cl_ord_id, filled)
            elif filled > level.cum:  # of the many levels, few have news
                self.levels.note_filled(level.cl_ord_id, filled)

    def _unfilled(self) -> list[Level]:
        return [level for level in self.levels.all() if level.left > 0]

    def _grow(self, levels: list[Level]) -> None:
        # A side is full without what waits: it would show nothing meanwhile. Seeds of no lot do not
        # count, for what is seeded in their place may be of none either.
        odd = [level for level in self._odd(levels) if not level.is_seed]
        waiting = Counter(level.side for level in {*odd, *self._passed(levels)})
        plan = self.plan._replace(
            buy_levels=self.plan.buy_levels + waiting["Buy"],
            sell_levels=self.plan.sell_levels + waiting["Sell"],
        )
        for side, quotes in grid.grow(self.rules, plan, *self._quotes(levels)).items():
            self.levels.add_seeds(side, quotes)  # all farther out than what the side has

    def _check_lot(self, levels: list[Level]) -> None:
        """Raise SkipRound where the exchange's lot has become such that the sizes are the grid's
        no more. What is left of a level that was filled in part may wait for a smaller lot."""
        lot = self._lot()
        is_odd = lot != self._first_lot and (
            self._worst_rounding(replace(self.rules, qty_step=lot)) > _ROUNDED_AT_MOST
        )
        lefts = [level.left for level in levels]
        if is_odd or (lefts and all(left % lot for left in lefts)):
            self._misfit = f"the sizes of the grid are no multiples of the lot size, now {lot}"
            raise SkipRound(self._misfit)
        self._misfit = ""
        odd = self._odd(levels)
        if self._is_news("odd lots", bool(odd) and str(lot)):
            logger.warning(
                "Grid: %d levels wait: their sizes are no multiples of the lot size, now %s.",
                *(len(odd), lot),
            )

    def _odd(self, levels: Iterable[Level]) -> list[Level]:
        """Those without an order whose size is no multiple of the lot."""
        lot = self._lot()
        return [level for level in levels if not level.cl_ord_id and level.left % lot]

    def _passed(self, levels: Iterable[Level]) -> list[Level]:
        """Those without an order that would take now and must not: the market has passed them."""
        ticker = self._ticker()
        bid, ask = ticker["buy"], ticker["sell"]
        free = [level for level in levels if not level.cl_ord_id]
        return [le for le in free if self.settings.POST_ONLY and _would_take(le, bid, ask)]

    def _lot(self) -> Decimal:
        """As the exchange lists it now."""
        return _decimal(self.exchange.get_instrument().get("lotSize") or 1)

    def _worst_rounding(self, rules: GridRules) -> Decimal:
        return grid.worst_rounding(rules, self.plan, _decimal(self.get_ticker()["mid"]))

    def _wanted(self, side: str, levels: list[Level]) -> list[Level]:
        """What of *side* shall be in the book, nearest first. With STRICT_LEVELS what is too far
        waits in the journal."""
        ours = nearest_first(levels, side)
        if self.settings.STRICT_LEVELS:
            ours = ours[: self.plan.levels(side)]
        ours = self.quote_options.within_brake(side, ours[::-1])[::-1]  # the others wait their turn
        rows = {level.id: self._row(level) for level in reversed(ours)}
        kept = {id(row) for row in self._fit(side, list(rows.values()))}
        return [level for level in ours if level.cl_ord_id or id(rows[level.id]) in kept]

    def _cancel(self, levels: list[Level]) -> None:
        found = [
            {**self._row(level), "orderID": level.order_id} for level in levels if level.order_id
        ]
        if found:
            self.exchange.cancel_bulk_orders(found)

    def _place(self, levels: list[Level]) -> None:
        """Place the orders of *levels*; one that is refused stays owed and is tried again."""
        now_s = self.clock.monotonic()
        due = [level for level in levels if self._rest_until.get(level.id, now_s) <= now_s]
        if not due:
            return
        ids = [self.exchange.desk.gateway.reserve_client_id() for _ in due]
        self.levels.claim(list(zip(due, ids, strict=True)))
        rows = [{**self._row(level), "clOrdID": name} for level, name in zip(due, ids, strict=True)]
        for level, name, row in zip(due, ids, self.exchange.create_bulk_orders(rows), strict=True):
            if row.get("ordStatus") == "Rejected":
                self._rest_until[level.id] = now_s + _REST_S
                self.levels.note_end(name, Decimal(0))
            elif row.get("orderID"):
                self.levels.note_order(name, row["orderID"])

    def _row(self, level: Level) -> Row:
        """The order of *level*, on the ticks of now: the exchange may have made them coarser."""
        rounding = "ROUND_FLOOR" if level.side == "Buy" else "ROUND_CEILING"
        tick, qty = _decimal(self.exchange.get_instrument().get("tickSize") or 1), level.left
        price = grid.round_to(level.price, tick, rounding)
        whole = int(qty) if qty == qty.to_integral_value() else float(qty)
        return {"side": level.side, "price": float(price), "orderQty": whole}

    @staticmethod
    def _quotes(levels: list[Level]) -> tuple[list[Quote], list[Quote]]:
        """Prices and original sizes of the buys and of the sells."""
        buys = [level.quote for level in levels if level.side == "Buy" and level.left > 0]
        return buys, [level.quote for level in levels if level.side == "Sell" and level.left > 0]


def _decimal(value: float | Decimal) -> Decimal:
    return Decimal(str(value))


def _step(name: str, scale: int | None, least: Decimal) -> Decimal:
    """10 to the minus *scale*, which must fit the exchange's own step *least*."""
    step = least if scale is None else Decimal(1).scaleb(-scale)
    if step % least:
        raise SettingsError([f"{name} = {scale} means steps of {step}, no multiple of {least}"])
    return step


def _would_take(level: Level, bid: float, ask: float) -> bool:
    price = float(level.price)
    return price >= ask if level.side == "Buy" else price <= bid
