"""The synthetic market: the same flow for everyone, and fills within seconds."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from market_maker._settings_rules import RULES
from market_maker.clock import ManualClock
from market_maker.settings import DEFAULTS
from market_maker.simulator.events import OrderEvent, QuoteEvent, TradeEvent
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.instruments import ETHUSD, XBTUSD, Instrument
from market_maker.simulator.liquidity import Liquidity
from market_maker.simulator.market.presets import DEFAULT, PRESETS
from market_maker.simulator.market.statistics import measure
from market_maker.simulator.market.synthetic import DEFAULT_FLOW, Flow, SyntheticMarket

TICKS = [
    XBTUSD,
    ETHUSD,
    replace(XBTUSD, tick_size=0.1),
    replace(XBTUSD, tick_size=0.0001, start_price=12.0),
    replace(XBTUSD, tick_size=1e-8, start_price=0.00001814),
]


def opened(
    seed: int, specs: Sequence[Instrument] = (XBTUSD,), flow: Flow = DEFAULT_FLOW
) -> tuple[ManualClock, Engine, list[object]]:
    clock = ManualClock(1_600_000_000.0)
    engine = Engine(clock, specs, market=SyntheticMarket(seed, flow), seed=seed)
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


# -- presets: the table of docs/markets.md, within what an hour of another seed may differ

FUTURE = replace(XBTUSD, symbol="XBTZ26", start_price=60_600.0)
LINEAR = replace(XBTUSD, symbol="XBTUSDT", tick_size=0.1)


def test_there_are_presets_and_the_usual_one_is_for_practice() -> None:
    assert set(PRESETS) == {"practice", "calm", "busy", "trending", "crash"}
    assert all(RULES["SIM_MARKET"].accepts(name) for name in PRESETS)
    assert DEFAULTS["SIM_MARKET"] == DEFAULT
    assert PRESETS[DEFAULT] == DEFAULT_FLOW == Flow()


@pytest.mark.parametrize(
    ("name", "per_second_bps", "per_minute_bps", "trades_per_s", "touch"),
    [
        ("calm", (0.5, 1.0), (3, 8), (4, 6), (300_000, 700_000)),
        ("busy", (1.2, 2.2), (10, 20), (10, 14), (500_000, 1_000_000)),
        ("trending", (0.9, 1.8), (8, 18), (9, 12), (300_000, 700_000)),
        ("crash", (10, 20), (80, 180), (30, 60), (20_000, 150_000)),
    ],
)
def test_a_preset_looks_like_its_name(
    name: str,
    per_second_bps: tuple[float, float],
    per_minute_bps: tuple[float, float],
    trades_per_s: tuple[float, float],
    touch: tuple[float, float],
) -> None:
    found = measure(SyntheticMarket(2, PRESETS[name]), XBTUSD, 900)
    print(name, found)
    assert per_second_bps[0] < (found.volatility_1s_bps or 0) < per_second_bps[1]
    assert per_minute_bps[0] < (found.volatility_1m_bps or 0) < per_minute_bps[1]
    assert trades_per_s[0] < found.trades_per_s < trades_per_s[1]
    assert touch[0] < (found.depth[1] or 0) < touch[1]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("spec", TICKS, ids=lambda spec: f"{spec.symbol} {spec.tick_size}")
def test_every_preset_works_on_every_tick(name: str, spec: Instrument) -> None:
    clock, engine, events = opened(4, (spec,), PRESETS[name])
    for _ in range(40):
        clock.sleep(1.3)
        bids, asks = engine.book(spec.symbol)
        assert len(bids) >= 5
        assert len(asks) >= 5
        assert bids[0].price_ticks < asks[0].price_ticks
    assert any(isinstance(event, TradeEvent) for event in events)


@pytest.mark.parametrize("name", ["practice", "crash"])
def test_one_fair_price_leads_all_instruments_of_an_underlying(name: str) -> None:
    clock, engine, _ = opened(3, (XBTUSD, ETHUSD, LINEAR, FUTURE), PRESETS[name])
    mids = []
    for _ in range(60):
        clock.sleep(2)
        quotes = [engine.quote(symbol) for symbol in ("XBTUSD", "XBTUSDT", "XBTZ26")]
        mids.append([engine.grid(q.symbol).price(q.bid_ticks or 0) for q in quotes])
    leader = [perpetual for perpetual, _, _ in mids]
    assert max(leader) - min(leader) > 5
    slack = 8 + 4 * PRESETS[name].move_ticks  # they move at moments of their own
    for perpetual, linear, future in mids:
        assert abs(linear - perpetual) < slack
        assert abs(future - 1.01 * perpetual) < slack


def test_more_instruments_do_not_change_the_leader() -> None:
    runs = []
    for specs in ((XBTUSD,), (XBTUSD, ETHUSD, LINEAR, FUTURE)):
        clock, _, events = opened(5, specs)
        clock.sleep(60)
        runs.append([e for e in events if isinstance(e, QuoteEvent) and e.symbol == "XBTUSD"])
    assert runs[0] == runs[1]


def test_trends_run_and_turn() -> None:
    flow = DEFAULT_FLOW._replace(trend_ticks_per_s=20.0, trend_for_s=60.0)
    clock, engine, _ = opened(6, (XBTUSD,), flow)
    mids = []
    for _ in range(60):
        clock.sleep(10)
        mids.append(engine.quote("XBTUSD").bid_ticks or 0)
    steps = [b - a for a, b in pairwise(mids)]
    assert any(step > 100 for step in steps)
    assert any(step < -100 for step in steps)


def test_the_statistics_of_a_known_market_are_right() -> None:
    class Steps:
        """A touch of 100 at 60,000 that moves up two ticks each second, and a trade of 7."""

        def bind(self, engine: Engine) -> None:
            self.market, self.now_s, self.bid = engine.liquidity("XBTUSD"), engine.now(), 120_000
            self.show()

        def show(self) -> None:
            self.market.resize("Buy", self.bid, 100)
            self.market.resize("Sell", self.bid + 3, 100)

        def next_time(self) -> float:
            return self.now_s + 0.5

        def step(self) -> None:
            self.now_s += 1.0
            self.market.take("Buy", 7, self.bid + 3)
            self.market.resize("Buy", self.bid, 0)
            self.market.resize("Sell", self.bid + 3, 0)
            self.bid += 2
            self.show()

    found = measure(Steps(), XBTUSD, 600)
    assert found.spread_ticks == pytest.approx(3)
    assert found.one_tick_share == 0
    assert (found.depth[1], found.depth[2]) == (100, None)
    assert (found.trades_per_s, found.trade_size_median) == (1.0, 7)
    assert found.volatility_1s_bps == pytest.approx(1e4 * 2 / 120_600, rel=0.01)
    assert found.volatility_1m_bps == pytest.approx(60 * 1e4 * 2 / 120_600, rel=0.01)


def test_a_small_trade_has_the_sizes_of_real_ones() -> None:
    clock, _, events = opened(8, (XBTUSD,), PRESETS["busy"])
    clock.sleep(300)
    sizes = sorted(event.qty for event in events if isinstance(event, TradeEvent))
    assert sizes[len(sizes) // 2] <= 300
    assert sizes[-len(sizes) // 100] > 20_000


def test_the_next_future_has_a_market_as_soon_as_the_last_one_has_settled() -> None:
    expiry_s = 1_601_035_200.0  # 2020-09-25 12:00 UTC
    clock = ManualClock(expiry_s - 60)
    engine = Engine(clock, market=SyntheticMarket(3), seed=3)
    clock.attach(engine)
    assert engine.book("XBTU20")[0]
    clock.sleep(90)
    assert engine.book("XBTU20") == ([], [])
    quote, grid = engine.quote("XBTZ20"), engine.grid("XBTZ20")
    assert quote.bid_ticks is not None
    index = engine.instrument_row(".BXBT")["markPrice"]
    assert grid.price(quote.bid_ticks) == pytest.approx(index, rel=0.001)
