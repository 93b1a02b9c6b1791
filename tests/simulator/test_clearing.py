"""Funding, settlement, liquidation, margin modes, wallets: what happens to money by the clock."""

from dataclasses import replace
from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.simulator.accounts import FUND, HOUSE, MARKET
from market_maker.simulator.events import (
    Event,
    FundingEvent,
    LiquidationEvent,
    OrderEvent,
    SettlementEvent,
    TransactEvent,
)
from market_maker.simulator.exchange import Engine, Refused
from market_maker.simulator.instruments import ETHUSD, XBTUSD, Instrument
from market_maker.simulator.listings import next_future
from market_maker.simulator.positions import Fees

MIDNIGHT = 1_600_041_600.0  # 2020-09-14 00:00 UTC
FREE = {"": Fees(0.0, 0.0, 0.0)}


class Exchange:
    """An engine at midnight UTC, a rich market maker and whoever a test opens."""

    def __init__(self, *instruments: Instrument, start_s: float = MIDNIGHT) -> None:
        self.clock = ManualClock(start_s)
        self.engine = Engine(self.clock, instruments or None, seed=3)
        self.clock.attach(self.engine)
        self.rich = self.engine.open_account(10**13, fees=FREE).number
        self.events: list[Event] = []
        self.engine.listeners.append(self.events.append)

    def open(self, balance: int = 100_000_000, **more: Any) -> int:
        return self.engine.open_account(balance, **more).number

    def hold(self, account: int, qty: int, price: float, symbol: str = "XBTUSD") -> None:
        """Let *account* trade *qty* with the rich one."""
        order = {"symbol": symbol, "price": price}
        self.engine.place(self.rich, {**order, "orderQty": -qty})
        self.engine.place(account, {**order, "orderQty": qty})

    def move(self, price: float, symbol: str = "XBTUSD") -> None:
        """Move the index and let the exchange act on it, as after a market's step."""
        self.engine.liquidity(symbol).set_index(price)
        self.engine.cancel_all(self.rich, "ETHUSD")

    def told(self, kind: type, account: int | None = None) -> list[Any]:
        found = [event for event in self.events if isinstance(event, kind)]
        return [e for e in found if account is None or getattr(e, "account", None) == account]

    def executions(self, account: int, exec_type: str) -> list[OrderEvent]:
        return [e for e in self.engine.executions(account) if e.exec_type == exec_type]


def test_longs_pay_shorts_the_rate_of_their_value_at_the_mark() -> None:
    exchange = Exchange(replace(XBTUSD, start_price=60_500.0, funding_rate=0.0001))
    us = exchange.open(fees=FREE)
    exchange.hold(us, 1000, 60_500.0)
    exchange.clock.sleep(4 * 3600)
    assert exchange.engine.instrument_row("XBTUSD")["markPrice"] == 60_503.03  # 1652810 XBt
    (event,) = exchange.executions(us, "Funding")
    assert event.fill is not None
    assert (event.fill.comm_sat, event.fill.commission, event.fill.qty) == (165, 0.0001, 1000)
    assert (event.order.order_id, event.order.side, event.order.text) == (
        "00000000-0000-0000-0000-000000000000", "", "Funding",
    )  # fmt: skip
    (paid,) = exchange.executions(exchange.rich, "Funding")
    assert paid.fill is not None
    assert paid.fill.comm_sat == -165
    assert exchange.engine.position_row(us, "XBTUSD")["realisedPnl"] == -165
    assert exchange.told(FundingEvent)[0][1:] == ("XBTUSD", 0.0001, 8 * 3600)
    assert exchange.engine.fundings("XBTUSD") == exchange.told(FundingEvent)
    assert len(exchange.engine.orders(us)) == 1  # funding has no order of its own


def test_what_rounding_leaves_of_funding_goes_to_the_house() -> None:
    exchange = Exchange(XBTUSD)
    crowd = [exchange.open(fees=FREE) for _ in range(7)]
    for account in crowd:
        exchange.hold(account, 100, 60_000.0)
    ledger = exchange.engine._ledger
    before = ledger.deposited(HOUSE)
    exchange.clock.sleep(4 * 3600)
    kept = ledger.deposited(HOUSE) - before
    # 7 times 16.67 is rounded up to 17 each, and 116.67 to 117 once
    assert kept == 7 * 17 - 117
    assert exchange.engine.imbalance_sat() == 0


