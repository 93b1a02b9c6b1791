"""ccxt's classes as we drive them: what they put on the wire, by their own code."""

import json
import threading
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
import requests

from market_maker._settings_venues import CCXT
from market_maker.clock import Clock
from market_maker.exchanges.base import ExchangeError, Status, no_start
from market_maker.exchanges.ccxt_errors import words
from market_maker.exchanges.ccxt_quirks import QUIRKS, paced
from market_maker.exchanges.ccxt_rest import CcxtVenue, new_exchange, open_connector
from market_maker.exchanges.client_ids import ClientIds
from market_maker.exchanges.reads import Pace
from market_maker.model.rows import NO_FUNDS, POST_ONLY, WOULD_TAKE
from market_maker.utils.errors import AuthenticationError, SettingsError

ccxt = pytest.importorskip("ccxt", reason="the extra 'ccxt' is not installed")

PREFIX = "mm_bitmex_"
ORDER = {
    "clOrdID": PREFIX + "AAAAAAAAAAAAAAAAAAAAAA",
    "side": "Buy",
    "orderQty": 0.5,
    "price": 30_000.1,
    "execInst": POST_ONLY,
}
IDS = {"okx": "BTC-USDT", "htx": "btcusdt", "kraken": "XBTUSDT"}
ANSWERS: dict[str, Any] = {
    "okx": {"code": "0", "msg": "", "data": [{"ordId": "77", "clOrdId": "x", "sCode": "0"}]},
    "binance": {"symbol": "BTCUSDT", "orderId": 77, "clientOrderId": "x", "status": "NEW"},
    "htx": {"status": "ok", "data": "77"},
    "hitbtc": {"id": 1, "client_order_id": "77", "symbol": "BTCUSDT", "status": "new"},
    "kraken": {
        "error": [],
        "result": {"descr": {"order": "buy 0.5 XBTUSDT @ limit 30000.1"}, "txid": ["77"]},
    },
    "bybit": {"retCode": 0, "retMsg": "OK", "result": {"orderId": "77", "orderLinkId": "x"}},
}
POST_ONLY_IS = {
    "okx": "post_only",
    "binance": "LIMIT_MAKER",
    "htx": "buy-limit-maker",
    "hitbtc": "post_only",
    "kraken": "post",
    "bybit": "PostOnly",
}


