"""What OKX does with orders, as its own answers and pushes tell it."""

import json
from typing import Any

import pytest

from market_maker.auth.okx import OkxSigner
from market_maker.clock import ManualClock
from market_maker.model.wire import Request
from market_maker.simulator.dialects.okx import passphrase_of
from market_maker.simulator.dialects.okx_rows import INSTRUMENTS
from market_maker.simulator.dialects.okx_session import OkxSession
from market_maker.simulator.exchange import Engine
from market_maker.simulator.okx_limits import OkxLimits
from market_maker.simulator.okx_tongue import faulty_okx
from market_maker.simulator.tongue import Call
from tests.doubles import StillMarket


class Venue:
    """An engine behind OKX's words, a customer, and what he hears of his orders."""

    def __init__(self) -> None:
        self.clock, self.market = ManualClock(), StillMarket()
        self.engine = Engine(self.clock, INSTRUMENTS, market=self.market, seed=1)
        self.clock.attach(self.engine)
        self.account = self.engine.open_account()
        self.dialect = faulty_okx(self.engine).dialect
        self.session = OkxSession(self.dialect, "private", self.account)
        topic = {"channel": "orders", "instType": "ANY"}
        self.session.receive({"op": "subscribe", "args": [topic]})
        self.rows: list[Any] = []
        self.dialect.deliver = self._hear
        self.engine.listeners.append(lambda event: self._hear(self.dialect.render(event)))

    def _hear(self, messages: list[Any]) -> None:
        for scope, message in messages:
            if self.session.wants(scope):
                self.rows += message["data"]

    def ask(self, path: str, **wire: str) -> Any:
        body = {"instId": "BTC-USD-SWAP", **wire}
        (row,) = self.dialect.handle(Request("POST", path, None, body), self.account).body["data"]
        self.clock.sleep(1)
        return row

    def signer(
        self, key: str = "", secret: str = "", passphrase: str = "", late_s: float = 0.0
    ) -> Any:
        account = self.account
        return OkxSigner(
            key or account.key,
            secret or account.secret,
            passphrase or passphrase_of(account),
            lambda: self.clock.now() - late_s,
        )

    def place(self) -> None:
        order = {"tdMode": "cross", "side": "sell", "ordType": "limit", "px": "60001"}
        assert self.ask("/trade/order", **order, sz="5", clOrdId="a1")["sCode"] == "0"


@pytest.mark.parametrize(
    ("new_size", "state", "result"), [("2", "filled", ""), ("3", "filled", ""), ("0", "", "-1")]
)
def test_a_new_size_at_or_below_what_is_filled_fills_the_order(
    new_size: str, state: str, result: str
) -> None:
    venue = Venue()
    venue.place()
    venue.market.take("Buy", 50_300, 60_001.0)
    venue.clock.sleep(1)
    assert venue.rows[-1]["accFillSz"] == "3"
    assert venue.ask("/trade/amend-order", clOrdId="a1", newSz=new_size)["sCode"] == "0"
    row = venue.rows[-1]
    assert (row["state"], row["amendResult"]) == (state or "partially_filled", result)
    assert row["sz"] == ("3" if state else "5")


# -- who asks -------------------------------------------------------------------------------------

PATH, BODY = "/api/v5/trade/cancel-order", '{"instId":"BTC-USD-SWAP","ordId":"1"}'


@pytest.mark.parametrize(
    ("given", "changes", "code"),
    [
        ({}, {}, ""),
        ({"key": "nobody"}, {}, "50111"),
        ({"secret": "wrong"}, {}, "50113"),
        ({"passphrase": "wrong"}, {}, "50105"),
        ({"late_s": 31.0}, {}, "50102"),
        ({"late_s": -31.0}, {}, "50102"),
        ({"late_s": 3.0}, {}, "50038"),  # within the 30 s, but after its expTime
        ({}, {"ok-access-sign": ""}, "50103"),
        ({}, {"ok-access-timestamp": "yesterday"}, "50112"),
        ({}, {"body": BODY.replace("1", "2")}, "50113"),
        ({}, {"target": f"{PATH}?x=1"}, "50113"),
    ],
)
def test_every_call_is_checked_to_the_byte(
    given: dict[str, Any], changes: dict[str, str], code: str
) -> None:
    venue = Venue()
    signed = venue.signer(**given)("POST", PATH, BODY)
    headers = {name.lower(): value for name, value in signed.items()} | changes
    call = Call(
        "POST",
        changes.get("target", PATH),
        headers,
        changes.get("body", BODY).encode(),
        "127.0.0.1",
    )
    heard = faulty_okx(venue.engine).read(call)
    assert (heard.refusal.body["code"] if heard.refusal else "") == code
    if not code:
        assert heard.account is not None
        assert heard.account.number == venue.account.number
    elif code != "50038":
        assert heard.refusal is not None
        assert heard.refusal.status == 401


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "0"),
        ({"key": "nobody"}, "60005"),
        ({"secret": "wrong"}, "60007"),
        ({"passphrase": "wrong"}, "60024"),
        ({"late_s": 31.0}, "60006"),
    ],
)
def test_so_is_the_login_of_a_stream(given: dict[str, Any], code: str) -> None:
    venue = Venue()
    session = OkxSession(venue.dialect, "private", None)
    (refused,) = session.receive({"op": "subscribe", "args": [{"channel": "account"}]})
    assert refused["code"] == "60011"
    (answer,) = session.receive(json.loads(json.dumps(venue.signer(**given).login())))
    assert (answer["event"], answer["code"]) == ("error" if int(code) else "login", code)


