"""REST and stream over TLS, with a certificate made for the test."""

import random
import shutil
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from market_maker.clock import Clock
from market_maker.exchanges.stream import WebSocketStream
from market_maker.exchanges.transport import HttpTransport
from market_maker.model.wire import Answer, BackOff, Connected, Disconnected, Message, Poll, Request

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
POST = Request("POST", "/order", body={"a": 1})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate of this machine, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def serve_tls(serve: Any, certificate: Path) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def start(handler: Any) -> int:
        def wrapped(connection: Any) -> None:
            with context.wrap_socket(connection, server_side=True) as secure:
                handler(secure)

        return int(serve(wrapped).port)

    return start


def stream_to(port: int, **options: Any) -> WebSocketStream:
    url = f"wss://127.0.0.1:{port}/realtime"
    return WebSocketStream(url, ["trade"], clock=Clock(), rng=random.Random(1), **options)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_the_environment_names_is_accepted_by_both(
    name: str,
    certificate: Path,
    serve_tls: Any,
    read_request: Any,
    websocket_peer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, str(certificate))

    def rest(secure: Any) -> None:
        reader = secure.makefile("rb")
        while read_request(reader):
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def realtime(secure: Any) -> None:
        peer = websocket_peer(secure)
        peer.text()
        peer.send_text('"' + "x" * 200_000 + '"')
        peer.text()
        peer.send_text("pong")
        peer.send_text("2")
        peer.event(type(None))

    transport = HttpTransport(f"https://127.0.0.1:{serve_tls(rest)}/api/v1")
    assert [transport.send([POST])[0].status for _ in range(2)] == [200, 200]

    stream = stream_to(serve_tls(realtime), ping_after_s=0.1, dead_after_s=10)
    seen: list[Any] = []
    for event in stream:
        seen.append(event)
        if isinstance(event, Message) and event.data == 2:
            break
    assert isinstance(seen[0], Connected)
    assert any(isinstance(event, Poll) for event in seen)
    assert [len(event.data) for event in seen[:-1] if isinstance(event, Message)] == [200_000]
    stream.close()


def test_a_certificate_nobody_vouches_for_is_refused_before_a_byte_leaves(serve_tls: Any) -> None:
    def handler(secure: Any) -> None:
        raise AssertionError("the handshake must fail")

    (answer,) = HttpTransport(f"https://127.0.0.1:{serve_tls(handler)}/").send([POST])
    assert answer == Answer(0, None, {}, False, "the certificate is not accepted")
    lost = next(iter(stream_to(serve_tls(handler))))
    assert isinstance(lost, Disconnected)
    assert lost.reason == "the certificate is not accepted"


def test_close_wakes_a_reader_under_tls(
    certificate: Path, serve_tls: Any, websocket_peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    reached = threading.Event()

    def realtime(secure: Any) -> None:
        peer = websocket_peer(secure)
        peer.text()
        reached.set()
        peer.event(type(None))

    stream = stream_to(serve_tls(realtime), ping_after_s=60)
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.extend(stream), daemon=True)
    reader.start()
    assert reached.wait(10)
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert not any(isinstance(event, BackOff) for event in seen)
