"""A dict whose items read as attributes."""

from typing import Any


class dotdict(dict):  # type: ignore[type-arg]
    """dict with attribute access; an absent name reads as None."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name.startswith("__"):
                raise AttributeError(name) from None
            return None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self.pop(name, None)