class Rig:
    """A venue whose class sends nothing: the test answers."""

    def __init__(self, name: str) -> None:
        self.exchange = new_exchange(name, "test-key", "dGVzdC1zZWNyZXQ=", "test-pass", 7.0)
        market = self.exchange.safe_market_structure(
            {
                "id": IDS.get(name, "BTCUSDT"), "symbol": "BTC/USDT", "base": "BTC",
                "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "type": "spot",
                "spot": True, "margin": False, "swap": False, "future": False, "option": False,
                "contract": False, "active": True,
                "precision": {"price": 0.1, "amount": 0.0001},
                "info": {"orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "altname": "XBTUSDT"},
                "limits": {"amount": {"min": 0.0001}, "cost": {"min": 5.0}},
            }
        )  # fmt: skip
        self.exchange.set_markets([market])
        self.exchange.load_markets = lambda _=False: self.exchange.markets  # nothing is read anew
        self.exchange.accounts = [{"id": "1", "type": "spot"}]
        self.exchange.options["unifiedMarginStatus"] = 5
        self.exchange.options["enableUnifiedAccount"] = True
        self.exchange.options["enableUnifiedMargin"] = False
        self.sent: list[str] = []
        self.answer: Any = ANSWERS[name]
        self.exchange.fetch = self.fetch
        self.venue = CcxtVenue(self.exchange, "BTC-USDT", PREFIX)

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        self.sent.append(unquote(f"{method} {url} {body or ''}"))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = json.loads(json.dumps(self.answer))
        self.exchange.last_http_response = json.dumps(answer)
        self.exchange.handle_errors(200, "", url, method, {}, json.dumps(answer), answer, "", "")
        return answer


@pytest.mark.parametrize("name", QUIRKS)
def test_an_order_goes_out_signed_post_only_and_under_our_own_id(name: str) -> None:
    rig = Rig(name)
    result = rig.venue.place(ORDER)
    assert result.status is Status.OK, result.text
    assert result.row["orderID"] == "77"
    (wire,) = rig.sent
    assert wire.startswith("POST ")
    assert POST_ONLY_IS[name] in wire
    if QUIRKS[name].id_param:
        ours = ClientIds(PREFIX).encode(str(ORDER["clOrdID"]))
        assert ours in wire
        fields = wire.split(" ", 2)[2]
        names = set(parse_qs(fields)) | set(parse_qs(wire.split("?")[-1]))
        assert QUIRKS[name].id_param in fields or QUIRKS[name].id_param in names
    for broker in ("6b9ad766b55dBCDE", "AA03022abc", "x-TKT5PX2F"):
        assert broker not in wire


@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize("lifetime", ["ImmediateOrCancel", "FillOrKill"])
def test_an_order_that_shall_not_rest_says_so(name: str, lifetime: str) -> None:
    rig = Rig(name)
    plain = {key: value for key, value in ORDER.items() if key != "execInst"}
    result = rig.venue.place({**plain, "timeInForce": lifetime})
    assert result.status is Status.OK, result.text
    word = {"ImmediateOrCancel": "ioc", "FillOrKill": "fok"}[lifetime]
    assert word in rig.sent[0].replace("limit-", "").lower()


@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize("lifetime", ["ImmediateOrCancel", "FillOrKill"])
def test_an_order_at_the_market_says_nothing_of_its_lifetime(name: str, lifetime: str) -> None:
    rig = Rig(name)
    sent: list[Any] = []
    rig.exchange.create_order = lambda *call: sent.append(call) or {"id": "77"}  # type: ignore[func-returns-value]
    rig.venue.place({**ORDER, "price": None, "execInst": "", "timeInForce": lifetime})
    ((_, kind, _, _, price, params),) = sent
    assert (kind, price, "timeInForce" in params) == ("market", None, False)


@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ccxt.RequestTimeout("t"), Status.UNKNOWN),
        (ccxt.NetworkError("n"), Status.UNKNOWN),
        (ccxt.ExchangeNotAvailable("5xx"), Status.UNKNOWN),
        (ccxt.BadResponse("<html>"), Status.UNKNOWN),
        (ccxt.ExchangeError("a code that ccxt does not know"), Status.UNKNOWN),
        (ccxt.RateLimitExceeded("429"), Status.NOT_SENT),
        (ccxt.InsufficientFunds("funds"), Status.REJECTED),
        (ccxt.InvalidOrder("size"), Status.REJECTED),
        (ccxt.OrderNotFound("gone"), Status.REJECTED),
    ],
)
def test_each_error_is_classed_by_what_may_be_concluded(
    name: str, error: Exception, status: Status
) -> None:
    rig = Rig(name)
    rig.answer = error
    assert rig.venue.place(ORDER).status is status


@pytest.mark.parametrize(
    ("name", "error", "face"),
    [
        ("kraken", ccxt.ExchangeError('kraken {"error":["EOrder:Post only order"]}'), WOULD_TAKE),
        (
            "binance",
            ccxt.OrderImmediatelyFillable(
                'binance {"code":-2010,"msg":"Order would immediately match and take."}'
            ),
            WOULD_TAKE,
        ),
        ("bybit", ccxt.InsufficientFunds("bybit no money"), NO_FUNDS),
        ("kraken", ccxt.ExchangeError('kraken {"error":["EOrder:Order not editable"]}'), "EOrder"),
    ],
)
def test_a_refusal_has_the_face_that_it_has_on_every_venue(
    name: str, error: Exception, face: str
) -> None:
    rig = Rig(name)
    rig.answer = error
    result = rig.venue.place(ORDER)
    assert result.status is Status.REJECTED
    assert face in result.text


def test_a_refused_key_is_told_as_such_and_nothing_is_in_doubt() -> None:
    rig = Rig("binance")
    rig.answer = ccxt.AuthenticationError("no")
    result = rig.venue.place(ORDER)
    assert result.status is Status.REJECTED
    assert result.answer is not None
    assert result.answer.status == 401
    with pytest.raises(AuthenticationError):
        rig.venue.open_orders()


def test_a_page_that_is_full_of_one_moment_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig("kraken")
    trade = {"order": "77", "side": "buy", "amount": 1.0, "price": 3.0, "timestamp": 1_000}
    page = [{**trade, "id": str(number)} for number in range(50)]
    rig.exchange.fetch_my_trades = lambda *_: page
    assert [len(rig.venue.fills(0)) for _ in range(3)] == [50] * 3
    assert caplog.messages == ["ccxt:kraken has more fills of one moment than it tells."]


def test_okx_is_asked_for_fills_no_faster_than_where_ccxt_asks_for_them() -> None:
    rig = Rig("okx")
    rig.answer = {"code": "0", "data": []}
    rig.venue.fills(0)
    assert "/trade/fills-history" in rig.sent[0]  # 10 in 2 s
    assert paced(Pace(0.01, 0.01, 0.01), QUIRKS["okx"]).check_s >= 0.2


