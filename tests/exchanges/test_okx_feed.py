"""OKX's sockets: order frames and their answers, and two streams heard as one."""

from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import Status
from market_maker.exchanges.okx_frames import OrderFrames
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready
from tests.okx_doubles import DATA, TOUCH, Desk, Socket, item, order, told

# -- order frames ----------------------------------------------------------------------------------


class Frames:
    """Order frames over a socket."""

    def __init__(self) -> None:
        self.socket, self.clock = Socket(), ManualClock()
        self.frames = OrderFrames(self.socket, self.clock, 7.0, lambda: "99")  # type: ignore[arg-type]

    def call(self) -> Answer:
        return self.frames.call("order", [{"instId": "BTC-USD-SWAP", "sz": "1"}], 10458)


def test_a_frame_names_the_instrument_by_number_and_tells_until_when_it_is_good() -> None:
    line = Frames()
    line.socket.on_send = lambda f: line.frames.reply(
        {"id": f["id"], "code": "0", "data": [item()]}
    )
    answer = line.call()
    assert answer.body["data"] == [item()]
    (frame,) = line.socket.sent
    assert frame["op"] == "order"
    assert frame["args"] == [{"instIdCode": 10458, "sz": "1"}]
    assert frame["expTime"] == "99"


def test_without_an_answer_in_time_the_outcome_is_unknown() -> None:
    line = Frames()
    answer = line.call()
    assert answer == Answer(0, None, {}, sent=True, error="timed out")
    assert line.clock.now_s == 1_600_000_007.0


def test_a_socket_that_breaks_leaves_the_outcome_unknown() -> None:
    def breaks(frame: Any) -> None:
        raise ConnectionError("gone")

    line = Frames()
    line.socket.on_send = breaks
    answer = line.call()
    assert (answer.status, answer.sent) == (0, True)


def test_nobody_waits_for_the_answer_of_a_socket_that_is_gone() -> None:
    desk = Desk().up()
    desk.private.on_send = lambda _: desk.private.down()
    began_s = desk.clock.now_s
    (result,) = desk.connector.place([order()])
    assert (result.status, result.text) == (Status.UNKNOWN, "the stream was lost")
    assert desk.clock.now_s == began_s


def test_late_repeated_and_foreign_answers_change_nothing() -> None:
    line = Frames()
    line.frames.reply({"id": "foreign", "code": "0", "data": []})
    line.call()
    late = line.socket.sent[0]["id"]
    line.frames.reply({"id": late, "code": "0", "data": [item("51008")]})

    def twice(frame: Any) -> None:
        line.frames.reply({"id": late, "code": "1", "data": []})
        line.frames.reply({"id": frame["id"], "code": "0", "data": [item()]})
        line.frames.reply({"id": frame["id"], "code": "1", "data": [item("51008")]})

    line.socket.on_send = twice
    answer = line.call()
    assert answer.body["data"] == [item()]
    assert late != line.socket.sent[1]["id"]


@pytest.mark.parametrize(
    ("refusal", "paths"),
    [
        ([item("51001", "Instrument ID does not exist")], ["/api/v5/trade/order"]),
        ([item("51000", "Parameter instIdCode can not be empty")], ["/api/v5/trade/order"]),
        ([], ["/api/v5/trade/order"]),  # the frame as a whole
        ([item("51008", "Insufficient balance")], []),
    ],
)
def test_a_stream_that_does_not_know_the_instrument_gives_way_to_rest(
    refusal: list[Row], paths: list[str]
) -> None:
    desk = Desk().up()
    desk.wire.script = lambda r: told(item())
    desk.private.on_send = lambda f: desk.private.say(
        {"id": f["id"], "op": f["op"], "data": refusal}
        | ({"code": "1"} if refusal else {"code": "51001", "msg": "Instrument ID does not exist"})
    )
    desk.connector.place([order(1)])
    desk.connector.place([order(2)])
    assert len(desk.private.sent) == (1 if paths else 2)
    assert [r.path for r in desk.wire.sent("POST")] == paths * 2


@pytest.mark.parametrize("data", [{"sCode": "0"}, ["0"], "0", [None], None])
def test_an_answer_to_an_order_that_holds_no_items_leaves_it_in_doubt(data: Any) -> None:
    desk = Desk().up()
    desk.private.on_send = lambda f: desk.private.say(
        {"id": f["id"], "op": f["op"], "code": "0", "data": data}
    )
    assert [r.status for r in desk.connector.place([order()])] == [Status.UNKNOWN]
    assert desk.wire.sent("POST") == []


