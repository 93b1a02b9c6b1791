"""Table messages, and whom each one is for."""

from typing import Any, NamedTuple

from market_maker.model.rows import Row

Message = dict[str, Any]


class Scope(NamedTuple):
    """Who a message is for: subscribers of the table, of the symbol, of the account."""

    table: str
    symbol: str | None = None
    account: int | None = None


Scoped = tuple[Scope, Message]


def table_message(scope: Scope, action: str, *data: Row) -> Scoped:
    return scope, {"table": scope.table, "action": action, "data": list(data)}
