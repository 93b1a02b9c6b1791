"""Client order ids survive the letters of a venue."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.exchanges.client_ids import ClientIds

PREFIX = "mm_bitmex_"


def generated(raw: bytes) -> str:
    return PREFIX + base64.b64encode(raw).decode().rstrip("=")


@given(st.binary(min_size=16, max_size=16))
def test_a_generated_id_comes_back_and_has_only_letters_and_digits(raw: bytes) -> None:
    ids = ClientIds(PREFIX)
    wire = ids.encode(generated(raw))
    assert wire.isascii() and wire.isalnum() and len(wire) <= 32
    assert ids.decode(wire) == generated(raw)


@given(st.text(min_size=1, max_size=4) | st.from_regex(r"\A[ -~]{1,18}\Z"))
def test_an_id_of_a_strategys_own_comes_back(own: str) -> None:
    ids = ClientIds(PREFIX)
    wire = ids.encode(own)
    assert wire.isascii() and wire.isalnum() and len(wire) <= 32
    assert ids.decode(wire) == own


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_two_ids_never_become_one(one: bytes, other: bytes) -> None:
    ids = ClientIds(PREFIX)
    same = ids.encode(generated(one)) == ids.encode(generated(other))
    assert same is (one == other)


def test_another_bots_id_stays_foreign() -> None:
    wire = ClientIds("mm_other_").encode("mm_other_" + "A" * 22)
    assert ClientIds(PREFIX).decode(wire) == wire


@pytest.mark.parametrize("wire", ["", "abc", "6b9ad766b55dBCDE", "mm", "e847386590ce4dBC"])
def test_an_id_made_by_hand_comes_back_as_it_is(wire: str) -> None:
    assert ClientIds(PREFIX).decode(wire) == wire


@given(st.text(max_size=32))
def test_no_id_on_the_wire_makes_it_fail(wire: str) -> None:
    ids = ClientIds(PREFIX)
    assert isinstance(ids.decode(ids.tag + "g" + wire), str)
    assert isinstance(ids.decode(ids.tag + "x" + wire), str)


def test_an_id_too_long_for_the_venue_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"clOrdID .* is too long for this exchange"):
        ClientIds(PREFIX).encode("x" * 36)
