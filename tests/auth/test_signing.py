"""Signatures against the exchange's own published examples (BitMEX, API Key Usage)."""

import pytest
import requests

import market_maker.auth
from market_maker.auth import AccessTokenAuth, APIKeyAuth, APIKeyAuthWithExpires, signing
from market_maker.auth.APIKeyAuth import generate_expires, generate_signature
from market_maker.clock import Clock

KEY = "LAqUlngMIQkIUjXMUreyu3qn"
SECRET = "chNOOS4KvNXR_Xq4k4c9qsfoKWvnDecLATCRlcBwyKDYnWgO"
ORDER = (
    '{"symbol":"XBTM15","price":219.0,"clOrdID":"mm_bitmex_1a/oemUeQ4CAJZgP3fjHsA","orderQty":98}'
)
FILTERED = "/api/v1/instrument?filter=%7B%22symbol%22%3A+%22XBTM15%22%7D"
VECTORS = [
    (
        ("GET", "/api/v1/instrument", 1518064236, ""),
        "c7682d435d0cfe87c16098df34ef2eb5a549d4c5a3c2b1f0f77b8af73423bf00",
    ),
    (
        ("GET", FILTERED, 1518064237, ""),
        "e2f422547eecb5b3cb29ade2127e21b858b235b386bfa45e1c1756eb3383919f",
    ),
    (
        ("POST", "/api/v1/order", 1518064238, ORDER),
        "1749cd2ccae4aa49048ae09f0b95110cee706e0944e6a14ad0b3a8cb45bd336b",
    ),
    (
        ("GET", "/realtime", 1518064236, ""),
        "6d459dc02866d35a2b965edeecc68063d488e296b77982235fc6eca24b934945",
    ),
]


@pytest.mark.parametrize("call, signature", VECTORS)
def test_a_call_is_signed_as_the_exchange_publishes_it(
    call: tuple[str, str, int, str], signature: str
) -> None:
    verb, path, expires, body = call
    assert signing.sign(SECRET, *call) == signature
    assert signing.sign(SECRET, verb.lower(), path, expires, body) == signature
    for url in (path, f"https://example.org:8443{path}"):
        for data in (body, body.encode(), body or None):
            assert generate_signature(SECRET, verb, url, expires, data) == signature


def test_a_signer_expires_in_whole_seconds_of_the_servers_clock() -> None:
    signer = signing.KeySigner(KEY, SECRET, lambda: 1518064230.2)
    headers = signer("GET", "/api/v1/instrument", "")
    assert headers == {
        "api-key": KEY,
        "api-expires": "1518064236",
        "api-signature": VECTORS[0][1],
    }


def test_a_signer_does_not_show_its_secret() -> None:
    signer = signing.KeySigner(KEY, SECRET, lambda: 0.0)
    assert SECRET not in f"{signer!r} {signer}"


def prepared(verb: str, body: str | bytes | None = None) -> requests.PreparedRequest:
    return requests.Request(verb, "https://example.org/api/v1/order?a=1", data=body).prepare()


@pytest.mark.parametrize("auth_class, life_s", [(APIKeyAuth, 3600), (APIKeyAuthWithExpires, 5)])
@pytest.mark.parametrize("body", [None, ORDER, ORDER.encode()])
def test_the_old_classes_sign_what_requests_is_about_to_send(
    auth_class: type, life_s: int, body: str | bytes | None
) -> None:
    request = auth_class(KEY, SECRET)(prepared("POST", body))

    expires = int(request.headers["api-expires"])
    assert abs(expires - Clock().now() - life_s) <= 2
    text = ORDER if body else ""
    signature = signing.sign(SECRET, "POST", "/api/v1/order?a=1", expires, text)
    assert request.headers["api-signature"] == signature
    assert request.headers["api-key"] == KEY


@pytest.mark.parametrize("token, sent", [("t", "t"), ("", None), (None, None)])
def test_a_token_is_sent_where_there_is_one(token: str | None, sent: str | None) -> None:
    assert AccessTokenAuth(token)(prepared("GET")).headers.get("access-token") == sent


def test_the_old_names_work_as_classes_and_as_modules() -> None:
    for name in market_maker.auth.__all__:
        found = getattr(market_maker.auth, name)
        assert issubclass(found, requests.auth.AuthBase)
        assert getattr(found, name) is found
    assert (
        APIKeyAuth.generate_signature(SECRET, "GET", "/realtime", 1518064236, "") == (VECTORS[3][1])
    )
    assert abs(APIKeyAuth.generate_expires() - generate_expires()) <= 1
