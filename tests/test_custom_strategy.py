"""The sample strategy that `marketmaker setup` gives away."""

from types import SimpleNamespace
from typing import Any

import pytest

from market_maker.custom_strategy import CustomOrderManager
from market_maker.settings import settings


@pytest.mark.parametrize(
    ("position", "sides"),
    [(0, ["Buy", "Sell"]), (500, ["Sell"]), (499, ["Buy", "Sell"]), (-500, ["Buy"])],
)
def test_a_large_position_is_quoted_only_towards_home(
    position: int, sides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings, "MY_ORDER_SIZE", 100)
    manager = CustomOrderManager.__new__(CustomOrderManager)
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        manager, "exchange", SimpleNamespace(get_delta=lambda: position), raising=False
    )
    monkeypatch.setattr(manager, "get_price_offset", lambda index: 50_000.0 + index)
    monkeypatch.setattr(manager, "converge_orders", lambda buys, sells: seen.extend(buys + sells))
    manager.place_orders()
    assert [order["side"] for order in seen] == sides
    prices = {"Buy": 49_999.0, "Sell": 50_001.0}
    assert seen == [{"price": prices[side], "orderQty": 100, "side": side} for side in sides]
