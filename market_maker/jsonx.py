"""JSON by orjson where it is installed, by the standard library where it is not."""

from typing import Any

try:
    import orjson
except ImportError:
    import json

    def loads(text: str | bytes) -> Any:
        """Parse JSON; raises ValueError."""
        return json.loads(text)

    def dumps(value: Any) -> str:
        """Compact JSON text."""
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
else:

    def loads(text: str | bytes) -> Any:
        """Parse JSON; raises ValueError."""
        return orjson.loads(text)

    def dumps(value: Any) -> str:
        """Compact JSON text."""
        return orjson.dumps(value).decode()