def test_the_next_rate_follows_the_premium_within_its_bounds() -> None:
    exchange = Exchange(XBTUSD)
    market = exchange.engine.liquidity("XBTUSD")
    assert exchange.engine.instrument_row("XBTUSD")["indicativeFundingRate"] == 0.0001
    for price, side in ((60_600.0, "Buy"), (60_600.5, "Sell")):
        market.resize(side, market.grid.nearest(price), 10_000)
    exchange.move(60_000.0)  # the book stands 1 % above the index
    row = exchange.engine.instrument_row("XBTUSD")
    assert row["indicativeFundingRate"] == 0.004875  # 75 % of initial less maintenance margin
    assert row["fundingRate"] == 0.0001
    exchange.clock.sleep(4 * 3600)
    row = exchange.engine.instrument_row("XBTUSD")
    assert (row["fundingRate"], row["fundingTimestamp"]) == (0.004875, "2020-09-14T12:00:00.000Z")


def test_a_future_settles_at_the_index_and_the_next_one_is_listed() -> None:
    exchange = Exchange()
    engine = exchange.engine
    (symbol,) = [s for s in engine.symbols() if engine.instrument(s).kind == "future"]
    assert symbol == "XBTU20"
    us = exchange.open(fees={"": Fees(0.0, 0.0, 0.0005)})
    exchange.hold(us, 1000, 60_000.0, symbol)
    resting = exchange.engine.place(us, {"symbol": symbol, "orderQty": 100, "price": 50_000.0})
    exchange.move(61_000.0)
    expiry_s = 1_601_035_200.0  # Friday 2020-09-25 12:00 UTC
    exchange.clock.sleep(expiry_s - exchange.clock.now())
    assert (resting.ord_status, resting.text.split("\n")[0]) == (
        "Canceled", "Canceled: Instrument expired",
    )  # fmt: skip
    (event,) = exchange.executions(us, "Settlement")
    assert event.fill is not None
    assert (event.fill.price, event.fill.cost_sat) == (61_000.0, 1_639_340)
    assert (event.fill.realised_sat, event.fill.comm_sat) == (27_330, 820)
    row = exchange.engine.position_row(us, symbol)
    assert (row["currentQty"], row["realisedPnl"], row["isOpen"]) == (0, 27_330 - 820, False)
    assert exchange.told(SettlementEvent) == [
        SettlementEvent(expiry_s, symbol, "Settlement", 61_000.0)
    ]
    row = exchange.engine.instrument_row(symbol)
    assert (row["state"], row["settledPrice"], row["typ"]) == ("Settled", 61_000.0, "FFCCSX")
    assert "XBTZ20" in exchange.engine.symbols()
    assert symbol not in exchange.engine.symbols()
    with pytest.raises(Refused, match="Instrument expired"):
        exchange.engine.place(us, {"symbol": symbol, "orderQty": 100, "price": 60_000.0})
    assert exchange.engine.imbalance_sat() == 0


@pytest.mark.parametrize(
    ("after", "symbol", "expiry"),
    [
        (1_795_233_600.0, "XBTZ26", "2026-12-25"),  # 2026-11-21
        (1_798_199_999.0, "XBTZ26", "2026-12-25"),
        (1_798_200_000.0, "XBTH27", "2027-03-26"),  # the moment of expiry itself
        (1_600_000_000.0, "XBTU20", "2020-09-25"),
    ],
)
def test_the_future_is_that_of_the_next_last_friday_of_a_quarter(
    after: float, symbol: str, expiry: str
) -> None:
    spec = next_future(after)
    exchange = Exchange(spec, start_s=after)
    row = exchange.engine.instrument_row(symbol)
    assert (row["symbol"], row["expiry"]) == (symbol, f"{expiry}T12:00:00.000Z")
    assert (row["fundingRate"], row["fairMethod"]) == (None, "ImpactMidPrice")


@pytest.mark.parametrize(
    ("spec", "sign", "bankrupt", "liquidation"),
    [
        (XBTUSD, 1, 54_545.5, 54_794.5),
        (XBTUSD, -1, 66_666.5, 66_298.5),
        (ETHUSD, 1, 54_000.0, 54_300.0),
        (ETHUSD, -1, 66_000.0, 65_700.0),
    ],
)
def test_liquidation_and_bankruptcy_follow_from_leverage(
    spec: Instrument, sign: int, bankrupt: float, liquidation: float
) -> None:
    spec = replace(spec, start_price=60_000.0, maint_margin=0.005, risk_limit=10**15)
    exchange = Exchange(spec)
    us = exchange.open(10**12, fees=FREE)
    exchange.engine.set_leverage(us, spec.symbol, 10)
    exchange.hold(us, sign * 1_000_000, 60_000.0, spec.symbol)
    row = exchange.engine.position_row(us, spec.symbol)
    assert row["bankruptPrice"] == pytest.approx(bankrupt, abs=spec.tick_size)
    assert row["liquidationPrice"] == pytest.approx(liquidation, abs=spec.tick_size)
    assert (row["leverage"], row["crossMargin"], row["initMarginReq"]) == (10, False, 0.1)


