"""JSON by orjson where it is installed, by the standard library where it is not."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

loads: Callable[[str | bytes], Any]  # parses JSON; raises ValueError

try:
    import orjson
except ImportError:
    import json

    def _loads(text: str | bytes) -> Any:
        found = json.loads(text if isinstance(text, str) else text.decode(), parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()  # half a character could go nowhere
        return found

    loads = _loads

    def _refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    def dumps(value: Any) -> str:
        """Compact JSON text."""
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
else:
    loads = orjson.loads  # itself: a call between takes a tenth of a small frame's time

    def dumps(value: Any) -> str:
        """Compact JSON text."""
        return orjson.dumps(value).decode()


# Of a number, as far as one can see from outside: half of all orderIDs have a digit, e, a digit.
_EXPONENT = re.compile(r"(?:^|[:,\[])-?\d[\d.]*[eE]")


def dumps_plain(value: Any) -> str:
    """Compact JSON text in which no number has an exponent: 0.00000001 and not 1e-8."""
    text = dumps(value)
    return _plain(value) if _EXPONENT.search(text) else text


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{dumps(str(name))}:{_plain(item)}" for name, item in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_plain, value)) + "]"
    text = dumps(value)
    return f"{Decimal(text):f}" if isinstance(value, float) and "e" in text else text
