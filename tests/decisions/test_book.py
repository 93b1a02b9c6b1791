"""Lots and decisions in the journal: nothing lost, nothing doubled, in whatever order told."""

import decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_maker.clock import ManualClock
from market_maker.decisions.book import LotBook
from market_maker.decisions.tables import Opening
from market_maker.journal import Journal
from market_maker.quoting.stakes import net_qty

D = decimal.Decimal
PREFIX = "mm_"


def make(path: Path | str = ":memory:", is_inverse: bool = False) -> tuple[Journal, LotBook]:
    clock = ManualClock()
    journal = Journal(path, clock)
    return journal, LotBook(journal, clock, PREFIX, is_inverse)


def begin(book: LotBook, side: str = "Buy", qty: int = 100, key: str = "1") -> Opening:
    word = "OPEN_LONG" if side == "Buy" else "OPEN_SHORT"
    book.open(key, word, 1.6e9, side, D(qty), D("0.1"))
    opening = book.opening()
    assert opening is not None
    return opening


def send(journal: Journal, opening: Opening, name: str, **more: Any) -> None:
    """Write down an order that carries the opening out, as the outbox does before it leaves."""
    journal.record("create", [{"clOrdID": name, "side": opening.side, **more}], 0.0)


def fill(name: str, side: str, cum: int, qty: int, price: float = 100.0, **more: Any) -> Any:
    return {
        "symbol": "XBTUSD",
        "orderID": f"o-{name}",
        "clOrdID": name,
        "side": side,
        "execID": f"{name}-{cum}",
        "lastQty": qty,
        "lastPx": price,
        "cumQty": cum,
        **more,
    }


def test_a_filled_opening_is_one_lot_at_its_average_price_and_is_done() -> None:
    journal, book = make()
    send(journal, begin(book, qty=300), "mm_a")
    journal.book_fills([fill("mm_a", "Buy", 100, 100, 100.0), fill("mm_a", "Buy", 200, 100, 110.0)])
    opening = book.opening()
    assert opening is not None and opening.left == 100
    journal.book_fills([fill("mm_a", "Buy", 300, 100, 120.0)])
    assert book.opening() is None
    (lot,) = book.lots()
    assert (lot.side, lot.qty, lot.price) == ("Buy", 300, 110)
    assert round(lot.share, 12) == D("0.1")


@pytest.mark.parametrize("is_fill_first", [True, False])
def test_a_fee_taken_from_what_is_bought_makes_the_lot_smaller(is_fill_first: bool) -> None:
    clock = ManualClock()
    journal = Journal(":memory:", clock)
    book = LotBook(journal, clock, PREFIX, False, base="BTC")
    send(journal, begin(book, qty=300), "mm_a")
    # As Binance tells it: the fill does not say what the order has come to, its own row does.
    row = fill("mm_a", "Buy", 0, 300, feeQty=0.3, feeCurrency="BTC")
    for _ in range(2):  # both are told twice
        if is_fill_first:
            journal.book_fills([row])
        book.note_filled("mm_a", D(300), D(100))
        journal.book_fills([row])
    assert net_qty(book.lots()) == D("299.7")
    assert book.opening() is None
    assert book.take_pairs() == [], "a fee is no trade"
    assert [lot.side for lot in book.lots()] == ["Buy"]


def test_a_sale_after_a_fee_that_came_first_is_a_pair_of_its_own() -> None:
    clock = ManualClock()
    journal = Journal(":memory:", clock)
    book = LotBook(journal, clock, PREFIX, False, base="BTC")
    for key, side, price in (("1", "Buy", 100.0), ("2", "Sell", 110.0)):
        send(journal, begin(book, side, 300, key), f"mm_{key}")
        fee = {"feeQty": 0.3, "feeCurrency": "BTC"} if side == "Buy" else {}
        journal.book_fills([fill(f"mm_{key}", side, 0, 300, price, **fee)])
        book.note_filled(f"mm_{key}", D("299.7") if fee == {} else D(300), D(price))
    assert [(pair.qty, pair.long_price, pair.short_price) for pair in book.take_pairs()] == [
        (D("299.7"), 100, 110)
    ]
    assert book.lots() == [] and book.flat_at() is not None


def test_all_that_is_sent_for_an_opening_is_its_own_but_what_closes_the_position() -> None:
    journal, book = make()
    opening = begin(book, "Sell", 300)
    send(journal, opening, "mm_a")
    send(journal, opening, "mm_of_the_end", execInst="ReduceOnly")
    journal.record("create", [{"clOrdID": "mm_b", "side": "Buy"}], 0.0)
    journal.record("amend", [{"clOrdID": "mm_c", "side": "Sell"}], 0.0)
    assert book.order_ids(opening) == {"mm_a"}
    book.close(opening, "CANCELLED")
    send(journal, opening, "mm_d")
    assert book.order_ids(opening) == {"mm_a"}
    assert [order.cl_ord_id for order in book.live_orders()] == ["mm_a"]