def test_a_position_below_maintenance_is_taken_over_at_its_bankruptcy_price() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(10_000_000)
    exchange.hold(us, 300_000, 60_000.0)
    resting = exchange.engine.place(us, {"symbol": "XBTUSD", "orderQty": -100, "price": 70_000.0})
    row = exchange.engine.position_row(us, "XBTUSD")
    exchange.move(row["liquidationPrice"] + 20)
    assert exchange.engine.position_row(us, "XBTUSD")["currentQty"] == 300_000
    exchange.events.clear()
    exchange.move(row["liquidationPrice"] - 20)
    assert resting.text.startswith("Canceled: Position in liquidation")
    (event,) = exchange.executions(us, "Liquidation")
    assert event.fill is not None
    assert (event.fill.qty, event.order.side, event.order.text) == (300_000, "Sell", "Liquidation")
    wallet = exchange.engine.margin_row(us)["walletBalance"]
    assert 0 <= wallet < 300_000 * 1e8 * (1 / 58_000 - 1 / 58_000.5)  # less than a tick is left
    assert exchange.engine.position_row(us, "XBTUSD")["currentQty"] == 0
    # the fund now offers the contracts at the bankruptcy price
    (order,) = exchange.engine.liquidations()
    assert (order.side, order.leaves_qty) == ("Sell", 300_000)
    (told,) = exchange.told(LiquidationEvent)
    assert (told.action, told.leaves_qty, told.order_id) == ("insert", 300_000, order.order_id)
    assert exchange.engine.imbalance_sat() == 0


def test_the_fund_gets_rid_of_what_it_took_over_and_keeps_the_result() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(10_000_000)
    exchange.hold(us, 300_000, 60_000.0)
    row = exchange.engine.position_row(us, "XBTUSD")
    limit = row["liquidationPrice"]
    market = exchange.engine.liquidity("XBTUSD")
    market.resize("Buy", market.grid.nearest(limit), 200_000)
    market.resize("Buy", market.grid.nearest(row["bankruptPrice"]) - 100, 200_000)
    before = exchange.engine._ledger.funds(FUND).wallet
    exchange.move(limit - 20)
    (order,) = exchange.engine.liquidations()
    assert order.leaves_qty == 100_000  # the rest finds nobody at the bankruptcy price
    exchange.move(limit - 30)
    assert exchange.engine.liquidations() == []
    actions = [event.action for event in exchange.told(LiquidationEvent)]
    assert actions == ["insert", "update", "delete", "insert", "delete"]
    assert exchange.engine._ledger.funds(FUND).wallet != before
    assert exchange.engine.imbalance_sat() == 0


def test_when_the_fund_is_empty_the_other_side_is_deleveraged() -> None:
    exchange = Exchange(XBTUSD)
    ledger = exchange.engine._ledger
    ledger.deposit(FUND, "XBt", -ledger.deposited(FUND))
    us, winner = exchange.open(10_000_000), exchange.open(10**10)
    exchange.hold(us, 300_000, 60_000.0)
    exchange.hold(winner, -200_000, 60_000.0)
    exchange.move(50_000.0)  # far through the bankruptcy price, and nobody bids
    exchange.move(49_990.0)
    events = [e for e in exchange.executions(winner, "Trade") if e.order.text == "Deleverage"]
    events += [
        e for e in exchange.executions(exchange.rich, "Trade") if e.order.text == "Deleverage"
    ]
    assert sum(e.fill.qty for e in events if e.fill) == 300_000
    assert all(e.order.side == "Buy" and e.fill and e.fill.price > 58_000 for e in events if e.fill)
    assert ledger.position(FUND, exchange.engine.instrument("XBTUSD")).qty == 0
    assert exchange.engine.imbalance_sat() == 0


def test_liquidation_and_deleveraging_can_be_had_on_demand() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open()
    exchange.hold(us, 1000, 60_000.0)
    exchange.engine.deleverage(us, "XBTUSD", 400)
    assert exchange.engine.position_row(us, "XBTUSD")["currentQty"] == 600
    exchange.engine.liquidate(us, "XBTUSD")
    assert exchange.engine.position_row(us, "XBTUSD")["currentQty"] == 0
    states = [e.order.text for e in exchange.engine.executions(us) if e.fill]
    assert states == ["Submitted via API.", "Deleverage", "Liquidation"]
    assert exchange.engine.imbalance_sat() == 0


