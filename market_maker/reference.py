"""The ticker of another market: what FAIR_PRICE = "external" quotes by.

Another symbol of our exchange comes over our own connection where that can carry it, else, and
from another venue, over one of its own that reads public data only.
"""

import logging
from typing import Any

from market_maker import venue
from market_maker._settings_venues import EXCHANGES, SECRET_NAMES
from market_maker.exchanges.base import Connector, ExchangeError
from market_maker.exchanges.state import LiveState
from market_maker.model.times import seconds_of
from market_maker.model.wire import StreamEvent
from market_maker.settings import Settings
from market_maker.utils.errors import BotError, SettingsError, StaleData

logger = logging.getLogger("root")

_AGAIN_S = 10.0  # between two attempts to connect


def split_source(source: str) -> tuple[str, str]:
    """Venue and symbol: "okx:BTC-USDT" is ("okx", "BTC-USDT"), "XBTM26" is ("", "XBTM26")."""
    for name in sorted(EXCHANGES, key=len, reverse=True):  # "ccxt:okx" before "okx"
        if source.startswith(f"{name}:"):
            return name, source[len(name) + 1 :]
    return "", source


class Reference:
    """The mid of one other market, or StaleData."""

    def __init__(self, source: str, exchange: Any) -> None:
        self.source = source
        self._exchange = exchange
        self._clock = exchange.clock
        self._venue, self._symbol = split_source(source)
        caps = exchange.desk.connector.caps
        is_ours = self._venue in ("", exchange.settings.EXCHANGE)
        self._is_on_our_line = is_ours and caps.other_symbols
        self._connector: Connector | None = None
        self._state: LiveState | None = None
        self._tried_s = float("-inf")
        self._trouble = "is not known yet"
        self._seen: object = None

    def mid(self, max_age_s: float) -> float:
        """Half way between its best prices; raises StaleData where they are not known or older
        than *max_age_s*."""
        state = self._exchange.desk.state if self._is_on_our_line else self._listening(max_age_s)
        row = state.instrument(self._symbol) if self._is_on_our_line else state.touch
        if row is None:
            row = self._first_row()
        bid, ask = row.get("bidPrice"), row.get("askPrice")
        if not bid or not ask or bid >= ask:
            raise StaleData(f"the reference {self.source} has no bid and ask")
        if self._is_on_our_line:
            self._check_age(row, max_age_s)
        return float(bid + ask) / 2

    def has_moved(self) -> bool:
        """Whether its prices are others than at the last call; for markets of their own line."""
        if self._state is None:
            return False
        self._state.drain()
        seen, self._seen = self._seen, tuple(self._state.touch.values())
        return seen != self._seen

    def close(self) -> None:
        """Close the line of its own."""
        if self._connector is not None:
            self._connector.stop()
        self._connector = self._state = None

    # -- on our own line ----------------------------------------------------------------

    def _first_row(self) -> dict[str, Any]:
        """Ask for it once, and let the stream keep it from then on."""
        now_s = self._clock.monotonic()
        if now_s >= self._tried_s + _AGAIN_S:
            self._tried_s = now_s
            try:
                return dict(self._exchange.get_instrument(self._symbol))
            except KeyError:
                raise self._unlisted() from None
            except ExchangeError as error:
                self._trouble = f"cannot be asked for: {error}"
        raise StaleData(f"the reference {self.source} {self._trouble}")

    def _unlisted(self) -> SettingsError:
        line = f"FAIR_PRICE_SOURCE = {self.source!r}: the exchange lists no {self._symbol}"
        return SettingsError([line])

    def _check_age(self, row: dict[str, Any], max_age_s: float) -> None:
        told = seconds_of(row.get("timestamp"))
        now_s = self._clock.now() + self._exchange.desk.connector.server_offset_s()
        if told is not None and now_s - told > max_age_s:
            raise StaleData(f"the reference {self.source} is {now_s - told:.0f} s old")

    # -- on a line of its own -----------------------------------------------------------

    def _listening(self, max_age_s: float) -> LiveState:
        """Its state; begins to listen, or connects again after a silence, without waiting."""
        now_s, state = self._clock.monotonic(), self._state
        if state is None:
            self._open(now_s)
            raise StaleData(f"the reference {self.source} {self._trouble}")
        state.drain()
        if state.refused:
            raise self._unlisted()
        silence_s = now_s - state.last_recv_s
        if state.ready and silence_s <= max_age_s:
            return state
        if self._connector is not None and now_s >= self._tried_s + _AGAIN_S:
            self._tried_s = now_s
            self._connector.reconnect()
        what = f"has been silent for {silence_s:.0f} s" if state.ready else "is not known yet"
        raise StaleData(f"the reference {self.source} {what}")

    def _open(self, now_s: float) -> None:
        if now_s < self._tried_s + _AGAIN_S:
            return
        self._tried_s = now_s
        settings = Settings({**self._exchange.settings, **dict.fromkeys(SECRET_NAMES, "")})
        settings.update(DRY_RUN=True)
        if self._venue not in ("", settings.EXCHANGE):
            settings.update(EXCHANGE=self._venue, BASE_URL=None)
        try:
            connector = venue.open_connector(settings, self._symbol, self._clock)
            state = LiveState(connector.symbol, lambda _: False, self._clock, has_account=False)
            connector.start(lambda event: self._hear(state, event))
        except SettingsError:
            raise
        except (BotError, ExchangeError) as error:
            self._trouble = f"cannot be reached: {error}"
            return
        self._connector, self._state = connector, state

    def _hear(self, state: LiveState, event: StreamEvent) -> None:
        state.put(event)
        self._exchange.desk.state.wake.set()