def test_an_opening_that_needs_a_second_order_goes_on_with_what_is_left() -> None:
    journal, book = make()
    opening = begin(book, qty=300)
    send(journal, opening, "mm_a")
    journal.book_fills([fill("mm_a", "Buy", 200, 200)])
    book.note_end("mm_a")
    send(journal, opening, "mm_b")
    assert [order.cl_ord_id for order in book.live_orders()] == ["mm_b"]
    journal.book_fills([fill("mm_b", "Buy", 100, 100)])
    assert book.opening() is None
    assert net_qty(book.lots()) == 300


def test_a_fill_of_the_other_side_closes_the_oldest_lot_and_remembers_when_all_are_gone() -> None:
    journal, book = make()
    for key, side, price in (("1", "Buy", 100.0), ("2", "Buy", 110.0), ("3", "Sell", 121.0)):
        send(journal, begin(book, side, 100, key), f"mm_{key}")
        journal.book_fills([fill(f"mm_{key}", side, 100, 100, price)])
    assert [lot.price for lot in book.lots()] == [110]
    assert [round(pair.profit_pct, 6) for pair in book.take_pairs()] == [21.0]
    assert book.take_pairs() == []
    assert book.flat_at() is None
    journal.book_fills([fill("mm_of_the_end", "Sell", 100, 100, 99.0)])  # such as one that flattens
    assert book.lots() == []
    assert book.flat_at() == 1.6e9


def test_an_adjustment_goes_to_the_youngest_lot_of_its_side() -> None:
    journal, book = make()
    for key in ("1", "2"):
        send(journal, begin(book, "Buy", 100, key), f"mm_{key}")
        journal.book_fills([fill(f"mm_{key}", "Buy", 100, 100)])
    book.adjust(D(3), D(100), D("0.003"))
    assert [lot.qty for lot in book.lots()] == [100, 103]
    book.adjust(D(-5), D(100), D("0.005"))
    assert [lot.qty for lot in book.lots()] == [95, 103]


def test_fills_of_other_hands_and_funding_open_no_lot() -> None:
    journal, book = make()
    journal.book_fills([fill("by-hand", "Buy", 100, 100)])
    journal.book_fills([fill("mm_x", "Buy", 100, 100, execType="Funding")])
    assert book.lots() == []


def test_a_decision_is_known_by_its_key() -> None:
    _, book = make()
    assert not book.is_known("7")
    book.note("7", "CANCEL_LONG", 1.6e9, "IGNORED")
    assert book.is_known("7")


def test_what_was_in_force_matters_only_while_lots_are_stored() -> None:
    journal, book = make()
    assert book.changes({"QUANT_ALGO": "a", "SIZE": 1.0}) == []
    assert book.changes({"QUANT_ALGO": "b", "SIZE": 1.0}) == []
    send(journal, begin(book), "mm_a")
    journal.book_fills([fill("mm_a", "Buy", 100, 100)])
    assert book.changes({"QUANT_ALGO": "b", "SIZE": 1.0}) == []
    assert book.changes({"QUANT_ALGO": "a", "SIZE": 0.5}) == [
        "QUANT_ALGO b, and it is a now",
        "SIZE 1.0, and it is 0.5 now",
    ]


def test_a_fill_that_cannot_be_booked_whole_is_not_booked_at_all() -> None:
    journal, book = make()
    send(journal, begin(book), "mm_a")
    with journal.transaction() as db:
        db.execute("DROP TABLE lots")
    with pytest.raises(Exception, match="no such table"):
        journal.book_fills([fill("mm_a", "Buy", 100, 100)])
    with journal.transaction() as db:
        assert db.execute("SELECT count(*) FROM fills").fetchone() == (0,)
        assert db.execute("SELECT cum FROM lot_orders").fetchone() == ("0",)


# -- in any order ---------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["exec", "order", "repeat", "end", "hand", "adjust", "close"]),
        st.integers(0, 5),
        st.integers(1, 300),
        st.sampled_from(["Buy", "Sell"]),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, is_inverse=st.booleans())