def test_an_isolated_position_can_lose_no_more_than_its_own_margin() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(100_000_000)
    exchange.engine.set_leverage(us, "XBTUSD", 50)
    exchange.hold(us, 100_000, 60_000.0)
    own = exchange.engine.position_row(us, "XBTUSD")["posMargin"]
    exchange.engine.transfer_margin(us, "XBTUSD", 1_000_000)
    row = exchange.engine.position_row(us, "XBTUSD")
    assert (row["posCross"], row["posMargin"] - own) == (1_000_000, pytest.approx(1_000_750, abs=1))
    before = exchange.engine.margin_row(us)["walletBalance"]
    exchange.move(40_000.0)
    lost = before - exchange.engine.margin_row(us)["walletBalance"]
    assert lost == pytest.approx(row["posMargin"], abs=166_667 * 1000 * 0.5 / 58_000 * 2)
    assert lost <= row["posMargin"]


def test_margin_that_a_losing_position_lives_on_cannot_be_taken_out() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(100_000_000)
    exchange.engine.set_leverage(us, "XBTUSD", 50)
    exchange.hold(us, 100_000, 60_000.0)
    exchange.engine.transfer_margin(us, "XBTUSD", 5_000_000)
    exchange.move(58_500.0)
    before = exchange.engine.position_row(us, "XBTUSD")
    assert before["currentQty"] == 100_000
    with pytest.raises(Refused, match="Invalid amount"):
        exchange.engine.transfer_margin(us, "XBTUSD", -5_000_000)
    assert exchange.engine.position_row(us, "XBTUSD") == before


def test_margin_terms_the_account_cannot_bear_are_refused_and_change_nothing() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(10_000_000)
    exchange.hold(us, 100_000, 60_000.0)
    before = exchange.engine.position_row(us, "XBTUSD")
    with pytest.raises(Refused, match=r"insufficient Available Balance, \d+ XBt required"):
        exchange.engine.set_leverage(us, "XBTUSD", 2)
    with pytest.raises(Refused, match="Invalid leverage"):
        exchange.engine.set_leverage(us, "XBTUSD", 101)
    with pytest.raises(Refused, match="Position is not isolated"):
        exchange.engine.transfer_margin(us, "XBTUSD", 1)
    assert exchange.engine.position_row(us, "XBTUSD") == before
    assert exchange.engine.isolate(us, "XBTUSD")["crossMargin"] is False
    assert exchange.engine.isolate(us, "XBTUSD", False)["crossMargin"] is True


def test_a_higher_risk_limit_costs_more_margin() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(10**12)
    with pytest.raises(Refused, match="exceeds position Risk Limit"):
        exchange.engine.place(
            us, {"symbol": "XBTUSD", "orderQty": 10_000_000 * 1, "price": 4_000.0}
        )
    row = exchange.engine.set_risk_limit(us, "XBTUSD", 40_000_000_000)
    assert (row["initMarginReq"], row["maintMarginReq"]) == (0.017, 0.0105)
    with pytest.raises(Refused, match="Invalid riskLimit"):
        exchange.engine.set_risk_limit(us, "XBTUSD", 40_000_000_001)


def test_a_buy_above_the_mark_must_bring_what_it_would_lose_at_once() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(fees=FREE)
    exchange.engine.place(us, {"symbol": "XBTUSD", "orderQty": 1000, "price": 60_010.0})
    row = exchange.engine.position_row(us, "XBTUSD")
    mark = exchange.engine.instrument_row("XBTUSD")["markPrice"]
    premium = exchange.engine.contract("XBTUSD").value(1000, mark) - 1_666_390
    assert mark < 60_010
    assert (row["openOrderBuyPremium"], row["initMargin"]) == (premium, premium + 16_664)
    exchange.move(60_100.0)
    assert exchange.engine.position_row(us, "XBTUSD")["openOrderBuyPremium"] == 0


