"""A dict whose items read as attributes."""

from typing import Any


class dotdict(dict):  # type: ignore[type-arg]
    """dict with attribute access; an absent name reads as None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self.pop(name, None)
