"""One side of a recorded book, as last seen and as it now stands in ours."""

from market_maker.simulator.liquidity import Liquidity


class RecordedSide:
    """Plays what a recording tells of the bids or the asks. Prices are ticks from here on."""

    def __init__(self, market: Liquidity, side: str) -> None:
        self._market, self._side = market, side
        self._sign = 1 if side == "Buy" else -1
        self._latest: dict[float, int] | None = {}  # the last whole book, if it still holds
        self._recorded: dict[int, int] = {}  # price -> size as last recorded
        self._standing: dict[int, int] = {}  # price -> what we left in the book
        self._eaten: dict[int, int] = {}  # price -> what customers took of it
        self._traded: set[int] = set()  # prices to compare again after a trade
        self._ticks: dict[float, int] = {}  # price as recorded -> ticks

    def levels(self) -> dict[float, int]:
        """The recorded prices and sizes."""
        return {price: self._recorded[ticks] for price, ticks in self._ticks.items()
                if ticks in self._recorded}  # fmt: skip

    def clear(self) -> None:
        """Take all anonymous liquidity out of the book."""
        for price in self._market.prices(self._side, -self._sign * 2**62):
            self._market.resize(self._side, price, 0)

    def best(self) -> float | None:
        """The best recorded price."""
        if not self._recorded:
            return None
        return self._market.grid.price(self._outermost(-self._sign))

    def trade(self, taker_side: str, price_ticks: int, qty: int) -> None:
        """Play a recorded trade that hit this side."""
        self._notice(price_ticks)
        met = self._market.prices(self._side, price_ticks)
        self._market.replay(taker_side, qty, price_ticks)
        for price in met:
            if price in self._recorded:
                self._standing[price] = self._market.size(self._side, price)
                self._traded.add(price)

    def compare(self, levels: dict[float, int]) -> dict[int, int]:
        """What a whole book changes: price -> size, 0 for what is gone."""
        before, self._latest = self._latest, levels
        if levels is before:
            return {}
        ticks = self._to_ticks
        if before is not None:
            changed = {ticks(price): 0 for price in before.keys() - levels.keys()}
            changed.update((ticks(p), size) for p, size in levels.items() - before.items())
            return changed
        now = {ticks(price): size for price, size in levels.items()}
        gone = dict.fromkeys(self._recorded.keys() - now.keys(), 0)
        return gone | {p: size for p, size in now.items() if self._recorded.get(p) != size}

    def convert(self, levels: dict[float, int]) -> dict[int, int]:
        """Changed levels by ticks."""
        if levels:
            self._latest = None
        return {self._to_ticks(price): size for price, size in levels.items()}

    def shrink(self, changes: dict[int, int]) -> list[tuple[int, int, bool]]:
        """Take away what is no longer there; what is new: (ticks, size, goes in front)."""
        if self._traded:
            recorded = self._recorded
            changes = {p: recorded[p] for p in self._traded if p in recorded} | changes
            self._traded = set()
        if not changes:
            return []
        edge = self._edge_before(changes)
        more = []
        for price in sorted(changes):
            size = changes[price]
            if not size:
                self._forget(price)
                continue
            # beyond what the recording showed until now others may have been there first
            is_in_front = price not in self._recorded and (edge - price) * self._sign > 0
            self._recorded[price] = size
            self._notice(price)
            target = size - self._eaten.get(price, 0)
            if target < self._market.size(self._side, price):
                self._resize(price, target, in_front=False)
            else:
                more.append((price, target, is_in_front))
        return more

    def grow(self, more: list[tuple[int, int, bool]]) -> None:
        """Add what the new book has on top."""
        for price, target, in_front in more:
            self._resize(price, target, in_front=in_front)

    def _edge_before(self, changes: dict[int, int]) -> int:
        """The furthest price shown so far, if a new one may lie beyond it."""
        if not self._recorded or changes.keys() <= self._recorded.keys():
            return -self._sign * 2**62  # nothing is further
        return self._outermost(self._sign)

    def _outermost(self, sign: int) -> int:
        return min(self._recorded) if sign > 0 else max(self._recorded)

    def _forget(self, price: int) -> None:
        self._market.resize(self._side, price, 0)
        for known in (self._recorded, self._standing, self._eaten):
            known.pop(price, None)

    def _resize(self, price: int, target: int, *, in_front: bool) -> None:
        taken = self._market.resize(self._side, price, target, in_front=in_front)
        if taken:
            self._eaten[price] = self._eaten.get(price, 0) + taken
        self._standing[price] = self._market.size(self._side, price)

    def _notice(self, price: int) -> None:
        """Find out what customers took at a price since we last set it."""
        standing = self._standing.get(price, 0)
        gone = standing - self._market.size(self._side, price)
        eaten = min(self._eaten.get(price, 0) + gone, self._recorded.get(price, 0))
        if eaten > 0:
            self._eaten[price] = eaten
        else:
            self._eaten.pop(price, None)
        self._standing[price] = standing - gone

    def _to_ticks(self, price: float) -> int:
        ticks = self._ticks.get(price)
        if ticks is None:
            ticks = self._ticks[price] = self._market.grid.nearest(price)
        return ticks
