"""Funding at OKX, as executions: positions tell the sum they have paid, bills each payment.

While the stream lives, what the sum (`fundingFee`) has changed by is a payment. What was paid
while nobody listened is in the bills, which are read with every image.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from market_maker.exchanges.okx_rows import Market, decimal, iso, price
from market_maker.model.rows import Row

_SAME_MS = 60_000  # a position and a bill that tell of one payment differ by less; two by hours


class Funding:
    """What one instrument's position has paid; `since_ms` is until when all of it is known."""

    def __init__(self) -> None:
        self.since_ms: int | None = None  # None before the first image
        self._sums: dict[tuple[Any, ...], Decimal] = {}  # of the position that is open

    def begin(
        self,
        positions: Iterable[Mapping[str, Any]],
        bills: Iterable[Mapping[str, Any]],
        market: Market,
    ) -> list[Row]:
        """Take over an image; the payments since what was known, none at the first image."""
        self._sums = {_key(raw): decimal(raw.get("fundingFee")) for raw in positions}
        is_first, found = self.since_ms is None, []
        for raw in sorted(bills, key=lambda bill: int(bill["ts"])):
            if is_first or self._is_new(raw["ts"]):
                self.since_ms = int(raw["ts"])
                name, amount = str(raw.get("billId")), decimal(raw.get("balChg"))
                found.append(_row(name, raw.get("sz"), None, amount, raw["ts"], market))
        self.since_ms = self.since_ms or 0
        return [] if is_first else found

    def hear(self, raw: Mapping[str, Any], market: Market) -> Row | None:
        """The payment that a push of the position tells of, if of one."""
        key, total, moment = _key(raw), decimal(raw.get("fundingFee")), raw["uTime"]
        before = self._sums.get(key, total)
        self._sums = {key: total} if decimal(raw.get("pos")) else {}
        if total == before or not self._is_new(moment):
            return None
        self.since_ms = int(moment)
        return _row(str(moment), raw["pos"], raw.get("markPx"), total - before, moment, market)

    def _is_new(self, time_ms: Any) -> bool:
        return self.since_ms is None or int(time_ms) > self.since_ms + _SAME_MS


def _key(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which position: of one that turned its side, or was opened anew, the sum may begin anew."""
    return raw.get("posId"), raw.get("cTime"), decimal(raw.get("pos")) > 0


def _row(name: str, sz: Any, mark: Any, amount: Decimal, time_ms: Any, market: Market) -> Row:
    """A Funding row as BitMEX has them; *amount* is what the balance has changed by."""
    moment = iso(time_ms)
    return {
        "execID": f"{market.inst_id}-funding-{name}", "orderID": "", "clOrdID": "",
        "symbol": market.symbol, "execType": "Funding", "side": "",
        "lastQty": abs(market.qty(sz)), "lastPx": price(mark), "execComm": -market.minor(amount),
        "settlCurrency": market.settle_name, "text": "Funding", "transactTime": moment,
        "timestamp": moment,
    }  # fmt: skip
