"""What the built-in exchange lists when: the perpetuals, and the future of the next quarter."""

import calendar
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from market_maker.simulator.instruments import DEFAULT_INSTRUMENTS, XBTUSD, Instrument, iso_time

_QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}  # month -> letter of the symbol


def next_future(after_s: float, start_price: float = XBTUSD.start_price) -> Instrument:
    """The bitcoin future of the next quarterly expiry after *after_s* (Unix seconds).

    It settles on the last Friday of the quarter at 12:00 UTC.
    """
    day = datetime.fromtimestamp(after_s, UTC)
    year, month = day.year, 3 * ((day.month + 2) // 3)
    while (expiry := _last_friday(year, month)).timestamp() <= after_s:
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)
    return replace(
        XBTUSD,
        symbol=f"XBT{_QUARTERS[month]}{year % 100:02d}",
        typ="FFCCSX",
        expiry_s=expiry.timestamp(),
        settlement_fee=0.0005,
        risk_limit=7_500_000_000,
        risk_step=7_500_000_000,
        start_price=start_price,
        listing=iso_time(after_s),
    )


def _last_friday(year: int, month: int) -> datetime:
    last = datetime(year, month, calendar.monthrange(year, month)[1], 12, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() - calendar.FRIDAY) % 7)


def all_instruments(now_s: float) -> tuple[Instrument, ...]:
    """What is traded at *now_s*: the perpetuals and one future."""
    return (*DEFAULT_INSTRUMENTS, next_future(now_s))
