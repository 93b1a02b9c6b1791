"""Keys, signatures and rights, against the exchange's own published examples."""

from collections.abc import Iterator
from contextlib import closing
from random import Random
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.auth import signing
from market_maker.clock import ManualClock
from market_maker.simulator.auth import NAMES, identify, signature
from market_maker.simulator.exchange import Account, Engine, Refused
from market_maker.simulator.keys import KeyRing, read_permissions
from market_maker.simulator.limits import RateLimits
from tests.auth.test_signing import KEY, SECRET, VECTORS
from tests.simulator.test_server import Exchange

NOW_S = 1518064230.0


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that knows the key of the examples, shortly before they expire."""
    engine = Engine(ManualClock(NOW_S), seed=1)
    number = engine.open_account().number
    official = Account(number, KEY, SECRET, frozenset({"order"}))
    find = engine.account_by_key
    monkeypatch.setattr(engine, "account_by_key", lambda key: official if key == KEY else find(key))
    return engine


@pytest.mark.parametrize(("call", "signed"), VECTORS)
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_the_published_signatures_open_the_door(
    engine: Engine, call: tuple[str, str, int, str], signed: str, change: type
) -> None:
    verb, path, expires, body = call
    assert signature(SECRET, verb, path, str(expires), body.encode()) == signed
    credentials = dict(zip(NAMES, (KEY, str(expires), change(signed)), strict=True))
    account = identify(engine, credentials, verb, path, body.encode())
    assert account is not None
    assert account.key == KEY


@given(
    verb=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.text("abc/?=&%7B+", min_size=1),
    expires=st.integers(0, 10**13),
    body=st.text(),
)
def test_the_bot_signs_as_the_exchange_reads(verb: str, path: str, expires: int, body: str) -> None:
    ours = signing.sign(SECRET, verb, path, expires, body)
    assert ours == signature(SECRET, verb, path, str(expires), body.encode())


EXPIRED = f"This request has expired - `expires` is in the past. Current time: {NOW_S:.0f}"


@pytest.mark.parametrize(
    ("key", "expires", "signed", "status", "message"),
    [
        ("nobody", "1518064236", None, 401, "Invalid API Key."),
        ("", "1518064236", "00", 401, "Invalid API Key."),
        (KEY, "1518064236", "00", 401, "Signature not valid."),
        (KEY, "1518064236", "", 401, "Signature not valid."),
        (KEY, "1518064236", "é", 401, "Signature not valid."),
        (KEY, "1518064229", None, 400, EXPIRED),
        (KEY, "1518064230", None, 0, ""),
        (KEY, "1518064230.5", None, 0, ""),
        # some clients sign the present in milliseconds: it must not be late when it arrives
        (KEY, "1518064229999", None, 0, ""),
        (KEY, "soon", None, 401, "Signature not valid."),
        (KEY, "nan", None, 401, "Signature not valid."),
        (KEY, "inf", None, 401, "Signature not valid."),
        (KEY, "", None, 401, "Signature not valid."),
    ],
)
def test_each_failure_has_its_status_and_message(
    engine: Engine, key: str, expires: str, signed: str | None, status: int, message: str
) -> None:
    if signed is None:
        signed = signature(SECRET, "GET", "/api/v1/order", expires)
    credentials = dict(zip(NAMES, (key, expires, signed), strict=True))
    if not status:
        assert identify(engine, credentials, "GET", "/api/v1/order") is not None
        return
    with pytest.raises(Refused) as refused:
        identify(engine, credentials, "GET", "/api/v1/order")
    assert (refused.value.status, refused.value.message) == (status, message)


def test_a_call_without_a_key_is_nobodys(engine: Engine) -> None:
    assert identify(engine, {}, "GET", "/api/v1/order") is None
    assert identify(engine, {"api-expires": "1518064236"}, "GET", "/api/v1/order") is None


def test_a_nonce_is_told_what_came_after_it(engine: Engine) -> None:
    signed = signature(SECRET, "GET", "/realtime", "1518064230123")
    credentials = {"api-key": KEY, "api-nonce": "1518064230123", "api-signature": signed}
    with pytest.raises(Refused, match="api-expires") as refused:
        identify(engine, credentials, "GET", "/realtime")
    assert refused.value.status == 401


def test_an_account_has_as_many_keys_as_it_wants(engine: Engine) -> None:
    first = engine.open_account()
    second = engine.add_key(first.number, {"orderCancel"})
    assert second.number == first.number
    assert second.key != first.key
    assert [engine.account_by_key(key.key) for key in (first, second)] == [first, second]
    assert engine.accounts().count(first) == 1
    assert second not in engine.accounts()
    assert second.secret not in repr(second)


def test_a_disabled_key_opens_nothing_and_the_others_still_do(engine: Engine) -> None:
    account = engine.open_account()
    other = engine.add_key(account.number, {"order"})
    engine.disable_key(account.key)

    def knock(key: Account) -> Account | None:
        signed = signature(key.secret, "GET", "/x", "1518064236")
        return identify(
            engine, dict(zip(NAMES, (key.key, "1518064236", signed), strict=True)), "GET", "/x"
        )

    assert knock(other) == other
    with pytest.raises(Refused, match=r"This key is disabled\.") as refused:
        knock(account)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("text", "permissions"),
    [
        ("read", set()),
        ("", set()),
        ("order", {"order"}),
        ("orderCancel, withdraw", {"orderCancel", "withdraw"}),
    ],
)
def test_rights_are_read_from_a_list(text: str, permissions: set[str]) -> None:
    assert read_permissions(text) == permissions


@pytest.mark.parametrize(
    ("text", "fault"), [("order,orderCancel", "either"), ("trade", "not trade"), ("Order", "not")]
)
def test_impossible_rights_are_refused(text: str, fault: str, engine: Engine) -> None:
    with pytest.raises(ValueError, match=fault):
        read_permissions(text)
    with pytest.raises(ValueError, match=fault):
        engine.add_key(1, set(text.split(",")))


def test_a_key_of_an_earlier_run_is_taken_in_as_it_was() -> None:
    ring = KeyRing(Random(1))
    known = Account(7, KEY, SECRET, frozenset(), is_enabled=False)
    ring.put(known)
    assert (ring.find(KEY), ring.keys(), ring.accounts()) == (known, [known], [known])


# -- over sockets, on private and on public routes


@pytest.fixture(scope="module")
def served() -> Iterator[Exchange]:
    with closing(Exchange("last", RateLimits("last", size=1000))) as exchange:
        yield exchange


ROUTES = ["/api/v1/order", "/api/v1/quote?symbol=XBTUSD", "/api/v1//order/"]


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("way", ["headers", "query"])
@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"api-key": "nobody"}, 401, "Invalid API Key."),
        ({"api-signature": "00"}, 401, "Signature not valid."),
        ({}, 200, ""),
    ],
)
def test_wrong_credentials_fail_on_every_route(
    served: Exchange, target: str, way: str, change: dict[str, str], status: int, message: str
) -> None:
    signed = served.credentials("GET", target) | change
    headers = signed if way == "headers" else {}
    if way == "query":
        target += ("&" if "?" in target else "?") + urlencode(signed)
    told, body, answered = served.raw("GET", target, b"", headers)
    assert told == status
    if message:
        assert body == {"error": {"message": message, "name": "HTTPError"}}
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert all(answered[name].isdigit() for name in names)


@pytest.mark.parametrize(
    ("verb", "target", "status", "message"),
    [
        ("GET", "/api/v1/order", 401, "Authorization Required"),
        ("POST", "/api/v1/order", 401, "Authorization Required"),
        ("GET", "/api/v1/nothing", 404, "Not Found"),
        ("GET", "/nothing", 404, "Not Found"),
    ],
)
def test_a_stranger_is_told_so(
    served: Exchange, verb: str, target: str, status: int, message: str
) -> None:
    told, body, headers = served.raw(verb, target, b"", {})
    assert (told, body["error"]) == (status, {"message": message, "name": "HTTPError"})
    assert headers["x-ratelimit-limit"] == "250"  # a quarter, as 30 is of 120


@pytest.mark.parametrize(
    ("permissions", "verb", "target", "status"),
    [
        (set(), "POST", "/api/v1/order", 403),
        (set(), "DELETE", "/api/v1/order/all", 403),
        (set(), "GET", "/api/v1/order", 200),
        ({"orderCancel"}, "POST", "/api/v1/order", 403),
        ({"orderCancel"}, "PUT", "/api/v1/order", 403),
        ({"orderCancel"}, "DELETE", "/api/v1/order/all", 200),
        ({"orderCancel"}, "POST", "/api/v1/order/cancelAllAfter?timeout=0", 200),
        ({"order"}, "DELETE", "/api/v1/order/all", 200),
        ({"withdraw"}, "POST", "/api/v1/order", 403),
    ],
)
def test_a_key_opens_what_its_rights_allow(
    served: Exchange, permissions: set[str], verb: str, target: str, status: int
) -> None:
    key = served.engine.add_key(served.account.number, permissions)
    until = str(int(served.engine.now()) + 30)
    signed = signature(key.secret, verb, target, until).upper()
    headers = dict(zip(NAMES, (key.key, until, signed), strict=True))
    told, body, _ = served.raw(verb, target, b"", headers)
    assert told == status
    if status == 403:
        assert body["error"]["message"] == "Access Denied"


def test_keys_of_one_account_share_its_orders_and_its_limit(served: Exchange) -> None:
    placed = served.place(clOrdID="of the first key")
    other = served.engine.add_key(served.account.number, {"orderCancel"})
    target = "/api/v1/order?clOrdID=" + quote(placed["clOrdID"])
    until = str(int(served.engine.now()) + 30)
    signed = signature(other.secret, "DELETE", target, until)
    headers = dict(zip(NAMES, (other.key, until, signed), strict=True))
    status, rows, answered = served.raw("DELETE", target, b"", headers)
    assert (status, rows[0]["ordStatus"]) == (200, "Canceled")
    assert answered["x-ratelimit-limit"] == "1000"
    assert int(answered["x-ratelimit-remaining-1s"]) <= 9


def test_a_form_body_of_cancels_may_name_several_orders() -> None:
    with closing(Exchange("last")) as exchange:
        ids = [exchange.place(price=58_000 + number)["orderID"] for number in range(3)]
        body = urlencode([("orderID", name) for name in ids]).encode()
        kind = "application/x-www-form-urlencoded"
        status, rows, _ = exchange.call("DELETE", "/api/v1/order", body, kind)
    assert status == 200
    assert [row["orderID"] for row in rows] == ids
    assert {row["ordStatus"] for row in rows} == {"Canceled"}
