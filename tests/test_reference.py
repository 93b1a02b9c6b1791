"""The ticker of another market over a line of its own: fresh, silent, moved, unlisted, closed."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from market_maker import venue
from market_maker.clock import ManualClock
from market_maker.exchanges.base import Capabilities
from market_maker.model.wire import Connected, Message
from market_maker.reference import Reference, split_source
from market_maker.settings import DEFAULTS, Settings
from market_maker.utils.errors import BotError, SettingsError, StaleData, StopTrading
from tests.doubles import HandStream


class Line(HandStream):
    """A connector whose stream the test writes."""

    symbol = "BTC-USDT-SWAP"

    def __init__(self) -> None:
        super().__init__(
            {"table": table, "action": "partial", "keys": [], "data": []}
            for table in ("instrument", "trade", "quote")
        )
        self.is_stopped = False

    def start(self, sink: Any) -> None:
        self.attach(sink)

    def quote(self, bid: float | None, ask: float | None) -> None:
        row = {"symbol": self.symbol, "bidPrice": bid, "askPrice": ask}
        self.push("quote", "insert", row)

    def refuse(self) -> None:
        told = {"error": "no such instrument", "request": {"op": "subscribe"}}
        self.sink(Message(0, told))

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line()
    line.opened: list[Settings] = []

    def open_connector(settings: Settings, symbol: str, clock: object) -> Line:
        assert symbol == line.symbol
        line.opened.append(settings)
        return line

    monkeypatch.setattr(venue, "open_connector", open_connector)
    return line


def reference(source: str = "okx:BTC-USDT-SWAP") -> Any:
    desk = SimpleNamespace(
        connector=SimpleNamespace(caps=Capabilities()),
        state=SimpleNamespace(wake=threading.Event()),
    )
    settings = Settings(
        {**DEFAULTS, "EXCHANGE": "binance", "BINANCE_API_KEY": "k", "BASE_URL": "x"}
    )
    exchange = SimpleNamespace(desk=desk, settings=settings, clock=ManualClock())
    return Reference(source, exchange)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("XBTM26", ("", "XBTM26")),
        ("okx:BTC-USDT", ("okx", "BTC-USDT")),
        ("okx-demo:BTC-USDT", ("okx-demo", "BTC-USDT")),
        ("ccxt:kraken:XBTUSD", ("ccxt:kraken", "XBTUSD")),
    ],
)
def test_a_source_names_a_venue_and_a_symbol(source: str, parts: tuple[str, str]) -> None:
    assert split_source(source) == parts


def test_it_is_unknown_until_it_is_there_and_then_its_mid(line: Line) -> None:
    other = reference()
    with pytest.raises(StaleData, match="okx:BTC-USDT-SWAP is not known yet"):
        other.mid(5)
    with pytest.raises(StaleData, match="has no bid and ask"):
        other.mid(5)
    line.quote(100.0, 101.0)
    assert other.mid(5) == 100.5
    line.quote(100.0, None)
    with pytest.raises(StaleData, match="has no bid and ask"):
        other.mid(5)


def test_it_is_read_without_our_keys_and_our_address(line: Line) -> None:
    with pytest.raises(StaleData):
        reference().mid(5)
    (settings,) = line.opened
    assert (settings.EXCHANGE, settings.BASE_URL, settings.DRY_RUN) == ("okx", None, True)
    assert not settings.BINANCE_API_KEY


def test_silence_is_stale_and_the_line_is_made_anew_now_and_then(line: Line) -> None:
    other = reference()
    with pytest.raises(StaleData):
        other.mid(5)
    line.quote(100.0, 101.0)
    clock = other._clock
    assert other.mid(5) == 100.5
    for seconds, reconnects in ((5.5, 0), (3, 0), (3, 1), (1, 1), (10, 2)):
        clock.sleep(seconds)
        with pytest.raises(StaleData, match="has been silent for"):
            other.mid(5)
        assert line.reconnects == reconnects
    line.sink(Connected(0))
    with pytest.raises(StaleData, match="is not known yet"):
        other.mid(5)
    line.attach(line.sink)
    line.quote(102.0, 103.0)
    assert other.mid(5) == 102.5


def test_a_move_of_it_wakes_the_bot(line: Line) -> None:
    other = reference()
    assert not other.has_moved()
    with pytest.raises(StaleData):
        other.mid(5)
    wake = other._exchange.desk.state.wake
    wake.clear()
    line.quote(100.0, 101.0)
    assert wake.is_set() and other.has_moved() and not other.has_moved()
    line.quote(100.0, 101.0)
    assert not other.has_moved()


def test_an_unlisted_symbol_is_one_line(line: Line) -> None:
    other = reference()
    with pytest.raises(StaleData):
        other.mid(5)
    line.refuse()
    with pytest.raises(SettingsError, match="the exchange lists no BTC-USDT-SWAP"):
        other.mid(5)


def test_what_cannot_be_reached_is_tried_again_later(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def refuse(settings: Settings, symbol: str, clock: object) -> Line:
        tries.append(symbol)
        raise StopTrading("no route")

    monkeypatch.setattr(venue, "open_connector", refuse)
    other = reference()
    for seconds in (0, 1, 12):
        other._clock.sleep(seconds)
        with pytest.raises(BotError, match="cannot be reached: no route"):
            other.mid(5)
    assert len(tries) == 2


def test_it_closes_its_line(line: Line) -> None:
    other = reference()
    other.close()
    assert not line.is_stopped
    with pytest.raises(StaleData):
        other.mid(5)
    other.close()
    assert line.is_stopped
