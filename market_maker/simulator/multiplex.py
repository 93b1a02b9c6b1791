"""Several streams over one socket, as BitMEX's old path /realtimemd had them.

Every frame is `[type, id, topic, payload]`; id and topic name one stream and are the client's
own words. A stream is opened by type 1 and closed by type 2; payloads go both ways as type 0.
"""

from typing import Any, cast

from market_maker import jsonx
from market_maker.simulator.hub import Hub, Subscriber
from market_maker.simulator.session import Session, decode_error

MESSAGE, OPEN, CLOSE = 0, 1, 2
MAX_CHANNELS = 20  # of one socket; our bound, BitMEX named none


class Channel:
    """One stream of the socket: a subscriber like any other."""

    def __init__(self, session: Session, socket: Subscriber, names: list[str]) -> None:
        self.session = session
        self._socket = socket
        self._names = jsonx.dumps(names)[1:-1]

    def put(self, text: str) -> None:
        payload = '"pong"' if text == "pong" else text
        self._socket.put(f"[{MESSAGE},{self._names},{payload}]")

    def close(self) -> None:
        """Tell the client that this stream is over."""
        self._socket.put(f"[{CLOSE},{self._names}]")

    def drop(self) -> None:
        self._socket.drop()


class Multiplexer:
    """What one multiplexed socket talks to in place of the hub."""

    def __init__(self, hub: Hub) -> None:
        self.thawed = hub.thawed
        self._hub = hub
        self._channels: dict[tuple[str, str], Channel] = {}

    def join(self, socket: Subscriber, topics: list[str]) -> None:
        """Nothing is said before a stream is opened."""

    def leave(self, socket: Subscriber) -> None:  # noqa: ARG002
        for names in list(self._channels):
            self._close(names)

    def receive(self, socket: Subscriber, text: str) -> None:
        """Act on one frame of the client."""
        if text == "ping":
            socket.put("pong")
            return
        frame = _read(text)
        if frame is None:
            error = decode_error("not a frame of the form [type, id, topic, payload]")
            socket.put(jsonx.dumps(_session(socket).counted([error])[0]))
            return
        kind, names, payload = frame
        channel = self._channels.get(names)
        if channel is None and kind == OPEN and len(self._channels) < MAX_CHANNELS:
            self._channels[names] = channel = Channel(_session(socket).sibling(), socket, [*names])
            self._hub.join(channel, [])
        elif channel is None:
            Channel(_session(socket), socket, [*names]).close()
        elif kind == MESSAGE:
            said = payload if isinstance(payload, str) else jsonx.dumps(payload)
            self._hub.receive(channel, said)
            if channel.session.ending:
                channel.close()
                self._close(names)
        elif kind == CLOSE:
            channel.close()
            self._close(names)

    def _close(self, names: tuple[str, str]) -> None:
        self._hub.leave(self._channels.pop(names))


def _session(socket: Subscriber) -> Session:
    return cast(Session, socket.session)


def _read(text: str) -> tuple[int, tuple[str, str], Any] | None:
    """Type, names and payload of a frame, or None where it has another form."""
    try:
        frame = jsonx.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, list) or not 3 <= len(frame) <= 4:
        return None
    kind, name, topic, *payload = frame
    if kind not in (MESSAGE, OPEN, CLOSE) or not isinstance(name, str | int):
        return None
    return kind, (str(name), str(topic)), payload[0] if payload else None
