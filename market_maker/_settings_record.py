"""The settings in force as they are kept in the journal: ours only, and without any secret."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from market_maker._settings_rules import RULES
from market_maker._settings_venues import SECRETS
from market_maker.utils import log


def in_force(settings: Mapping[str, Any]) -> str:
    """JSON, the same for the same settings.

    Names of the user's own are left out: nobody knows which of them are secret.
    """
    ours = {name: _plain(settings.get(name)) for name in sorted(RULES) if name not in SECRETS}
    return log.redact(json.dumps(ours, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """*value* in the terms of JSON, without what an address or a nested dict may hide."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _bare_address(value) if "://" in value else value
    if isinstance(value, Mapping):
        return {str(n): _plain(v) for n, v in value.items() if n in RULES and n not in SECRETS}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return getattr(value, "__qualname__", type(value).__name__)
    return str(value)


def _bare_address(text: str) -> str:
    """An address without user, password and query: places where keys are put."""
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return ""
