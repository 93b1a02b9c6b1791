"""Customers and their API keys. An account may have several keys, each with rights of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

PERMISSIONS = ("order", "orderCancel", "withdraw")
ORDER_PERMISSIONS = frozenset({"order", "withdraw"})
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


@dataclass(frozen=True, slots=True)
class Account:
    """A customer by one of its keys, which are play money's but treated as real ones."""

    number: int
    key: str
    secret: str = field(repr=False)
    permissions: frozenset[str]  # none: it may only read
    is_enabled: bool = True


def read_permissions(text: str) -> frozenset[str]:
    """The rights in a comma list, such as "order,withdraw"; "read" is none of them.

    Raises ValueError for an unknown right, and for order and orderCancel together, which
    exclude each other (BitMEX, API Key Usage).
    """
    asked = {word.strip() for word in text.split(",")} - {"", "read"}
    return _checked(asked)


def _checked(asked: Iterable[str]) -> frozenset[str]:
    permissions = frozenset(asked)
    for unknown in sorted(permissions - set(PERMISSIONS)):
        raise ValueError(f"a key's rights are read, {', '.join(PERMISSIONS)}, not {unknown}")
    if {"order", "orderCancel"} <= permissions:
        raise ValueError("a key has either the right order or orderCancel")
    return permissions


class KeyRing:
    """All keys of all customers, oldest first."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._keys: dict[str, Account] = {}  # key -> whose it is

    def add(self, number: int, permissions: Iterable[str]) -> Account:
        """A new key of account *number*; raises ValueError for impossible rights."""
        return self.put(Account(number, self._word(24), self._word(48), _checked(permissions)))

    def put(self, account: Account) -> Account:
        """Take in a key as it is, such as one from a run before."""
        self._keys[account.key] = account
        return account

    def find(self, key: str) -> Account | None:
        return self._keys.get(key)

    def disable(self, key: str) -> None:
        """From now on *key* opens nothing; its orders stay as they are."""
        self._keys[key] = replace(self._keys[key], is_enabled=False)

    def keys(self) -> list[Account]:
        """Every key."""
        return list(self._keys.values())

    def accounts(self) -> list[Account]:
        """Every customer by its first key."""
        firsts: dict[int, Account] = {}
        for account in self._keys.values():
            firsts.setdefault(account.number, account)
        return list(firsts.values())

    def _word(self, length: int) -> str:
        return "".join(self._rng.choice(_ALPHABET) for _ in range(length))