def test_open_orders_of_okx_are_read_on_where_a_page_is_full() -> None:
    rig = Rig("okx")
    row = {"instId": "BTC-USDT", "instType": "SPOT", "side": "buy", "sz": "1", "px": "1",
           "accFillSz": "0", "state": "live", "clOrdId": "", "ordType": "limit"}  # fmt: skip
    pages = iter([range(300, 200, -1), range(200, 190, -1)])

    def answer() -> Any:
        return {
            "code": "0",
            "data": [{**row, "ordId": str(n), "cTime": str(n)} for n in next(pages)],
        }

    fetch = rig.exchange.fetch

    def page_by_page(*args: Any, **kwargs: Any) -> Any:
        rig.answer = answer()
        return fetch(*args, **kwargs)

    rig.exchange.fetch = page_by_page
    assert {int(found["orderID"]) for found in rig.venue.open_orders()} == set(range(191, 301))
    assert len(rig.sent) == 2 and "after=201" in rig.sent[1]


def test_its_own_limiter_is_off_and_no_margin_is_asked_for() -> None:
    for name in QUIRKS:
        assert Rig(name).exchange.enableRateLimit is False
    assert Rig("binance").exchange.options["fetchMargins"] is False


def test_the_settings_name_the_venues_we_know() -> None:
    assert tuple(f"ccxt:{name}" for name in QUIRKS) == CCXT


def test_an_unknown_venue_gets_one_line() -> None:
    with pytest.raises(SettingsError, match="must be one of"):
        new_exchange("bitmex", "", "", "", 7.0)


def test_an_order_is_known_by_our_id_whatever_it_reads_on_the_wire() -> None:
    rig = Rig("binance")
    wire = ClientIds(PREFIX).encode(str(ORDER["clOrdID"]))
    rig.answer = [
        {
            "symbol": "BTCUSDT", "orderId": 77, "clientOrderId": wire, "price": "30000.1",
            "origQty": "0.5", "executedQty": "0.2", "status": "PARTIALLY_FILLED",
            "type": "LIMIT_MAKER", "side": "BUY", "time": 1_700_000_000_000,
        }
    ]  # fmt: skip
    (row,) = rig.venue.open_orders()
    assert row["clOrdID"] == ORDER["clOrdID"]
    assert (row["leavesQty"], row["cumQty"], row["ordStatus"]) == (0.3, 0.2, "PartiallyFilled")


@pytest.mark.parametrize(
    ("path", "verb", "query", "signed"),
    [
        (
            "v1/order/openOrders",
            "GET",
            {"account-id": 1, "symbol": "btcusdt"},
            "liTpXO5tvmPb6pPBiOW/ehALZqQNFeBcJoVuF15TxlU=",
        ),
        ("v1/order/orders/place", "POST", {}, "uQwj4lsy1XZp+x8UO8m7P0vNCrYlH/0Y0T4E7I02Hmk="),
    ],
)
def test_htx_is_signed_as_the_worked_vectors_are(
    path: str, verb: str, query: dict[str, Any], signed: str
) -> None:
    exchange = new_exchange("htx", "test-key", "test-secret", "", 7.0)
    exchange.milliseconds = exchange.nonce = lambda: 1_700_000_000_000
    url = exchange.sign(path, ["spot", "private"], verb, query)["url"]
    assert parse_qs(url.split("?")[1])["Signature"] == [signed]


def test_an_answer_of_okx_without_price_and_status_is_taken_from_the_request() -> None:
    rig = Rig("okx")
    assert rig.venue.place(ORDER).row == {"orderID": "77"}  # the rest is what was asked for


@pytest.mark.parametrize(
    ("cost", "currency", "paid"),
    [
        (0.001, "BTC", 3_000_000_000),
        (2.5, "USDT", 250_000_000),
        (-2.5, None, -250_000_000),
        (1, "BNB", 0),
    ],
)
def test_a_fee_counts_in_the_quote_currency_and_one_in_a_third_cannot_be_valued(
    cost: float, currency: str | None, paid: int
) -> None:
    rig, fee = Rig("binance"), {"cost": cost, "currency": currency}
    trade = {"id": "1", "order": "77", "side": "buy", "amount": 1.0, "price": 30_000.0, "fee": fee}
    rig.exchange.fetch_my_trades = lambda *_: [{**trade, "timestamp": 1_700_000_000_000}]
    (row,) = rig.venue.fills(0)
    assert (row["execComm"], row["feeQty"], row["feeCurrency"]) == (paid, cost, currency or "USDT")


