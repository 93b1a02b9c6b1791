"""The arithmetic of a ping-pong grid, in Decimal with 16 digits, halves to even.

"ppt" (parts per trade): one level down divides the price by 1 + space / 100 and rounds it down;
one level up multiplies it and rounds it up. The size grows by `boost` on the way down and shrinks
by it on the way up: with power 2 price times size is the same on every level, with 0 the size is.
"fullfixed": the space is a distance in price, and the size stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from market_maker.model.rows import opposite

_DECIMAL64 = Context(prec=16, rounding=ROUND_HALF_EVEN)
_MOST = 1000  # steps on the way to a price; a grid so long is a mistake


class Quote(NamedTuple):
    """A price and a size."""

    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True)
class GridRules:
    """What one step is, and which quotes are allowed."""

    kind: str  # "ppt" or "fullfixed"
    space: Decimal  # per cent (ppt) or price (fullfixed)
    price_step: Decimal  # prices are multiples of it
    qty_step: Decimal  # sizes are multiples of it; the minimum amount
    power: Decimal = Decimal(0)
    no_qty_cutoff: bool = False  # a size that rounds to nothing becomes the minimum amount
    min_price: Decimal | None = None
    max_price: Decimal | None = None

    @property
    def rate(self) -> Decimal:
        """The ratio of two neighbouring prices."""
        return _DECIMAL64.add(1, _DECIMAL64.divide(self.space, Decimal(100)))

    @property
    def boost(self) -> Decimal:
        """The ratio of two neighbouring sizes."""
        return _DECIMAL64.power(_DECIMAL64.sqrt(self.rate), self.power)

    def step(self, side: str, quote: Quote) -> Quote:
        """One level away from *quote*: down for "Buy", up for "Sell"."""
        if self.kind == "fullfixed":
            away = -self.space if side == "Buy" else self.space
            return Quote(quote.price + away, quote.qty)
        exact = self.exact_step(side, quote)
        down, up = (ROUND_FLOOR, ROUND_CEILING) if side == "Buy" else (ROUND_CEILING, ROUND_FLOOR)
        return Quote(
            round_to(exact.price, self.price_step, down), round_to(exact.qty, self.qty_step, up)
        )

    def exact_step(self, side: str, quote: Quote) -> Quote:
        """The same before anything is rounded to the exchange's steps."""
        if self.kind == "fullfixed":
            return self.step(side, quote)
        if side == "Buy":
            price = _DECIMAL64.divide(quote.price, self.rate)
            return Quote(price, _DECIMAL64.multiply(quote.qty, self.boost))
        price = _DECIMAL64.multiply(quote.price, self.rate)
        return Quote(price, _DECIMAL64.divide(quote.qty, self.boost))

    def allow(self, quote: Quote) -> Quote | None:
        """The quote as it may be placed, or None."""
        price, qty = quote
        if price <= 0:
            return None
        if qty <= 0 and self.no_qty_cutoff:
            qty = self.qty_step
        if self.min_price is not None and price < self.min_price:
            return None
        if self.max_price is not None and price > self.max_price:
            return None
        qty = round_to(qty, self.qty_step, ROUND_HALF_EVEN)
        return Quote(price, qty) if qty > 0 else None


