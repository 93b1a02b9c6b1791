"""Frames of a WebSocket, cut out of what a server sends.

websocket-client's own reader makes three reads of the socket for each frame and costs several
times what parsing the JSON does; this one takes all the frames of one read.
"""

TEXT = 0x81  # final frame of text: what practically all frames are
CLOSE, PING, PONG = 0x88, 0x89, 0x8A
_LONGEST = 64 * 1024 * 1024


class FrameReader:
    """Cuts what a server sends into frames (RFC 6455, unmasked, no extensions).

    `feed` gives (first byte, payload) of each frame that is complete; fragments come joined,
    as one final frame of text.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of a frame that is not complete yet
        self._have = 0
        self._need = 0
        self._fragments: list[bytes] | None = None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Raises ValueError for what no server may send."""
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
            self._parts = []
        frames: list[tuple[int, bytes]] = []
        pos, end = 0, len(data)
        while True:
            need = 2
            if end - pos < need:
                break
            length, start = data[pos + 1], pos + 2
            if length > 125:
                need = 4 if length == 126 else 10
                if end - pos < need:
                    break
                start = pos + need
                length = _long_length(length, data[pos + 2 : start])
            stop = start + length
            if stop > end:
                need = stop - pos
                break
            head = data[pos]
            if head == TEXT and self._fragments is None:
                frames.append((head, data[start:stop]))
            else:
                self._unusual(frames, head, data[start:stop])
            pos = stop
        if pos < end:
            self._parts, self._have, self._need = [data[pos:]], end - pos, need
        return frames

    def _unusual(self, frames: list[tuple[int, bytes]], head: int, payload: bytes) -> None:
        final, opcode = head & 0x80, head & 0x7F
        if head in (CLOSE, PING, PONG):
            frames.append((head, payload))
        elif opcode in (1, 2) and self._fragments is None:
            self._fragments = [payload]
        elif opcode == 0 and self._fragments is not None:
            self._fragments.append(payload)
        else:
            raise ValueError("a frame out of order")
        if final and opcode < 8 and self._fragments is not None:
            frames.append((TEXT, b"".join(self._fragments)))
            self._fragments = None


def _long_length(mark: int, octets: bytes) -> int:
    length = int.from_bytes(octets, "big")
    if mark > 127 or length > _LONGEST:
        raise ValueError("a frame that is masked or too long")
    return length