# -- what it refuses ------------------------------------------------------------------------------

ORDER = {"tdMode": "cross", "side": "sell", "ordType": "limit", "px": "60001", "sz": "5"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"clOrdId": "mm_1"}, "51000"),
        ({"clOrdId": "a" * 33}, "51000"),
        ({"clOrdId": "a1"}, "51016"),
        ({"instId": "BTC-USD-SWOP"}, "51001"),
        ({"px": "60001.3"}, "51000"),
        ({"sz": "0.5"}, "51121"),
        ({"sz": "90000"}, "51008"),
        ({"tdMode": "cash"}, "51000"),
        ({"ordType": "stop"}, "51000"),
        ({"side": "long"}, "51000"),
    ],
)
def test_an_order_that_cannot_be_has_okxs_code(changes: dict[str, str], code: str) -> None:
    venue = Venue()
    venue.place()
    assert venue.ask("/trade/order", **{**ORDER, "clOrdId": "b1", **changes})["sCode"] == code


def test_what_is_gone_is_not_changed_and_its_id_is_never_taken_again() -> None:
    venue = Venue()
    venue.place()
    assert venue.ask("/trade/cancel-order", clOrdId="a1")["sCode"] == "0"
    assert venue.rows[-1]["state"] == "canceled"
    assert venue.ask("/trade/cancel-order", clOrdId="a1")["sCode"] == "51401"
    assert venue.ask("/trade/amend-order", clOrdId="a1", newPx="60002")["sCode"] == "51509"
    assert venue.ask("/trade/cancel-order", clOrdId="b1")["sCode"] == "51603"
    assert venue.ask("/trade/order", **{**ORDER, "clOrdId": "a1"})["sCode"] == "51016"


@pytest.mark.parametrize("deed", ["amend", "cancel"])
def test_a_yes_comes_before_the_deed_and_may_be_all_there_is(deed: str) -> None:
    venue = Venue()
    venue.place()
    told, before = len(venue.rows), venue.engine.orders(venue.account.number)[0].leaves_qty
    wire = {"newPx": "60002"} if deed == "amend" else {}
    body = {"instId": "BTC-USD-SWAP", "clOrdId": "a1", **wire}
    request = Request("POST", f"/trade/{deed}-order", None, body)
    fault = venue.dialect.faults.add("drop-request:promised=1,count=1")
    for is_kept in (False, True):
        (row,) = venue.dialect.handle(request, venue.account).body["data"]
        assert (row["sCode"], len(venue.rows)) == ("0", told)  # nothing has happened yet
        venue.clock.sleep(1)
        assert (len(venue.rows) > told) == is_kept
    assert fault.hits == 1
    (order,) = venue.engine.orders(venue.account.number)
    assert order.leaves_qty == (before if deed == "amend" else 0)


# -- how often it may be asked --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "items", "most"),
    [
        ("order", 1, 60),
        ("amend-order", 1, 60),
        ("batch-orders", 20, 15),
        ("cancel-all-after", 1, 2),
    ],
)
def test_calls_of_a_kind_are_limited_within_any_two_seconds(
    path: str, items: int, most: int
) -> None:
    limits = OkxLimits()
    order = {"instId": "BTC-USD-SWAP"}
    request = Request("POST", f"/trade/{path}", None, [order] * items if items > 1 else order)

    def charged(now_s: float, asked: Request = request) -> bool:
        return bool(limits.charge("1", True, asked, now_s).retry_after_s)

    assert [charged(0.01 * n) for n in range(most + 1)] == [False] * most + [True]
    other = request._replace(path="/trade/cancel-order", body=order)
    assert not charged(1.0, other)
    assert charged(1.99)
    assert not charged(2.01)


def test_a_fourth_connection_in_a_second_is_refused() -> None:
    limits = OkxLimits()
    assert [bool(limits.connect("a", 0.1 * n).retry_after_s) for n in range(4)] == [False] * 3 + [
        True
    ]
    assert not limits.connect("b", 0.4).retry_after_s