def test_a_withdrawal_is_pending_until_the_next_13_00() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open()
    asked = {"currency": "XBt", "amount": 10_000_000, "fee": 1000, "address": "3BMEX"}
    transaction = exchange.engine.request_withdrawal(us, asked)
    assert (transaction.amount, transaction.fee, transaction.status) == (
        -10_001_000,
        1000,
        "Pending",
    )
    row = exchange.engine.wallet_row(us)
    assert (row["withdrawn"], row["pendingDebit"], row["amount"]) == (
        10_001_000, 10_001_000, 89_999_000,
    )  # fmt: skip
    assert exchange.engine.margin_row(us)["availableMargin"] == 89_999_000
    exchange.clock.sleep(13 * 3600)
    assert exchange.engine.transactions(us)[-1].status == "Completed"
    assert exchange.engine.wallet_row(us)["pendingDebit"] == 0
    assert [event.is_first for event in exchange.told(TransactEvent)] == [True, False]
    assert exchange.engine.imbalance_sat() == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount": 100_000_001}, "Account has insufficient Withdrawable Balance"),
        ({"amount": -5}, "Negative withdrawal amount"),
        ({"amount": 0}, "Invalid withdrawal amount"),
        ({"amount": "much"}, "Invalid withdrawal amount"),
        ({"amount": 1.5}, "Invalid withdrawal amount"),
        ({"amount": 5, "currency": "Gwei"}, "Account has no Gwei"),
        ({"amount": 5, "address": ""}, "Invalid address"),
    ],
)
def test_a_withdrawal_is_refused_with_the_exchanges_words(
    fields: dict[str, Any], message: str
) -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open()
    with pytest.raises(Refused) as refused:
        exchange.engine.request_withdrawal(us, {"address": "3BMEX", **fields})
    assert refused.value.message == message
    assert {t.kind for t in exchange.engine.transactions(us)} == {"Deposit"}


def test_realised_profit_joins_the_wallet_at_noon() -> None:
    exchange = Exchange(XBTUSD)
    us = exchange.open(fees=FREE)
    exchange.hold(us, 1000, 60_000.0)
    exchange.hold(us, -1000, 61_000.0)
    assert exchange.engine.wallet_row(us)["amount"] == 100_000_000
    balance = exchange.engine.margin_row(us)["walletBalance"]
    exchange.clock.sleep(12 * 3600)
    last = exchange.engine.transactions(us)[-1]
    assert (last.kind, last.amount, last.address) == ("RealisedPNL", 27_330, "XBTUSD")
    row = exchange.engine.margin_row(us)
    assert (row["amount"], row["prevRealisedPnl"]) == (100_027_330, 27_330)
    assert row["walletBalance"] == balance == exchange.engine.wallet_row(us)["amount"]


def test_a_linear_contract_is_paid_in_its_own_currency() -> None:
    exchange = Exchange()
    us = exchange.open(balances={"USDt": 10_000_000_000}, fees={"": Fees(0.0, 0.0005, 0.0)})
    exchange.hold(us, 4800, 60_000.0, "XBTUSDT")
    exchange.hold(us, -4800, 61_000.0, "XBTUSDT")
    row = exchange.engine.margin_row(us, "USDt")
    assert row["realisedPnl"] == 4_800_000 - 144_000 - 146_400
    assert exchange.engine.margin_row(us)["realisedPnl"] == 0
    assert exchange.engine.currencies(us) == ["XBt", "USDt"]
    with pytest.raises(Refused, match=r"Available Balance, \d+ USDt required"):
        order = {"symbol": "XBTUSDT", "orderQty": 50_000_000, "price": 60_000.0}
        exchange.engine.place(us, order)


def test_indices_have_a_price_and_no_book() -> None:
    exchange = Exchange()
    assert exchange.engine.indices() == [".BXBT", ".BXBTT", ".BETH"]
    exchange.move(60_123.4)
    for symbol in (".BXBT", ".BXBTT"):
        row = exchange.engine.instrument_row(symbol)
        assert (row["markPrice"], row["lastPrice"], row["bidPrice"]) == (60_123.4, 60_123.4, None)
        assert (row["typ"], row["state"]) == ("MRCXXX", "Unlisted")
    for symbol in ("XBTUSD", "XBTUSDT", "XBTU20"):
        row = exchange.engine.instrument_row(symbol)
        assert row["indicativeSettlePrice"] == 60_123.4
    exchange.engine.liquidity("XBTUSDT").set_index(1.0)  # the first one listed leads
    assert exchange.engine.instrument_row(".BXBT")["markPrice"] == 60_123.4
    assert MARKET not in exchange.engine._ledger.customers()


def test_who_gains_most_on_his_margin_is_first_in_line_to_be_deleveraged() -> None:
    exchange = Exchange(XBTUSD)
    early, late = exchange.open(), exchange.open()
    exchange.hold(early, 1000, 60_000.0)
    exchange.hold(late, 1000, 60_400.0)
    exchange.move(60_500.0)
    rows = [exchange.engine.position_row(account, "XBTUSD") for account in (early, late)]
    assert [row["deleveragePercentile"] for row in rows] == [1.0, 0.5]
    assert exchange.engine.position_row(exchange.rich, "XBTUSD")["deleveragePercentile"] == 1.0
