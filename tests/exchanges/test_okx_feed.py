"""OKX's sockets: order frames and their answers, and two streams heard as one."""

from typing import Any

import pytest

from market_maker.clock import ManualClock
from market_maker.exchanges.base import Status
from market_maker.exchanges.okx_frames import OrderFrames
from market_maker.model.rows import Row
from market_maker.model.wire import Answer, Connected, Disconnected, Message, Ready
from tests.okx_doubles import TOUCH, Desk, Socket, item, order, told

# -- order frames ----------------------------------------------------------------------------------


class Frames:
    """Order frames over a socket."""

    def __init__(self) -> None:
        self.socket, self.clock = Socket(), ManualClock()
        self.frames = OrderFrames(self.socket, self.clock, 7.0, lambda: "99")  # type: ignore[arg-type]

    def call(self) -> Answer | None:
        return self.frames.call("order", [{"instId": "BTC-USD-SWAP", "sz": "1"}], 10458)


def test_a_frame_names_the_instrument_by_number_and_tells_until_when_it_is_good() -> None:
    line = Frames()
    line.socket.on_send = lambda f: line.frames.reply(
        {"id": f["id"], "code": "0", "data": [item()]}
    )
    answer = line.call()
    assert answer is not None
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
    assert answer is not None
    assert (answer.status, answer.sent) == (0, True)


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
    assert answer is not None
    assert answer.body["data"] == [item()]
    assert late != line.socket.sent[1]["id"]


@pytest.mark.parametrize(
    ("refusal", "paths"),
    [
        ([item("51001", "Instrument ID does not exist")], ["/api/v5/trade/order"]),
        ([item("51000", "Parameter instIdCode can not be empty")], ["/api/v5/trade/order"]),
        ([item("51008", "Insufficient balance")], []),
    ],
)
def test_a_stream_that_does_not_know_the_instrument_gives_way_to_rest(
    refusal: list[Row], paths: list[str]
) -> None:
    desk = Desk().up()
    desk.wire.script = lambda r: told(item())
    desk.private.on_send = lambda f: desk.private.say(
        {"id": f["id"], "op": f["op"], "code": "1", "data": refusal}
    )
    desk.connector.place([order(1)])
    desk.connector.place([order(2)])
    assert len(desk.private.sent) == (1 if paths else 2)
    assert [r.path for r in desk.wire.sent("POST")] == paths * 2


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