def test_lots_are_what_was_filled_and_adjusted_whatever_is_told_when(
    steps: list[tuple[str, int, int, str]], is_inverse: bool
) -> None:
    journal, book = make(is_inverse=is_inverse)
    truth: dict[str, tuple[str, int]] = {}  # order -> side, cum
    adjusted = 0
    for number, (what, which, qty, side) in enumerate(steps):
        names = list(truth)
        if what == "close" or not names:
            opening = book.opening()
            if opening is not None:
                book.close(opening, "CANCELLED")
            name = f"mm_{number}"
            send(journal, begin(book, side, qty, str(number)), name)
            truth[name] = (side, 0)
            continue
        name = names[which % len(names)]
        its_side, cum = truth[name]
        if what == "exec":
            truth[name] = (its_side, cum + qty)
            journal.book_fills([fill(name, its_side, cum + qty, qty)])
        elif what == "order":
            truth[name] = (its_side, cum + qty)
            book.note_filled(name, D(cum + qty), D(101))
        elif what == "repeat":
            journal.book_fills([fill(name, its_side, cum, qty, execID=f"late-{number}")])
            book.note_filled(name, D(max(0, cum - qty)), D(99))
        elif what == "end":
            book.note_end(name)
        elif what == "hand":
            journal.book_fills([fill(f"by-hand-{number}", side, qty, qty)])
        else:
            adjusted += qty if side == "Buy" else -qty
            book.adjust(D(qty if side == "Buy" else -qty), D(100), D("0.01"))
    held = adjusted + sum(cum if side == "Buy" else -cum for side, cum in truth.values())
    lots = book.lots()
    assert net_qty(lots) == held
    assert len({lot.side for lot in lots}) <= 1
    assert all(lot.qty > 0 for lot in lots)


@pytest.mark.parametrize("price", [0.00000001, 0.0001, 0.1, 59_999.5])
def test_a_restart_finds_the_same_lots(price: float, tmp_path: Path) -> None:
    journal, book = make(tmp_path / "j")
    send(journal, begin(book, qty=3), "mm_a")
    journal.book_fills([fill("mm_a", "Buy", 1, 1, price)])
    before = (book.lots(), book.opening(), book.live_orders())
    journal.close()
    journal, book = make(tmp_path / "j")
    assert (book.lots(), book.opening(), book.live_orders()) == before
    assert book.lots()[0].price == D(str(price))
    journal.close()


def test_what_a_round_asks_takes_no_longer_with_all_that_was_ever_traded() -> None:
    journal, book = make()
    opening = begin(book)
    send(journal, opening, "mm_a")
    with journal.transaction() as db:
        asked: list[str] = []
        db.set_trace_callback(asked.append)
    book.opening(), book.live_orders(), book.order_ids(opening), book.is_known("1")
    book.take_pairs(), book.note_order("mm_a", "o"), book.note_filled("mm_a", D(1), D(100))
    with journal.transaction() as db:
        db.set_trace_callback(None)
        plans = {
            text: str(db.execute(f"EXPLAIN QUERY PLAN {text}").fetchall())
            for text in asked
            if text.startswith(("SELECT", "UPDATE"))
        }
    assert len(plans) > 8
    few = ("SCAN lots'", 'SCAN lots"', "INDEX lot_orders_live")  # what is held, and what rests
    long = {text for text, plan in plans.items() if "SCAN" in plan}
    assert [text for text in long if not any(name in plans[text] for name in few)] == []


def test_what_was_decided_in_vain_long_ago_is_dropped_at_the_next_start() -> None:
    clock = ManualClock()
    journal = Journal(":memory:", clock)
    book = LotBook(journal, clock, PREFIX, is_inverse=False)
    now_s, old_s = clock.now(), clock.now() - 8 * 86_400
    for key, at, outcome in (
        ("old", old_s, "IGNORED"),
        ("done", old_s, "DONE"),
        ("new", now_s, "REFUSED"),
        ("last", old_s, "IGNORED"),  # what a source that hangs would say again
    ):
        book.note(key, "OPEN_LONG", at, outcome)
    again = LotBook(journal, clock, PREFIX, is_inverse=False)
    assert [again.is_known(key) for key in ("old", "done", "new", "last")] == [False, *[True] * 3]


def test_a_long_run_keeps_a_limited_number_of_decisions_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("market_maker.decisions.book._PURGE_EVERY", 10)
    monkeypatch.setattr("market_maker.decisions.book._KEPT", 20)
    journal, book = make()
    opening = begin(book, key="done")
    send(journal, opening, "mm_a")
    book.close(opening, "CANCELLED")
    for number in range(100):
        book.note(str(number), "OPEN_LONG", 1.6e9, "IGNORED")
    with journal.transaction() as db:
        (count,) = db.execute("SELECT count(*) FROM decisions").fetchone()
    assert count <= 20 + 10 + 1
    assert book.is_known("99") and book.is_known("done") and not book.is_known("5")
