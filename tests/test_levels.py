"""The levels of a grid, whatever its parameters and whatever order its orders are filled in."""

import decimal
from collections import Counter
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.journal import Journal
from market_maker.levels import Level, LevelBook, doubled, nearest_first
from market_maker.model.rows import opposite
from market_maker.quoting.grid import GridRules, Plan, Quote, counter, grow, initial_seed

D = decimal.Decimal
TICKS = ["0.5", "0.1", "0.01", "0.0001", "0.00001", "0.00000001"]
LOTS = ["100", "1", "0.001", "0.00000001"]


class Set(NamedTuple):
    """A grid to play with."""

    rules: GridRules
    plan: Plan
    market: decimal.Decimal


@st.composite
def grids(draw: st.DrawFn) -> Set:
    tick, lot = D(draw(st.sampled_from(TICKS))), D(draw(st.sampled_from(LOTS)))
    kind = draw(st.sampled_from(["ppt", "fullfixed"]))
    if kind == "ppt":
        space = D(draw(st.sampled_from(["0.001", "0.05", "0.5", "3"])))
    else:
        space = tick * draw(st.integers(1, 50))
    power = D(draw(st.sampled_from(["0", "1", "2", "-1"])))
    plan = Plan(
        *(draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        *(lot * draw(st.integers(100, 500)), lot * draw(st.integers(100, 500))),
    )
    market = tick * draw(st.integers(2_000, 2_000_000))
    return Set(GridRules(kind, space, tick, lot, power), plan, market)


class Play:
    """The rounds of a grid, without an exchange: what may rest does, the best is filled first."""

    def __init__(self, grid: Set) -> None:
        self.rules, self.plan, _ = grid
        answer = lambda side, quote: counter(self.rules, side, quote)  # noqa: E731
        self.book = LevelBook(Journal(":memory:", ManualClock()), answer)
        self._ids = count()
        for side, quotes in initial_seed(self.rules, self.plan, grid.market, [], []).items():
            self.book.add_seeds(side, quotes)
        self.settle()

    def settle(self) -> None:
        """Pay, grow, drop and place, as a round of the strategy does."""
        self.book.pay_owed()
        levels = [level for level in self.book.all() if level.left > 0]
        sides = [[le.quote for le in levels if le.side == side] for side in ("Buy", "Sell")]
        for side, quotes in grow(self.rules, self.plan, *sides).items():
            self.book.add_seeds(side, quotes)
        self.book.drop(doubled(self.book.all()))
        for level in self.placed():
            if not level.cl_ord_id:
                self.book.claim([(level, f"order-{next(self._ids)}")])

    def placed(self) -> list[Level]:
        """What STRICT_LEVELS leaves in the book."""
        levels = self.book.all()
        return [
            level
            for side in ("Buy", "Sell")
            for level in nearest_first(levels, side)[: self.plan.levels(side)]
        ]

    def best(self, side: str) -> Level | None:
        return next((level for level in self.placed() if level.side == side), None)


STEPS = st.lists(
    st.tuples(st.sampled_from(["Buy", "Sell"]), st.sampled_from([None, 1, 7, 60])), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(grid=grids(), steps=STEPS)
def test_every_fill_has_one_answer_own_quotes_never_meet_and_all_lies_on_the_grid(
    grid: Set, steps: list[tuple[str, int | None]]
) -> None:
    play = Play(grid)
    for side, lots in steps:
        best = play.best(side)
        if best is None:
            continue
        filled = best.left if lots is None else min(best.left, lots * play.rules.qty_step)
        before = Counter((le.side, *le.quote) for le in play.book.all() if le.id != best.id)
        play.book.note_filled(best.cl_ord_id, best.cum + filled)
        after = Counter((le.side, *le.quote) for le in play.book.all() if le.id != best.id)
        answer = counter(play.rules, side, best.quote) if filled == best.left else None
        expected = [(opposite(side), *answer)] if answer else []
        assert list((after - before).elements()) == expected
        assert before - after == Counter()
        play.settle()
        check(play)


def check(play: Play) -> None:
    buys, sells = ([le for le in play.placed() if le.side == s] for s in ("Buy", "Sell"))
    if buys and sells:
        assert max(le.price for le in buys) < min(le.price for le in sells)
    for level in play.book.all():
        assert level.price > 0 and level.price % play.rules.price_step == 0
        assert level.size > 0 and level.size % play.rules.qty_step == 0


@settings(max_examples=60, deadline=None)
@given(grid=grids(), steps=STEPS)
def test_with_equal_sizes_what_rests_is_what_was_seeded_and_called_for(
    grid: Set, steps: list[tuple[str, int | None]]
) -> None:
    """Counters conserve quantity, also those of orders that were cancelled half filled."""
    rules, plan, market = grid
    even = GridRules(rules.kind, rules.space, rules.price_step, rules.qty_step)
    play = Play(Set(even, plan, market))
    for number, (side, lots) in enumerate(steps):
        best = play.best(side)
        if best is None:
            continue
        filled = best.left if lots is None else min(best.left, lots * even.qty_step)
        before = owed(play)
        play.book.note_filled(best.cl_ord_id, best.cum + filled)
        if number % 3 == 0 and filled < best.left:
            play.book.note_end(best.cl_ord_id, best.cum + filled)
        changed = {s: owed(play)[s] - before[s] for s in before}
        assert changed == {side: -filled, opposite(side): filled}
        play.settle()


def owed(play: Play) -> dict[str, decimal.Decimal]:
    """What each side still has to trade, with the counters that are not written down yet."""
    sums = {"Buy": D(0), "Sell": D(0)}
    for level in play.book.all():
        sums[level.side] += level.left
        sums[opposite(level.side)] += level.filled + level.cum - level.settled
    return sums


@pytest.mark.parametrize(
    ("second_is_seed", "qty", "found"), [(True, 5, 1), (False, 5, 0), (True, 6, 0)]
)
def test_only_a_seed_of_the_same_price_and_size_is_double(
    second_is_seed: bool, qty: int, found: int
) -> None:
    def level(number: int, size: int, is_seed: bool) -> Level:
        zero = D(0)
        return Level(number, "Buy", D(100), D(size), zero, zero, is_seed, "", "", zero)

    levels = [level(1, 5, True), level(2, qty, second_is_seed)]
    assert [le.id for le in doubled(levels)] == [2][:found]


def one_level(answers: bool = True) -> LevelBook:
    """A buy of 10 at 995 under the order "a"; its counters may be refused."""
    rules = GridRules("fullfixed", D(5), D("0.5"), D(1), max_price=None if answers else D(999))
    book = LevelBook(Journal(":memory:", ManualClock()), lambda s, q: counter(rules, s, q))
    book.add_seeds("Buy", [Quote(D(995), D(10))])
    book.claim([(book.all()[0], "a")])
    return book


def test_a_counter_that_was_refused_for_a_part_comes_for_the_whole_original_size() -> None:
    book = one_level(answers=False)
    book.note_end("a", D(4))  # cancelled half filled; no counter may be placed
    assert [(le.side, le.left) for le in book.all()] == [("Buy", 6)]
    book._counter = lambda side, filled: Quote(D(1000), filled.qty)
    book.claim([(book.all()[0], "b")])
    book.note_filled("b", D(6))
    assert [(le.side, le.price, le.size) for le in book.all()] == [("Sell", 1000, 10)]


@pytest.mark.parametrize("answers", [True, False])
def test_what_has_an_order_or_owes_a_counter_is_never_dropped(answers: bool) -> None:
    book = one_level(answers)
    book.drop(book.all())
    assert len(book.all()) == 1, "its order may be filled"
    book.note_end("a", D(4))
    book.drop(le for le in book.all() if le.side == "Buy")
    assert [le.side for le in book.all()] == (["Sell"] if answers else ["Buy"])