def test_a_batch_that_was_taken_in_part_is_not_sent_again_over_rest() -> None:
    desk = Desk().up()
    items = [item(), item("51001", "Instrument ID does not exist")]
    desk.private.on_send = lambda f: desk.private.say(
        {"id": f["id"], "op": f["op"], "code": "2", "data": items}
    )
    answers = desk.connector.place([order(1), order(2)])
    assert [answer.status for answer in answers] == [Status.OK, Status.REJECTED]
    assert desk.wire.sent("POST") == []


def test_while_the_sockets_are_down_orders_go_by_rest() -> None:
    desk = Desk().up()
    desk.private.down()
    desk.wire.script = lambda r: told(item())
    assert desk.connector.cancel(["1"])[0].status is Status.ACCEPTED
    assert desk.private.sent == []


# -- two sockets as one stream ---------------------------------------------------------------------

IMAGES = [
    (name, "partial")
    for name in ("instrument", "quote", "trade", "order", "execution", "position", "margin")
]


def test_only_with_both_sockets_the_images_are_read_and_then_what_came_meanwhile() -> None:
    desk = Desk()
    desk.connector.start(desk.events.append)
    desk.public.up()
    desk.public.push("bbo-tbt", TOUCH)
    assert desk.tables == []
    assert not any(isinstance(e, Connected | Ready) for e in desk.events)
    desk.private.up()
    assert desk.tables == [*IMAGES, ("quote", "insert"), ("instrument", "update")]


@pytest.mark.parametrize("lost", ["public", "private"])
def test_the_loss_of_one_socket_is_the_loss_of_the_stream_and_renews_the_other(lost: str) -> None:
    desk = Desk().up()
    sockets = {"public": desk.public, "private": desk.private}
    other = sockets["private" if lost == "public" else "public"]
    sockets[lost].down()
    assert [e.reason for e in desk.events if isinstance(e, Disconnected)] == ["connection lost"]
    assert other.reconnects == 1
    desk.events.clear()
    other.push("bbo-tbt", TOUCH)
    other.down("closed")
    sockets[lost].up()
    assert desk.tables == []
    other.up()
    assert desk.tables == IMAGES  # what the old connection said is not told any more


def test_why_the_first_connection_cannot_be_made_is_told_and_of_later_ones_the_loss_alone() -> None:
    desk = Desk()
    desk.connector.start(desk.events.append)
    desk.public.down("connection refused")
    desk.private.down("connection refused")
    assert desk.events == [Disconnected(0, "connection refused")] * 2
    desk.public.up()
    desk.private.up()
    before = len(desk.events)
    desk.public.down("connection lost")
    desk.private.down("connection refused")
    desk.public.down("connection refused")
    lost = [e for e in desk.events[before:] if isinstance(e, Disconnected)]
    assert lost == [Disconnected(0, "connection lost")]


@pytest.mark.parametrize("lost", ["public", "private"])
def test_why_one_socket_of_the_first_connection_cannot_be_made_is_told_too(lost: str) -> None:
    desk = Desk()
    desk.connector.start(desk.events.append)
    sockets = {"public": desk.public, "private": desk.private}
    sockets["private" if lost == "public" else "public"].up()
    sockets[lost].down("handshake 404: Not Found")
    assert desk.events == [Disconnected(0, "handshake 404: Not Found")]


def test_a_refused_login_is_told_as_a_refused_key() -> None:
    desk = Desk()
    desk.connector.start(desk.events.append)
    desk.private.down("login refused: Invalid sign")
    (message,) = [e.data for e in desk.events if isinstance(e, Message)]
    assert message["status"] == 401
    assert "Invalid sign" in message["error"]


def test_an_error_frame_is_a_refused_request() -> None:
    desk = Desk().up()
    desk.events.clear()
    desk.public.say({"event": "error", "code": "60018", "msg": "Wrong instId"})
    desk.private.say({"event": "error", "code": "60011", "msg": "Please log in"})
    assert [e.data["status"] for e in desk.events] == [400, 401]


