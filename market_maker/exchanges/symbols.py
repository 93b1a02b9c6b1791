"""Which symbols an exchange knows, and the nearest to one that it does not."""

import difflib

from market_maker.exchanges.base import Connector
from market_maker.model.rows import Row
from market_maker.utils.errors import NotSupported


def find_instrument(connector: Connector) -> Row | None:
    """The instrument row of the connector's symbol, asked of the exchange; None if it has none."""
    rows = connector.fetch_rows("instrument")
    return next((row for row in rows if row.get("symbol") == connector.symbol), None)


def unknown_symbol(connector: Connector) -> str:
    """Say that the exchange does not know the symbol, with the nearest one that it knows."""
    line = f"the exchange has no {connector.symbol}"
    try:
        answer = connector.call("GET", "/instrument/active")
    except NotSupported:
        return line
    rows = answer.body if isinstance(answer.body, list) else []
    known = [str(row.get("symbol")) for row in rows if isinstance(row, dict)]
    nearest = difflib.get_close_matches(connector.symbol.upper(), known, 1)
    if nearest:
        return f"{line}: did you mean {nearest[0]}?"
    return f"{line}; it has {', '.join(known[:8])}" if known else line
