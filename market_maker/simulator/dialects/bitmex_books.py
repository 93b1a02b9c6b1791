"""The three book tables: all levels, the best 25 a side as levels, the best 10 as a whole."""

from collections.abc import Iterable

from market_maker.model.rows import Row
from market_maker.simulator.dialects.bitmex_messages import Scope, Scoped, table_message
from market_maker.simulator.dialects.bitmex_rows import Listing, iso, level_row
from market_maker.simulator.events import BookEvent
from market_maker.simulator.exchange import Engine, Level

TOP = {"orderBookL2_25": 25, "orderBook10": 10}
TABLES = ("orderBookL2", *TOP)

Sides = tuple[list[Level], list[Level]]


class Books:
    """Renders changes of the book; knows what of the top it has published."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._full: set[str] = set()  # symbols whose whole book somebody had an image of
        self._tops: dict[tuple[str, str], Sides] = {}  # (table, symbol) -> (bids, asks) as shown

    def image(self, table: str, symbol: str, listing: Listing) -> list[Row]:
        """The rows that begin a subscription; from now on its deltas are rendered."""
        if table == "orderBookL2":
            self._full.add(symbol)
            return self.rows(symbol, listing, 0)
        shown = self._tops[table, symbol] = self._engine.book(symbol, TOP[table])
        if table == "orderBook10":
            return [self._ten(symbol, listing, shown)]
        return _rows(listing, shown, self._engine.now())

    def rows(self, symbol: str, listing: Listing, depth: int) -> list[Row]:
        """Price levels, asks then bids, each from high to low; depth 0 is the whole book."""
        return _rows(listing, self._engine.book(symbol, depth), self._engine.now())

    def render(self, event: BookEvent, listing: Listing) -> list[Scoped]:
        """The messages that tell of one level's change, for the tables somebody follows."""
        messages: list[Scoped] = []
        symbol = event.symbol
        if symbol in self._full:
            action = "delete" if not event.size else "update" if event.was else "insert"
            row = level_row(
                listing, event.level_id, event.side, event.size, event.price_ticks, event.time_s
            )
            messages.append(table_message(Scope("orderBookL2", symbol), action, row))
        for table, depth in TOP.items():
            before = self._tops.get((table, symbol))
            if before is None:
                continue
            after = self._engine.book(symbol, depth)
            if after != before:
                self._tops[table, symbol] = after
                scope = Scope(table, symbol)
                if table == "orderBook10":
                    row = self._ten(symbol, listing, after)
                    messages.append(table_message(scope, "update", row))
                else:
                    messages += _deltas(scope, listing, before, after, event.time_s)
        return messages

    def _ten(self, symbol: str, listing: Listing, sides: Sides) -> Row:
        bids, asks = ([[listing.grid.price(x.price_ticks), x.size] for x in xs] for xs in sides)
        return {
            "symbol": symbol,
            "bids": bids,
            "asks": asks,
            "timestamp": iso(self._engine.now()),
        }


def _rows(listing: Listing, sides: Sides, now_s: float) -> list[Row]:
    bids, asks = sides
    return [
        level_row(listing, level.level_id, side, level.size, level.price_ticks, now_s)
        for side, levels in (("Sell", reversed(asks)), ("Buy", bids))
        for level in levels
    ]


def _deltas(
    scope: Scope, listing: Listing, before: Sides, after: Sides, now_s: float
) -> list[Scoped]:
    """What went, what changed and what came; in this order no step shows a crossed book."""
    was, now = _sizes(before), _sizes(after)
    gone = [key for key in was if key not in now]
    changed = [key for key, size in now.items() if key in was and was[key] != size]
    new = [key for key in now if key not in was]

    def rows(keys: Iterable[tuple[str, int, int]]) -> list[Row]:
        return [
            level_row(listing, level_id, side, now.get((side, ticks, level_id), 0), ticks, now_s)
            for side, ticks, level_id in keys
        ]

    deltas = (("delete", gone), ("update", changed), ("insert", new))
    return [table_message(scope, action, *rows(keys)) for action, keys in deltas if keys]


def _sizes(sides: Sides) -> dict[tuple[str, int, int], int]:
    return {
        (side, level.price_ticks, level.level_id): level.size
        for side, levels in zip(("Buy", "Sell"), sides, strict=True)
        for level in levels
    }