def test_a_hole_in_the_book_an_odd_frame_and_a_notice_of_closing_connect_anew() -> None:
    desk = Desk().up()
    book = {"asks": [], "bids": [["1", "1", "0", "1"]], "ts": "1", "checksum": 0}
    desk.public.push("books", {**book, "seqId": 5, "prevSeqId": -1}, action="snapshot")
    assert desk.public.reconnects == 0
    desk.public.push("books", {**book, "seqId": 9, "prevSeqId": 7}, action="update")
    assert (desk.public.reconnects, desk.private.reconnects) == (1, 1)
    desk.public.push("bbo-tbt", {"asks": "?", "bids": 4})
    assert desk.public.reconnects == 2
    desk.private.say({"event": "notice", "code": "64008", "msg": "upgrade"})
    assert desk.private.reconnects == 3


def test_images_that_cannot_be_read_are_asked_for_again_by_connecting_anew() -> None:
    desk = Desk()
    desk.connector.start(desk.events.append)
    good, desk.wire.script = desk.wire.script, lambda r: Answer(502, "<html>", {})
    desk.public.up()
    desk.private.up()
    assert desk.tables == []
    assert desk.private.reconnects == 1
    desk.wire.script = good
    for step in (Socket.down, Socket.up):
        for socket in (desk.public, desk.private):
            step(socket)
    assert desk.tables == IMAGES


# -- fills that the stream did not tell ------------------------------------------------------------


def fill(number: int, order_id: str = "7") -> Row:
    """As /trade/fills has it."""
    return {
        "instId": "BTC-USD-SWAP", "ordId": order_id, "tradeId": str(number), "side": "buy",
        "fillPx": "60000", "fillSz": "1", "fee": "-0.00000033", "feeCcy": "BTC", "execType": "M",
        "fillTime": str(1_600_000_000_000 + number), "billId": str(number), "clOrdId": "x",
    }  # fmt: skip


def push_of(number: int, filled: int) -> Row:
    """As the orders channel has it: the fee is the sum so far."""
    fee = f"{-0.00000033 * filled:.8f}"
    return {
        **fill(number), "state": "partially_filled", "sz": "9", "accFillSz": str(filled),
        "ordType": "post_only", "px": "60000", "fee": fee, "uTime": str(1_600_000_000_000 + number),
    }  # fmt: skip


def told_fills(desk: Desk) -> list[tuple[str, int]]:
    rows = [e.data for e in desk.events if isinstance(e, Message) and "table" in e.data]
    found = [r["data"][0] for r in rows if (r["table"], r["action"]) == ("execution", "insert")]
    return [(row["trdMatchID"], row["execComm"]) for row in found]


def test_fills_during_a_loss_are_told_once_with_their_own_fee(monkeypatch: Any) -> None:
    desk = Desk()
    monkeypatch.setitem(DATA, "/trade/fills", [fill(1)])  # before our time
    desk.up()
    desk.private.push("orders", push_of(2, 1))
    desk.private.down()
    desk.public.down()
    monkeypatch.setitem(DATA, "/trade/fills", [fill(n) for n in (4, 3, 2, 1)])
    resting = {**push_of(4, 3), "state": "partially_filled"}
    monkeypatch.setitem(DATA, "/trade/orders-pending", [resting])
    desk.public.up()
    desk.private.up()
    desk.private.push("orders", push_of(4, 3))  # the stream tells the last one again
    desk.private.push("orders", push_of(5, 4))
    assert told_fills(desk) == [("2", 33), ("3", 33), ("4", 33), ("5", 33)]


def test_the_first_fill_of_all_may_be_one_that_was_missed(monkeypatch: Any) -> None:
    desk = Desk().up()
    monkeypatch.setitem(DATA, "/trade/fills", [fill(1)])
    for step in (Socket.down, Socket.up):
        step(desk.public)
        step(desk.private)
    assert told_fills(desk) == [("1", 33)]


def test_many_missed_fills_are_read_page_by_page_until_a_known_one() -> None:
    desk = Desk().up()
    answers = desk.wire.script
    desk.private.push("orders", push_of(1, 1))

    def pages(request: Any) -> Answer | None:
        if not request.path.endswith("/trade/fills"):
            return answers(request)
        first = int((request.query or {}).get("after", 251)) - 1
        return told(*[fill(n) for n in range(first, max(0, first - 100), -1)])

    desk.wire.script = pages
    for step in (Socket.down, Socket.up):
        step(desk.public)
        step(desk.private)
    assert [number for number, _ in told_fills(desk)] == [str(n) for n in range(1, 251)]
