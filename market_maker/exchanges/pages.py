"""Reading a list that an exchange hands out page by page."""

from collections.abc import Callable

from market_maker.exchanges.base import ExchangeError
from market_maker.model.rows import Row


def read_pages(
    read: Callable[[list[Row]], list[Row]],
    size: int,
    id_name: str,
    is_enough: Callable[[list[Row]], bool] = lambda _: False,
) -> list[Row]:
    """All rows until a page is not full, or *is_enough*. *read* asks for the page that comes after
    the rows found so far; a full page holds *size* rows, each with an id called *id_name*. Raises
    ExchangeError where a page brings nothing new: such a list would never end."""
    found: list[Row] = []
    seen: set[str] = set()
    while True:
        page = read(found)
        found += page
        if len(page) < size or is_enough(page):
            return found
        new = {str(row.get(id_name)) for row in page} - seen
        if not new:
            raise ExchangeError(200, f"the exchange sends the same {size} rows again and again")
        seen |= new
