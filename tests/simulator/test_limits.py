"""The limits on requests and connections, on a clock of the test's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.model.wire import Request
from market_maker.simulator.limits import RateLimits


def charge(limits: RateLimits, verb: str, path: str, body: Any = None, now_s: float = 0.0) -> Any:
    return limits.charge("account 1", True, Request(verb, path, None, body), now_s)


@pytest.mark.parametrize(
    ("profile", "verb", "path", "body", "allowed"),
    [
        ("classic", "GET", "/order", None, 300),
        ("classic", "POST", "/order", None, 300),
        ("classic", "POST", "/order/bulk", {"orders": [{}] * 12}, 150),
        ("classic", "POST", "/order/bulk", {"orders": [{}] * 10}, 300),
        ("last", "GET", "/order", None, 120),
        ("last", "POST", "/order", None, 10),
        ("last", "DELETE", "/order/all", None, 10),
    ],
)
def test_so_many_requests_are_allowed_at_once(
    profile: str, verb: str, path: str, body: Any, allowed: int
) -> None:
    limits = RateLimits(profile)
    outcomes = [charge(limits, verb, path, body).retry_after_s for _ in range(allowed + 1)]
    assert outcomes[:-1] == [0] * allowed
    assert outcomes[-1] >= 1


def test_a_refused_request_may_come_again_when_it_was_told() -> None:
    limits = RateLimits("classic")
    for _ in range(300):
        charge(limits, "GET", "/order")
    refused = charge(limits, "GET", "/order")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-ratelimit-reset"] == "300"
    assert refused.message == "Rate limit exceeded, retry in 1 seconds."
    assert charge(limits, "GET", "/order", now_s=1.0).retry_after_s == 0
    assert charge(limits, "GET", "/order", now_s=1.0).retry_after_s == 1


def test_cancels_are_counted_but_never_refused_by_the_first_layer() -> None:
    limits = RateLimits("classic")
    left = [int(charge(limits, "DELETE", "/order").headers["x-ratelimit-remaining"])]
    left += [charge(limits, "DELETE", "/order").retry_after_s for _ in range(400)]
    assert left == [299] + [0] * 400
    assert charge(limits, "POST", "/order").retry_after_s == 1


def test_clients_without_a_key_share_less_and_do_not_take_from_others() -> None:
    limits = RateLimits("last")
    for _ in range(30):
        assert not limits.charge("address x", False, Request("GET", "/quote"), 0.0).retry_after_s
    assert limits.charge("address x", False, Request("GET", "/quote"), 0.0).retry_after_s == 2
    assert charge(limits, "GET", "/quote").retry_after_s == 0


@given(
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["GET", "POST", "DELETE"])), max_size=80)
)
def test_no_sequence_of_calls_passes_more_than_size_and_refill(calls: Any) -> None:
    limits, now_s, passed = RateLimits("last"), 0.0, 0
    for wait_s, verb in calls:
        now_s += wait_s
        answer = charge(limits, verb, "/order", now_s=now_s)
        assert 0 <= int(answer.headers["x-ratelimit-remaining"]) <= 120
        passed += not answer.retry_after_s
    assert passed <= 10 + 10 * now_s


def test_the_memory_of_clients_is_bounded() -> None:
    limits = RateLimits("classic")
    for number in range(10_000):
        limits.charge(f"address {number}", False, Request("GET", "/quote"), number / 10)
    assert len(limits._buckets) <= 4096


def test_who_has_spent_is_remembered_longest() -> None:
    limits = RateLimits("last")
    for _ in range(120):
        charge(limits, "GET", "/order")
    for number in range(10_000):
        limits.charge(f"address {number}", False, Request("GET", "/quote"), number / 1000)
    assert charge(limits, "GET", "/order", now_s=10.0).headers["x-ratelimit-remaining"] == "19"


@pytest.mark.parametrize("share", [0.1, 0.5, 1])
@pytest.mark.parametrize("orders", range(1, 101))
def test_a_bulk_call_costs_its_share_rounded_up(share: float, orders: int) -> None:
    body = {"orders": [{}] * orders}
    answer = charge(RateLimits("classic", bulk_cost=share), "POST", "/order/bulk", body)
    tenths = orders * round(share * 10)
    assert int(answer.headers["x-ratelimit-remaining"]) == 300 - (tenths + 9) // 10


@pytest.mark.parametrize(
    ("profile", "size", "with_key", "without_key"),
    [("last", None, 120, 30), ("classic", None, 300, 150), ("last", 60, 60, 15), ("last", 1, 1, 1)],
)
def test_the_size_is_adjustable(
    profile: str, size: int | None, with_key: int, without_key: int
) -> None:
    limits = RateLimits(profile, size=size)
    answers = [limits.charge("a", key, Request("GET", "/quote"), 0.0) for key in (True, False)]
    limits = RateLimits(profile, size=size)
    answers.append(limits.charge("b", False, Request("GET", "/quote"), 0.0))
    assert answers[0].headers["x-ratelimit-limit"] == str(with_key)
    assert answers[2].headers["x-ratelimit-limit"] == str(without_key)


def test_a_bulk_call_larger_than_the_bucket_can_be_paid_in_the_end() -> None:
    limits = RateLimits("classic", size=5, bulk_cost=0.5)
    body = {"orders": [{}] * 100}
    assert charge(limits, "POST", "/order/bulk", body).retry_after_s == 0
    wait_s = charge(limits, "POST", "/order/bulk", body).retry_after_s
    assert charge(limits, "POST", "/order/bulk", body, now_s=float(wait_s)).retry_after_s == 0


SECOND_LAYER = [
    *[(verb, "/order") for verb in ("POST", "PUT", "DELETE")],
    ("DELETE", "/order/all"),
    ("POST", "/order/bulk"),
    ("PUT", "/order/bulk"),
    *[("POST", f"/position/{name}") for name in ("isolate", "leverage", "transferMargin")],
]


@pytest.mark.parametrize(("verb", "path"), SECOND_LAYER)
def test_the_second_layer_is_one_bucket_of_ten_a_second(verb: str, path: str) -> None:
    limits = RateLimits("last")
    left = [charge(limits, "POST", "/order").headers["x-ratelimit-remaining-1s"] for _ in range(10)]
    assert left == [str(number) for number in range(9, -1, -1)]
    refused = charge(limits, verb, path)
    assert (refused.retry_after_s, refused.headers["retry-after"]) == (1, "1")
    assert charge(limits, verb, path, now_s=0.1).retry_after_s == 0


@pytest.mark.parametrize(
    ("verb", "path"), [("GET", "/order"), ("POST", "/position/riskLimit"), ("GET", "/quote")]
)
def test_other_routes_know_nothing_of_the_second_layer(verb: str, path: str) -> None:
    headers = charge(RateLimits("last"), verb, path).headers
    assert "x-ratelimit-remaining-1s" not in headers


@pytest.mark.parametrize(("profile", "size"), [("classic", 40), ("last", 720)])
def test_connections_are_counted_by_the_hour(profile: str, size: int) -> None:
    limits = RateLimits(profile)
    assert [limits.connect("x", 0.0).retry_after_s for _ in range(size)] == [0] * size
    refused = limits.connect("x", 0.0)
    assert refused.retry_after_s == 3600 // size
    assert refused.message == f"Rate limit exceeded, retry in {3600 // size} seconds."
    assert limits.connect("y", 0.0).retry_after_s == 0
    assert limits.connect("x", 3600 / size).retry_after_s == 0
