"""Our client order ids in the letters a venue allows, and back again.

The bot's ids are BitMEX's: up to 36 characters, of base64 with `+` and `/`. Many venues take
letters and digits only. The code is reversible and needs no table, so that an order found after
a restart is known for ours by its id alone.
"""

import base64
import hashlib

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_RANDOM_BYTES = 16  # what follows the prefix in a generated id, as 22 characters of base64
_RANDOM_CHARS = 22


class ClientIds:
    """Ids of one bot, told apart from everybody else's by a tag made of its *prefix*."""

    def __init__(self, prefix: str, max_length: int = 32) -> None:
        self._prefix = prefix
        self._max_length = max_length
        mark = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:4], "big")
        self.tag = "mm" + base62(mark, 6)[-3:]

    def encode(self, cl_ord_id: str) -> str:
        """The venue's id for ours; raises ValueError for one that does not fit."""
        random = _random_part(cl_ord_id.removeprefix(self._prefix))
        if cl_ord_id.startswith(self._prefix) and random is not None:
            return f"{self.tag}g{base62(int.from_bytes(random, 'big'), _RANDOM_CHARS)}"
        # the 1 in front keeps leading zeros, which a number would lose
        text = base62(int.from_bytes(b"\x01" + cl_ord_id.encode(), "big"))
        if len(self.tag) + 1 + len(text) > self._max_length:
            raise ValueError(f"clOrdID {cl_ord_id} is too long for this exchange")
        return f"{self.tag}x{text}"

    def decode(self, wire_id: str) -> str:
        """Our id for the venue's; somebody else's comes back as it is."""
        kind, text = wire_id[len(self.tag) :][:1], wire_id[len(self.tag) + 1 :]
        if not wire_id.startswith(self.tag) or kind not in ("g", "x") or not text.isalnum():
            return wire_id
        try:
            number = _to_number(text)
            if kind == "g":
                raw = base64.b64encode(number.to_bytes(_RANDOM_BYTES, "big"))
                return self._prefix + raw.decode().rstrip("=")
            size = (number.bit_length() + 7) // 8
            return number.to_bytes(size, "big")[1:].decode()
        except (KeyError, OverflowError, UnicodeDecodeError):
            return wire_id


def _random_part(text: str) -> bytes | None:
    """The bytes of a generated id, or None where *text* is not exactly such bytes."""
    if len(text) != _RANDOM_CHARS:
        return None
    try:
        raw = base64.b64decode(text + "==", validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode().rstrip("=") == text else None


def base62(number: int, width: int = 0) -> str:
    """*number* in digits and letters, at least *width* of them."""
    text = ""
    while number or len(text) < width:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text


def _to_number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * len(_DIGITS) + _VALUE[digit]
    return number
