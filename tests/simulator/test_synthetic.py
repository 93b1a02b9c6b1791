"""The synthetic market: the same flow for everyone, and fills within seconds."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.events import OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.instruments import ETHUSD, XBTUSD, Instrument
from market_maker.simulator.liquidity import Liquidity
from market_maker.simulator.market.synthetic import SyntheticMarket

TICKS = [XBTUSD, ETHUSD, XBTUSD.with_tick(0.1), XBTUSD.with_tick(0.0001, 12.0)]


def opened(
    seed: int, specs: Sequence[Instrument] = (XBTUSD,)
) -> tuple[ManualClock, Engine, list[object]]:
    clock = ManualClock(1_600_000_000.0)
    engine = Engine(clock, specs, market=SyntheticMarket(seed), seed=seed)
    clock.attach(engine)
    events: list[object] = []
    engine.listeners.append(events.append)
    return clock, engine, events


def quote_around(engine: Engine, account: int, symbol: str, distances: Sequence[int]) -> None:
    """Replace our quotes by new ones so many ticks from the mid."""
    engine.cancel_all(account)
    touch, grid = engine.quote(symbol), engine.grid(symbol)
    if touch.bid_ticks is None or touch.ask_ticks is None:
        return
    mid = (touch.bid_ticks + touch.ask_ticks) // 2
    lot = engine.instrument(symbol).lot_size
    for distance in distances:
        for sign in (-1, 1):
            engine.place(
                account,
                {
                    "symbol": symbol,
                    "orderQty": -sign * lot,
                    "price": grid.price(mid + sign * distance),
                    "execInst": "ParticipateDoNotInitiate",
                },
            )


class ActionLog:
    """Notes what a market does to a book."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.actions: list[tuple[object, ...]] = []
        for name in ("resize", "take", "set_index"):
            original = getattr(Liquidity, name)

            def noted(market: Liquidity, *args: object, _name: str = name, _do=original) -> object:
                self.actions.append((_name, *args))
                return _do(market, *args)

            monkeypatch.setattr(Liquidity, name, noted)


def test_the_flow_does_not_depend_on_our_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ActionLog(monkeypatch)
    flows = []
    for is_quoting in (False, True):
        log.actions = []
        clock, engine, events = opened(11, (XBTUSD, ETHUSD))
        account = engine.open_account(10**12).number
        for _ in range(120):
            if is_quoting:
                quote_around(engine, account, "XBTUSD", (1, 4, 9))
            clock.sleep(1)
        flows.append(log.actions)
        fills = [e for e in events if isinstance(e, OrderEvent) and e.fill]
        assert bool(fills) == is_quoting
    assert flows[0] == flows[1]
    assert len(flows[0]) > 1000


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spec", [XBTUSD, ETHUSD], ids=lambda spec: spec.symbol)
def test_a_naive_maker_is_filled_within_twenty_seconds(spec: Instrument, seed: int) -> None:
    clock, engine, events = opened(seed, (spec,))
    account = engine.open_account(10**12).number
    for _ in range(20):
        quote_around(engine, account, spec.symbol, (4, 12, 20))  # XBTUSD: 2, 6 and 10 dollars
        clock.sleep(1)
    fills = [e.fill for e in events if isinstance(e, OrderEvent) and e.fill]
    assert fills
    assert all(fill.is_maker for fill in fills)
    assert engine.imbalance_sat() == 0


@pytest.mark.parametrize("spec", TICKS, ids=lambda spec: f"{spec.symbol} {spec.tick_size}")
def test_the_touch_is_one_tick_wide_nearly_always(spec: Instrument) -> None:
    clock, _, events = opened(3, (spec,))
    clock.sleep(300)
    quotes = [event for event in events if isinstance(event, QuoteEvent)]
    narrow = sum(
        after.time_s - quote.time_s
        for quote, after in pairwise(quotes)
        if quote.bid_ticks and quote.ask_ticks and quote.ask_ticks - quote.bid_ticks == 1
    )
    assert narrow >= 0.9 * (quotes[-1].time_s - quotes[0].time_s)


def test_the_book_is_deep_uncrossed_and_in_lots_at_all_times() -> None:
    clock, engine, events = opened(5)
    for _ in range(300):
        clock.sleep(0.37)
        bids, asks = engine.book("XBTUSD")
        assert len(bids) >= 10
        assert len(asks) >= 10
        assert bids[0].price_ticks < asks[0].price_ticks
        assert all(level.size % 100 == 0 for level in (*bids, *asks))
    trades = [event for event in events if isinstance(event, TradeEvent)]
    assert trades
    assert all(trade.qty % 100 == 0 for trade in trades)
    assert {trade.side for trade in trades} == {"Buy", "Sell"}


def test_a_long_run_stays_cheap_and_within_sane_prices() -> None:
    clock, engine, events = opened(9)
    clock.sleep(1200)
    assert len(events) < 20 * 4000  # a few thousand a minute at most
    assert 0.9 * 60_000 < engine.instrument_row("XBTUSD")["markPrice"] < 1.1 * 60_000


def test_an_order_larger_than_the_market_does_not_break_it() -> None:
    clock, engine, _ = opened(4)
    account = engine.open_account(10**14).number
    for side in ("Buy", "Sell"):
        price = 60_500 if side == "Buy" else 59_500
        order = {"symbol": "XBTUSD", "side": side, "orderQty": 10_000_000, "price": price}
        engine.place(account, order)  # empties one side and rests there
        clock.sleep(5)
        engine.cancel_all(account)
        clock.sleep(5)
        bids, asks = engine.book("XBTUSD")
        assert len(bids) >= 10
        assert len(asks) >= 10
    assert engine.imbalance_sat() == 0


def test_a_resting_order_never_sees_the_market_cross_it() -> None:
    clock, engine, events = opened(6)
    account = engine.open_account(10**14).number
    for sign in (-1, 1):
        order = {"symbol": "XBTUSD", "orderQty": -sign * 9_000_000, "price": 60_000 + sign * 3}
        engine.place(account, {**order, "execInst": "ParticipateDoNotInitiate"})
    clock.sleep(120)
    for quote in events:
        if isinstance(quote, QuoteEvent) and quote.bid_ticks and quote.ask_ticks:
            assert quote.bid_ticks < quote.ask_ticks


def test_an_unknown_symbol_has_no_market() -> None:
    _, engine, _ = opened(1)
    with pytest.raises(Refused, match="Invalid symbol"):
        engine.liquidity("NOPE")


@pytest.mark.parametrize("tick", [0.1, 1.0])
def test_a_new_tick_size_finds_the_market_at_the_same_price(tick: float) -> None:
    clock = ManualClock()
    engine = Engine(clock, [XBTUSD], market=SyntheticMarket(1), seed=1)
    clock.attach(engine)
    clock.sleep(5)
    engine.change_grid("XBTUSD", tick, 100)
    clock.sleep(30)
    quote, grid = engine.quote("XBTUSD"), engine.grid("XBTUSD")
    assert quote.bid_ticks and quote.ask_ticks and quote.bid_ticks < quote.ask_ticks
    assert abs(grid.price(quote.bid_ticks) / 60_000 - 1) < 0.01
    bids, asks = engine.book("XBTUSD")
    assert len(bids) < 60 and len(asks) < 60, "the old ladder is gone"