def test_a_lock_stands_before_its_object_which_is_not_made_for_threads() -> None:
    rig = Rig("binance")
    inside, most = [0], [0]

    def slow(*_: Any) -> dict[str, Any]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        threading.Event().wait(0.01)
        inside[0] -= 1
        return {"id": "77"}

    rig.exchange.create_order = slow
    threads = [threading.Thread(target=rig.venue.place, args=(ORDER,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('okx {"code":"50113","msg":"Invalid Sign","data":[]}', "Invalid Sign (50113)"),
        (
            'okx {"code":"1","msg":"All failed","data":[{"sCode":"51008","sMsg":"No money"}]}',
            "No money (51008)",
        ),
        (
            'hitbtc {"error":{"code":20001,"message":"Insufficient funds"}}',
            "Insufficient funds (20001)",
        ),
        ('binance {"code":-2010,"msg":"no"}', "no (-2010)"),
        ("kraken EOrder:Insufficient funds", "kraken EOrder:Insufficient funds"),
        ("x {no json", "x {no json"),
    ],
)
def test_a_venues_answer_is_told_in_its_own_words(text: str, told: str) -> None:
    assert words(ccxt.ExchangeError(text)) == told


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("okx", ccxt.ExchangeError('okx {"code":"50120","msg":"no permission","data":[]}')),
        ("binance", ccxt.DDoSProtection('binance {"code":-2015,"msg":"permissions for action."}')),
    ],
)
def test_a_right_that_the_key_lacks_is_told_as_such(name: str, error: Exception) -> None:
    rig = Rig(name)
    rig.answer = error
    result = rig.venue.place(ORDER)
    assert (result.status, result.answer and result.answer.status) == (Status.REJECTED, 401)


class Everything(requests.adapters.BaseAdapter):
    """Answers each request with one status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__()
        self._status, self._text = status, text

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.url, answer.reason = self._status, request.url, "Odd"
        answer._content = self._text.encode()
        return answer

    def close(self) -> None:
        """It holds nothing."""


def venue_that_answers(name: str, status: int, text: str) -> CcxtVenue:
    exchange = new_exchange(name, "test-key", "dGVzdC1zZWNyZXQ=", "test-pass", 7.0)
    exchange.session.mount("https://", Everything(status, text))
    return CcxtVenue(exchange, "BTC-USDT" if name == "okx" else "BTCUSDT", PREFIX)


def test_a_key_of_another_region_is_a_refused_key_though_ccxt_has_no_class_for_it() -> None:
    venue = venue_that_answers("okx", 401, '{"code": "50119", "msg": "API key doesn\'t exist"}')
    with pytest.raises(AuthenticationError, match=r"API key doesn't exist \(50119\)$"):
        venue.market()


ELSEWHERE = '{"code": 0, "msg": "Service unavailable from a restricted location."}'


@pytest.mark.parametrize(
    ("name", "status", "text", "exit_code", "told"),
    [
        ("binance", 451, ELSEWHERE, 2, "The exchange says: Service unavailable from a restricted"),
        ("okx", 404, "<html><p>Not here</p></html>", 2, "page: Not here. Is BASE_URL right"),
        ("okx", 503, "<html><p>Later</p></html>", 1, "says: www.okx.com answers 503 with a page:"),
        ("htx", 403, "<html>{css} Blocked</html>", 1, "pro answers 403 with a page: {css} Blocked"),
        ("kraken", 401, "<html>Blocked</html>", 1, "kraken.com answers 401 with a page: Blocked"),
    ],
)
def test_what_keeps_a_start_from_beginning_is_one_line_and_says_whether_it_may_pass(
    name: str, status: int, text: str, exit_code: int, told: str
) -> None:
    with pytest.raises(ExchangeError) as refused:
        venue_that_answers(name, status, text).market()
    reason = no_start(refused.value)
    assert (refused.value.status, reason.exit_code) == (status, exit_code)
    assert told in str(reason)
    assert "<" not in str(reason)
    assert ".." not in str(reason)


def test_where_nobody_listens_the_address_is_asked_about() -> None:
    connector = open_connector(
        "okx", "BTC-USDT", [], clock=Clock(), prefix=PREFIX, base_url="http://127.0.0.1:9"
    )
    with pytest.raises(ExchangeError) as refused:
        connector.fetch_rows("instrument")
    reason = no_start(refused.value)
    assert reason.exit_code == 2
    assert str(reason).startswith(
        "No answer of the exchange: connection refused. Is BASE_URL right"
    )
