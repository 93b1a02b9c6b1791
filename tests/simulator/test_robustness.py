"""Whatever a client sends, it is answered: no request and no frame brings the exchange down."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.simulator.auth import NAMES, signature
from market_maker.simulator.bitmex_tongue import BitmexTongue
from market_maker.simulator.dialects.bitmex import Dialect
from market_maker.simulator.dialects.bitmex_rest import ROUTES
from market_maker.simulator.dialects.bitmex_tables import TABLES
from market_maker.simulator.exchange import Engine
from market_maker.simulator.hub import Hub
from market_maker.simulator.market.synthetic import SyntheticMarket
from market_maker.simulator.session import Session
from market_maker.simulator.tongue import Call

NAMES_OF_PARAMETERS = """
    symbol side orderQty price stopPx displayQty ordType timeInForce execInst pegPriceType
    pegOffsetValue clOrdID origClOrdID orderID leavesQty text timeout orders filter columns count
    start reverse startTime endTime binSize partial depth currency leverage enabled amount
    address riskLimit targetAccountId targetAccountIds network fee strategy pool
""".strip().split()
WORDS = """
    XBTUSD ETHUSD .BXBT XBT XBTUSD:x Buy Sell Limit Market Stop StopLimit Pegged PrimaryPeg
    TrailingStopPeg Close ReduceOnly ParticipateDoNotInitiate FillOrKill Day XBt USDt all 1m 5m
    2020-01-01 2026-13-01 9999-12-31T23:59:59Z 1e400 -1 0 NaN true {} [] [[ {"open":true}
""".strip().split()
numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.sampled_from([0, 1, 100, -100, 60_000, 59_999.5, 1e308, 5e-324, 2**63, -(2**63) - 1]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(WORDS), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES_OF_PARAMETERS), inner, max_size=3),
    ),
    max_leaves=6,
)
ORDER = {"symbol": "XBTUSD", "orderQty": 100, "price": 59_000}
bases = st.one_of(
    st.just({}),
    st.just(ORDER),
    st.builds(lambda number: {"timeout": number}, numbers),
    st.builds(lambda number: {"symbol": "XBTUSD", "leverage": number}, numbers),
    st.builds(lambda number: {"symbol": "XBTUSD", "amount": number, "riskLimit": number}, numbers),
    st.builds(lambda number: {"currency": "XBt", "amount": number, "address": "x"}, numbers),
    st.builds(lambda name, number: {**ORDER, name: number}, st.sampled_from([*ORDER]), numbers),
    st.builds(lambda number: {"count": number, "start": number, "depth": number}, numbers),
)
changes = st.dictionaries(st.sampled_from(NAMES_OF_PARAMETERS), values, max_size=4)
bodies = st.builds(lambda base, change: base | change, bases, st.one_of(st.just({}), changes))
some = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


class Client:
    """A subscriber that keeps what it hears."""

    def __init__(self, hub: Hub, account: Any) -> None:
        self.session = Session(hub.dialect, account)
        self.heard: list[str] = []

    def put(self, text: str) -> None:
        self.heard.append(text)

    def drop(self) -> None:
        raise AssertionError("dropped")


class World:
    """An exchange with a market, one account and a subscriber to everything."""

    def __init__(self, profile: str) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock, market=SyntheticMarket(seed=1), seed=1)
        self.account = self.engine.open_account(10**10)
        self.hub = Hub(BitmexTongue(Dialect(self.engine, profile)), self.clock)
        self.client = Client(self.hub, self.account)
        self.hub.join(self.client, list(TABLES))

    def call(self, verb: str, path: str, body: Any, in_query: bool) -> tuple[int, Any]:
        target, payload = f"/api/v1{path}", b""
        if in_query:
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in body.items()}
            target += "?" + "&".join(
                f"{name}={quote(text.encode(errors='replace'))}" for name, text in texts.items()
            )
        else:
            payload = json.dumps(body).encode()
        until = str(int(self.clock.now()) + 60)
        signed = signature(self.account.secret, verb, target, until, payload)
        headers = dict(zip(NAMES, (self.account.key, until, signed), strict=True))
        answer = self.hub.answer(Call(verb, target, headers, payload, "x"))
        json.dumps(answer.body)
        return answer.status, answer.body


@pytest.fixture(scope="module", params=["classic", "last"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.mark.parametrize("route", sorted(ROUTES), ids=" ".join)
def test_every_route_takes_every_value(world: World, route: tuple[str, str]) -> None:
    @some
    @given(bodies, st.booleans())
    def check(body: Any, in_query: bool) -> None:
        world.client.heard.clear()
        status, told = world.call(*route, body, in_query)
        assert status in (200, 400, 401, 403, 404), told
        assert world.engine.imbalance_sat() == 0

    check()
    world.clock.now_s += 0.5
    world.hub.advance()


frames = st.one_of(
    st.text(max_size=20),
    values.map(json.dumps),
    st.builds(
        lambda op, args: json.dumps({"op": op, "args": args}),
        st.sampled_from(
            ["subscribe", "unsubscribe", "authKeyExpires", "authKey", "cancelAllAfter", "help", ""]
        ),
        st.one_of(values, st.lists(st.sampled_from([*TABLES, *WORDS]), max_size=3)),
    ),
    st.builds(
        lambda table, word: json.dumps({"op": "subscribe", "args": f"{table}:{word}"}),
        st.sampled_from(list(TABLES)),
        st.sampled_from(WORDS),
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames, st.booleans())
def test_every_frame_is_answered(world: World, text: str, is_stranger: bool) -> None:
    client = Client(world.hub, None if is_stranger else world.account)
    world.hub.join(client, [])
    try:
        world.hub.receive(client, text)
    finally:
        world.hub.leave(client)
    for frame in client.heard:
        assert frame == "pong" or isinstance(json.loads(frame), dict)