def round_to(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """The multiple of *step* next to *value*."""
    return (value / step).quantize(Decimal(1), rounding=rounding) * step


def seed(rules: GridRules, side: str, start: Quote, levels: int, first: int = 1) -> list[Quote]:
    """The quotes of *side* outward from *start*, levels *first* to *first + levels - 1*.

    *first* is 2 where *start* is an order of the other side. Rounding compounds.
    """
    quotes, quote = [], start
    for number in range(1, first + levels):
        quote = rules.step(side, quote)
        if number >= first:
            quotes.append(quote)
    return [allowed for quote in quotes if (allowed := rules.allow(quote)) is not None]


def counter(rules: GridRules, side: str, filled: Quote) -> Quote | None:
    """What an order of *side* that was filled is answered with on the other side, one level
    away; None where the rules do not allow it."""
    return next(iter(seed(rules, opposite(side), filled, 1)), None)


class Middle(NamedTuple):
    """Where the steps from an order's own price reach the market."""

    quote: Quote
    levels: int


def middle(rules: GridRules, side: str, best: Quote, market: Decimal) -> Middle:
    """From the *best* own order of *side*, step towards the *market* until it is reached."""
    quote, levels, towards = best, 0, opposite(side)
    while levels < _MOST and (quote.price < market if side == "Buy" else quote.price > market):
        quote, levels = rules.step(towards, quote), levels + 1
    return Middle(quote, levels)


class Plan(NamedTuple):
    """How many levels each side shall have, and the sizes a fresh grid begins with."""

    buy_levels: int
    sell_levels: int
    buy_qty: Decimal
    sell_qty: Decimal

    def levels(self, side: str) -> int:
        """How many levels *side* shall have."""
        return self.buy_levels if side == "Buy" else self.sell_levels


Seeds = dict[str, list[Quote]]


def initial_seed(
    rules: GridRules, plan: Plan, market: Decimal, buys: Sequence[Quote], sells: Sequence[Quote]
) -> Seeds:
    """What a grid around *market* needs beside the orders it has, each side from the touch."""
    if not buys and not sells:
        return {
            "Buy": seed(rules, "Buy", Quote(market, plan.buy_qty), plan.buy_levels),
            "Sell": seed(rules, "Sell", Quote(market, plan.sell_qty), plan.sell_levels),
        }
    if sells:
        found = middle(rules, "Sell", min(sells), market)
        inner = _inner(rules, plan, "Sell", found)
        if not buys:
            return {"Buy": seed(rules, "Buy", found.quote, plan.buy_levels), "Sell": inner}
        below = middle(rules, "Buy", max(buys), found.quote.price)
        return {"Buy": _inner(rules, plan, "Buy", below), "Sell": inner}
    found = middle(rules, "Buy", max(buys), market)
    outer = seed(rules, "Sell", found.quote, plan.sell_levels)
    return {"Buy": _inner(rules, plan, "Buy", found), "Sell": outer}


def _inner(rules: GridRules, plan: Plan, side: str, found: Middle) -> list[Quote]:
    """The levels between the middle and the order it was reached from."""
    return seed(rules, side, found.quote, min(max(0, found.levels - 1), plan.levels(side)))


def grow(rules: GridRules, plan: Plan, buys: Sequence[Quote], sells: Sequence[Quote]) -> Seeds:
    """The levels each side lacks: outward from its farthest order or from the best one of the
    other side, whichever lies farther out.

    An order that the market has passed may lie behind the other side: beyond it, up to the best
    of these, every place is theirs.
    """
    ours = {"Buy": sorted(buys, reverse=True), "Sell": sorted(sells)}
    grown: Seeds = {}
    for side, quotes in ours.items():
        missing = max(0, plan.levels(side) - len(quotes))
        starts = [(quote, 2) for quote in ours[opposite(side)][:1]]
        starts += [(quote, 1) for quote in quotes[-1:]]
        starts.sort(key=lambda start: _nth(rules, side, *start).price, reverse=side == "Buy")
        grown[side] = seed(rules, side, starts[-1][0], missing, starts[-1][1]) if starts else []
    return grown


def _nth(rules: GridRules, side: str, start: Quote, number: int) -> Quote:
    """The quote of *side* that lies *number* levels outward from *start*."""
    for _ in range(number):
        start = rules.step(side, start)
    return start


def worst_rounding(rules: GridRules, plan: Plan, price: Decimal) -> Decimal:
    """The largest ratio by which a size of the grid around *price* is rounded."""
    worst = Decimal(0)
    for side in ("Buy", "Sell"):
        quote = Quote(price, plan.buy_qty if side == "Buy" else plan.sell_qty)
        placed = round_to(quote.qty, rules.qty_step, ROUND_HALF_EVEN)
        worst = max(worst, abs(placed / quote.qty - 1))
        for _ in range(plan.levels(side)):
            exact, quote = rules.exact_step(side, quote), rules.step(side, quote)
            if quote.price <= 0 or quote.qty <= 0 or exact.qty <= 0:
                return max(worst, Decimal(1))
            placed = round_to(quote.qty, rules.qty_step, ROUND_HALF_EVEN)
            worst = max(worst, abs(placed / exact.qty - 1))
    return worst
