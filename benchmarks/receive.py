"""What receiving a message costs: our stream against websocket-client's WebSocketApp.

A server in a process of its own sends the same quotes to both, in turn, round after round;
both decode the JSON. Read the ratios: the absolute times depend on the machine.

    python benchmarks/receive.py [rounds]
"""

import os
import random
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import websocket
import wsproto
import wsproto.events

sys.path.insert(0, str(Path(__file__).parents[1]))

from market_maker import jsonx
from market_maker.clock import Clock
from market_maker.exchanges.stream import WebSocketStream
from market_maker.model.wire import Message

MESSAGES = 20_000
QUOTE = (
    b'{"table":"quote","action":"insert","data":[{"timestamp":"2020-03-10T18:25:11.018Z",'
    b'"symbol":"XBTUSD","bidSize":966594,"bidPrice":7864.5,"askPrice":7865,"askSize":35211}]}'
)
LAST = b'{"last":true}'


def serve() -> None:
    """Print the port, then send every client all the messages as fast as it takes them."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    block = frame(QUOTE) * 10
    while True:
        client, _ = listener.accept()
        with client:
            protocol = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
            protocol.receive_data(client.recv(65536))
            list(protocol.events())
            client.sendall(protocol.send(wsproto.events.AcceptConnection()))
            for _ in range(MESSAGES // 10):
                client.sendall(block)
            client.sendall(frame(LAST))
            while client.recv(65536):
                pass


def frame(payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return bytes([0x81, 126]) + len(payload).to_bytes(2, "big") + payload


def by_stream(url: str) -> float:
    """Microseconds of our CPU for one message."""
    stream = WebSocketStream(url, [], clock=Clock(), rng=random.Random(1))
    started = time.process_time()
    count = 0
    for event in stream:
        if isinstance(event, Message):
            count += 1
            if "last" in event.data:
                break
    spent = time.process_time() - started
    stream.close()
    assert count == MESSAGES + 1
    return spent / count * 1e6


def by_app(url: str) -> float:
    count = 0

    def on_message(app: websocket.WebSocketApp, text: str) -> None:
        nonlocal count
        count += 1
        if "last" in jsonx.loads(text):
            app.close()

    app = websocket.WebSocketApp(url, on_message=on_message)
    started = time.process_time()
    app.run_forever()
    spent = time.process_time() - started
    assert count == MESSAGES + 1
    return spent / count * 1e6


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{int(server.stdout.readline())}/realtime"
        ours, apps = [], []
        for _ in range(rounds):
            ours.append(by_stream(url))
            apps.append(by_app(url))
    finally:
        server.kill()
        server.wait()
    ratios = [app / our for our, app in zip(ours, apps, strict=True)]
    print(f"our stream    {statistics.median(ours):6.2f} us a message")
    print(f"WebSocketApp  {statistics.median(apps):6.2f} us a message")
    print(f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})")


if __name__ == "__main__":
    main()
