"""Settlement currencies: by what name people know them, and how many minor units one is."""

from typing import NamedTuple


class Coin(NamedTuple):
    """A currency. Amounts of it are whole minor units, such as satoshi."""

    name: str
    decimals: int

    @property
    def unit(self) -> int:
        """Minor units of one coin."""
        return int(10**self.decimals)


_KNOWN = {
    "XBt": Coin("XBT", 8),
    "USDt": Coin("USDT", 6),
    "USDc": Coin("USDC", 6),
    "Gwei": Coin("ETH", 9),
}


def coin_of(currency: object) -> Coin:
    """The coin of an exchange's `currency` or `settlCurrency`; without one it is XBT."""
    name = str(currency or "XBt")
    return _KNOWN.get(name) or Coin(name, 8)
