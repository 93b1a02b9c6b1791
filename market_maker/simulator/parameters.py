"""What a request carries in its query and its body."""

from typing import Any
from urllib.parse import parse_qsl

from market_maker import jsonx

FORM = "application/x-www-form-urlencoded"


def parse_query(text: str) -> dict[str, Any]:
    """Parameters of a query string; a name that comes again, or ends in [], makes a list."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True) if text else ():
        is_list = name.endswith("[]")
        name = name.removesuffix("[]")
        if name not in found:
            found[name] = [value] if is_list else value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def parse_body(body: bytes, content_type: str) -> Any:
    """The parameters of a JSON or form body, None of an empty one; raises ValueError."""
    if not body.strip():
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM and body.lstrip()[:1] not in (b"{", b"["):
        return parse_query(body.decode())
    try:
        return jsonx.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
