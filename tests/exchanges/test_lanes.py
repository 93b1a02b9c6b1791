"""Warm lanes: answers in any pieces, connections replaced in time, odd answers told as unknown."""

import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_maker.exchanges.http_bytes import (
    NotHttp,
    header_lines,
    read_chunks,
    read_head,
)
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.wire import Answer, Request

POST = Request("POST", "/order", body={"a": 1})
PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 7\r\n\r\n[1,2,3]"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\n[1,\r\n4\r\n2,3]\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def transport(port: int, **options: Any) -> HttpTransport:
    return HttpTransport(f"http://127.0.0.1:{port}/api/v1", **options)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, CONTINUED])
@pytest.mark.parametrize("count", [1, 2])
def test_an_answer_may_come_byte_by_byte(
    answer: bytes, count: int, serve: Any, read_request: Any
) -> None:
    def handler(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        while read_request(reader):
            for byte in answer:
                connection.sendall(bytes([byte]))

    server = serve(handler)
    for _ in range(2):
        answers = transport(server.port).send([POST] * count)
        assert [one.body for one in answers] == [[1, 2, 3]] * count


@pytest.mark.parametrize(
    "answer",
    [
        b"junk\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[]",  # nobody can tell where it ends
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_that_is_none_makes_the_outcome_unknown(
    answer: bytes, count: int, serve: Any, read_request: Any
) -> None:
    def handler(connection: socket.socket) -> None:
        read_request(connection.makefile("rb"))
        connection.sendall(answer)

    lost = Answer(0, None, {}, True, "connection lost")
    assert transport(serve(handler).port).send([POST] * count) == [lost] * count


def test_a_batch_of_which_one_is_late_has_the_other_answers(serve: Any, read_request: Any) -> None:
    over = threading.Event()

    def handler(connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while request := read_request(reader):
            if request[2] == b"1":
                over.wait(10)
                return
            connection.sendall(PLAIN)

    sender = transport(serve(handler).port, timeout_s=0.3)
    answers = sender.send([Request("POST", "/order", body=n) for n in range(3)])
    over.set()
    assert [answer.status for answer in answers] == [200, 0, 200]
    assert answers[1] == Answer(0, None, {}, True, "timed out")


def test_warm_connections_are_open_before_the_first_order_and_replaced_when_closed(
    serve: Any, read_request: Any
) -> None:
    ended, idle = threading.Event(), []

    def handler(connection: socket.socket) -> None:
        if not ended.is_set():
            idle.append(connection)
            ended.wait(10)
            return  # closed by the exchange while idle
        reader = connection.makefile("rb")
        while read_request(reader):
            connection.sendall(PLAIN)

    server = serve(handler)
    sender = transport(server.port, pool=3)
    sender.keep_warm()
    until(lambda: len(idle) == 3)
    ended.set()
    time.sleep(0.05)
    assert [answer.status for answer in sender.send([POST] * 3)] == [200] * 3
    assert len(server.connections) == 6
    sender.close()


def until(condition: Any) -> None:
    end_s = time.monotonic() + 5
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.01)
    assert condition()


def test_a_header_of_several_lines_is_not_sent() -> None:
    with pytest.raises(ValueError, match="several lines"):
        header_lines([("api-key", "a\r\nx: y")])


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), st.binary(max_size=5))
def test_chunks_are_joined_and_what_follows_is_left(parts: list[bytes], after: bytes) -> None:
    data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert read_chunks(data + after) == (b"".join(parts), len(data))
    for cut in range(len(data)):
        assert read_chunks(data[:cut]) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(head: bytes) -> None:
    try:
        status, _ = read_head(head)
        assert 0 <= status <= 999
    except NotHttp:
        pass
