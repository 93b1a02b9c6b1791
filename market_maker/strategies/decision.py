"""A position manager: a function, a file or an address decides.

The source is a Python callable, a file or an HTTP endpoint (`decisions/sources.py`). One order at a
time joins the touch of the others and follows it until it is filled or called off. What it opens is
kept in lots in the journal (`decisions/book.py`); the arithmetic is in `quoting/stakes.py`.
"""

from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from market_maker import options
from market_maker.decisions.asker import Asker, Decision
from market_maker.decisions.book import LotBook
from market_maker.decisions.elsewhere import venue_with_lots
from market_maker.decisions.sources import CallSource, FileSource, HttpSource, Source
from market_maker.decisions.tables import DONE, VENUE, Opening
from market_maker.market_maker import OrderManager, logger
from market_maker.model.contracts import Contract
from market_maker.model.rows import SPOT, Row
from market_maker.model.ticks import plain
from market_maker.quoting.converge import Rules
from market_maker.quoting.filters import least_qty
from market_maker.quoting.stakes import SIDES, Means, Standing, net_qty, next_stake
from market_maker.utils.errors import MarketEmptyError, SettingsError, StopTrading

_ALL = Decimal(1)  # the whole trading balance
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ROUNDS = 2  # so long may the two positions differ


class DecisionManager(OrderManager):
    """Does what DECISION_URL, DECISION_FILE or DECISION_CALL says, a stake at a time."""

    options_used = (*options.BRAKE, *options.STAYS)  # its price is the touch, its size the stake
    asker: Asker | None = None

    def on_start(self) -> None:
        """Take up what an earlier run has left, and begin to ask."""
        s, instrument = self.settings, self.exchange.get_instrument()
        source = self.source()
        journal, is_inverse = self.exchange.desk.journal, bool(instrument.get("isInverse"))
        base = str(instrument.get("underlying") or "") if instrument.get("typ") == SPOT else ""
        self.book = LotBook(journal, self.clock, s.ORDERID_PREFIX, is_inverse, base)
        self._check_setup()
        self._odd_rounds = 0
        self._recover()
        self.asker = Asker(
            source,
            self.standing(),
            every_s=s.DECISION_EVERY,
            timeout_s=s.DECISION_TIMEOUT,
            clock=self.clock,
            news=self.exchange.desk.state.call_round,
        )
        self.asker.start()

    @property
    def contract(self) -> Contract:
        """As the exchange lists it now: lots and ticks may change."""
        return Contract.from_instrument(self.exchange.get_instrument())

    def source(self) -> Source:
        """Who decides, by the settings."""
        s = self.settings
        if s.DECISION_CALL is not None:
            return CallSource(s.DECISION_CALL, s.QUANT_ALGO)
        if s.DECISION_FILE is not None:
            return FileSource(Path(s.DECISION_FILE), self.clock)
        if s.DECISION_URL is not None:
            key, parts = s.QUANT_API_KEY or "", urlsplit(s.DECISION_URL)
            if key and parts.scheme == "http" and parts.hostname not in _LOCAL:
                logger.warning(
                    "QUANT_API_KEY goes to %s over plain http: others can read it. Use https.",
                    parts.hostname,
                )
            return HttpSource(s.DECISION_URL, key, s.QUANT_ALGO, s.DECISION_TIMEOUT, self.clock)
        raise SettingsError(
            ["the strategy 'decision' needs DECISION_URL, DECISION_FILE or DECISION_CALL"]
        )

    def on_stop(self) -> None:
        """Ask no more."""
        if self.asker is not None:
            self.asker.stop()

    def place_orders(self) -> None:
        """Hear of fills and decisions, and keep the one order of the opening at the touch."""
        asker = self.asker
        assert asker is not None, "on_start has been called"
        self._hear_fills()
        if not self._positions_agree():
            return
        for decision in asker.heard():
            self._handle_new_decision(decision)
            asker.forget(decision)  # not before: a round that is skipped must not lose it
        if self._is_news("fault", asker.fault or False):
            logger.warning("get_quant_decision - No decision: %s.", asker.fault)
        self._rest(self._opening(asker.silence_s()))
        asker.standing = self.standing()

    def print_status(self) -> None:
        """The status block, and what the lots come to."""
        super().print_status()
        now = self.standing()
        logger.info(
            "print_status - Current Internal Position Percentage Size: %.2f", now.share * 100
        )
        qty = plain(float(now.qty))
        logger.info("print_status - Current Internal Contract Position: %s", qty)

    def standing(self) -> Standing:
        """Where we stand: what the source is told."""
        opening, state = self.book.opening(), self.exchange.desk.state
        bid, ask = state.touch["bidPrice"] or 0.0, state.touch["askPrice"] or 0.0
        return Standing(
            *(self.clock.now(), self.exchange.symbol, bid, ask, opening.side if opening else ""),
            *(self.book.lots(), self.book.flat_at(), self.contract.is_inverse),
        )

    # -- beginning ----------------------------------------------------------------------

    def _check_setup(self) -> None:
        """Lots opened at another venue, by another algorithm or of another size are not ours."""
        s = self.settings
        venue = f"{s.EXCHANGE} {s.BASE_URL or ''}".strip()
        journal = self.exchange.desk.journal.path
        other = venue_with_lots(journal, s, venue) if self.book.is_new else ""
        if other:
            raise SettingsError(
                [
                    f"lots are stored of {VENUE} {other}, and it is {venue} now: set it back, or "
                    f"close the position there and run 'marketmaker clear-state {s.SYMBOL}'. To "
                    "trade at both, give this one an ORDERID_PREFIX of its own"
                ]
            )
        setup = {
            VENUE: venue,
            "QUANT_ALGO": s.QUANT_ALGO,
            "TRADING_BALANCE_SIZE": s.TRADING_BALANCE_SIZE,
        }
        changes = self.book.changes(setup)
        if changes:
            raise SettingsError(
                [
                    f"lots are stored of {changes[0]}: set it back, or close the position and run "
                    f"'marketmaker clear-state {s.SYMBOL}'"
                ]
            )

    def _recover(self) -> None:
        """An opening of an earlier run goes on once, unless its decision is too old by now."""
        opening = self.book.opening()
        if opening is None:
            return
        age_s, end = self.clock.now() - opening.decided_at, "goes on"
        if opening.restarts:
            end = "was taken up before and is dropped"
        elif not 0 <= age_s <= self.settings.DECISION_MAX_AGE:  # below 0 the clock was set back
            end = "is too old and is dropped"
        if end == "goes on":
            self.book.note_restart(opening)
        else:
            self.book.close(opening, "EXPIRED")
        logger.info(
            "get_quant_decision - It seems the bot has restarted: %s of %.0f s ago %s.",
            *(opening.word, age_s, end),
        )

    # -- decisions ----------------------------------------------------------------------

    def _handle_new_decision(self, decision: Decision) -> None:
        """Do what was decided, unless it was done already or is too old."""
        word, key, at = decision.word, decision.key, decision.decided_at
        if word == "NONE":
            return
        if self.book.is_known(key):
            return
        logger.info("handle_new_decision - new decision %s.", word)
        verb, _, way = word.partition("_")
        age_s = self.clock.monotonic() - decision.decided_s
        if verb == "OPEN" and age_s > self.settings.DECISION_MAX_AGE:
            self.book.note(key, word, at, "EXPIRED")
            logger.warning("handle_new_decision - %s is older than DECISION_MAX_AGE.", word)
            return
        side, opening = SIDES[way], self.book.opening()
        if verb == "CANCEL":
            is_meant = opening is not None and opening.side == side
            self.book.note(key, word, at, "DONE" if is_meant else "IGNORED")
            if opening is not None and is_meant:
                self.book.close(opening, "CANCELLED")
            return
        if opening is not None:
            self.book.note(key, word, at, "IGNORED")
            return
        share = _decimal(self.settings.DECISION_STAKE) / 100
        stake = next_stake(side, self.book.lots(), share, self._means(side))
        if stake.refusal:
            self.book.note(key, word, at, "REFUSED")
            logger.warning("handle_new_decision - %s opens nothing: %s.", word, stake.refusal)
            return
        self.book.open(key, word, at, side, stake.qty, stake.share)

    def _means(self, side: str) -> Means:
        margin, s, price = self.exchange.get_margin(), self.settings, self._price(side)
        return Means(
            *(self.contract, price, margin.get("marginBalance"), margin.get("currency")),
            *(s.TRADING_BALANCE_SIZE, self._room(side), s.MAX_ORDER_SIZE),
            least_qty(price, self.exchange.get_instrument()),
        )

    def _opening(self, silence_s: float) -> Opening | None:
        """What is to be carried out now; what a silent source has begun is called off."""
        opening = self.book.opening()
        is_lost = silence_s > self.settings.DECISION_MAX_AGE
        if self._is_news("silence", is_lost):
            logger.error("get_quant_decision - The source is silent: nothing is opened.")
        if opening is None:
            return None
        if is_lost or opening.left < _decimal(self.contract.lot_size):
            self.book.close(opening, "LOST" if is_lost else DONE)  # less than a lot cannot trade
            return None
        return opening

    # -- orders and fills ---------------------------------------------------------------

    def _rest(self, opening: Opening | None) -> None:
        """One order for what is left of the opening, and none else."""
        working = [] if self.exchange.dry_run else self._working_orders()
        if opening is None:
            self.converge_orders([], [])
            return
        ours = self.book.order_ids(opening)
        if any(row.get("clOrdID") not in ours for row in working):
            self.converge_orders([], [])  # what an earlier opening has left goes first
            return
        left = float(opening.left - opening.left % _decimal(self.contract.lot_size))
        price = self._price(opening.side)
        is_there = any(order.get("price") == price for order in working)
        if not is_there and left < least_qty(price, self.exchange.get_instrument()):
            self._end_at_a_rest(opening)
            self.converge_orders([], [])
            return
        row: Row = {
            "side": opening.side,
            "price": price,
            "orderQty": int(left) if left.is_integer() else left,
        }
        rows = [row] if working else self._fit(opening.side, [row])  # its margin is tied up
        is_buy = opening.side == "Buy"
        self.converge_orders(rows if is_buy else [], [] if is_buy else rows)

    def _end_at_a_rest(self, opening: Opening) -> None:
        """Nothing can be placed or moved for what is left of it: make way for the next."""
        self.book.close(opening, DONE if opening.left < opening.qty else "REFUSED")
        logger.info(
            "get_quant_decision - %s ends: the %s that are left are less than the exchange takes.",
            *(opening.word, plain(float(opening.left))),
        )

    def _rules(self) -> Rules:
        """The order follows every tick, and its size is what is left."""
        return super()._rules()._replace(relist_interval=0.0, keep_sizes=False)

    def _price(self, side: str) -> float:
        """The touch of the others on *side*."""
        touch = self.exchange.get_touch()
        price = touch.bid if side == "Buy" else touch.ask
        if price is None:
            raise MarketEmptyError(f"The order book has no {side} order of others to join")
        return price

    def _hear_fills(self) -> None:
        """Take over what our orders have come to, and say which lots were closed."""
        if self.exchange.dry_run:
            return
        for order in self.book.live_orders():
            fate = self.exchange.desk.fate_of(order.cl_ord_id, order.order_id)
            if fate.row.get("orderID") and not order.order_id:
                self.book.note_order(order.cl_ord_id, fate.row["orderID"])
            if _decimal(fate.cum_qty) > order.cum:
                price = fate.row.get("avgPx") or fate.row.get("price") or self._last_price()
                self.book.note_filled(order.cl_ord_id, _decimal(fate.cum_qty), _decimal(price))
            if fate.has_ended:
                self.book.note_end(order.cl_ord_id)
            if fate.has_ended and fate.cum_qty:
                logger.info(
                    "check_new_trade - We have a completed trade. Order details: %s contracts, %s",
                    *(plain(float(fate.cum_qty)), order.cl_ord_id),
                )
        for pair in self.book.take_pairs():
            logger.info("proccess_deleverage_trade - Trade results profit_pct: %f", pair.profit_pct)

    def _last_price(self) -> float:
        return float(self.get_ticker()["last"])

    # -- the two positions --------------------------------------------------------------

    def _positions_agree(self) -> bool:
        """Whether the lots come to the exchange's position. If they do not for two rounds, the
        quotes are pulled and the lots adjusted, or the run ends."""
        desk = self.exchange.desk
        if self.exchange.dry_run or not desk.has_account:
            return True
        orders = desk.state.orders
        if orders.unproven() or next(orders.unknown(), None) is not None:
            return True  # what is in doubt may explain it
        low, high = desk.state.position_range()
        internal = float(net_qty(self.book.lots()))
        lot = self.contract.lot_size
        if low - lot < internal < high + lot:  # less than a lot (fees in kind) cannot be traded
            self._odd_rounds = 0
            return True
        desk.state.want_round()
        self._odd_rounds += 1
        if self._odd_rounds < _ROUNDS:
            return False
        known, ours = plain(low), plain(internal)
        logger.error("Contract Position is %s and Internal Contract Position %s.", known, ours)
        desk.gateway.pull("the two positions differ")
        if low == high:
            self._adjust_internal_state_position(low, _decimal(low) - net_qty(self.book.lots()))
        return False

    def _adjust_internal_state_position(self, position: float, missing: Decimal) -> None:
        if not self.settings.ADJUST_POSITION_DATA:
            raise StopTrading(
                "Contract Position and Internal Contract Position differ, and ADJUST_POSITION_DATA "
                "= False forbids to adjust"
            )
        lots = self.book.lots()
        price = self.exchange.get_position().get("avgEntryPrice") if position else 0
        price = _decimal(price or (lots[0].price if lots else self._last_price()))
        side = "Buy" if missing > 0 else "Sell"
        logger.warning(
            "adjust_internal_state_position - The current position and internal state position are "
            "not in sync: adjusting. Side: %s Contract size: %s Average price: %s",
            *(side, plain(float(missing)), price),
        )
        balance = self.exchange.get_margin().get("marginBalance") or 0
        budget = balance * self.settings.TRADING_BALANCE_SIZE
        worth = self.contract.value(float(missing), float(price))
        share = _decimal(min(1.0, worth / budget)) if budget else _ALL
        self.book.adjust(missing, price, share)
        self._odd_rounds = 0


def _decimal(value: float | Decimal) -> Decimal:
    return Decimal(str(value))
