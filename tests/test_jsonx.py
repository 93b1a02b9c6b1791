"""JSON reads alike with and without orjson."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from market_maker import jsonx


@pytest.fixture(params=["orjson", "standard library"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with monkeypatch.context() as patch:
        if request.param != "orjson":
            patch.setitem(sys.modules, "orjson", None)
        yield importlib.reload(jsonx)
    importlib.reload(jsonx)


@pytest.mark.parametrize("text", ["{", "NaN", "[Infinity]", '"\\ud800"', '{"\\udfff": 1}', b"\xff"])
def test_what_could_not_be_written_again_is_not_read(module: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        module.loads(text)


@pytest.mark.parametrize("text", ['{"a":[1,2.5,null,true,"\u00e9\U0001f600"]}', "1e-08", '""'])
def test_what_is_read_is_written_as_it_was(module: ModuleType, text: str) -> None:
    assert module.dumps(module.loads(text)).replace("1e-8", "1e-08") == text
    assert module.loads(text.encode()) == module.loads(text)
