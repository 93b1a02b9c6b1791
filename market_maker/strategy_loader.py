"""From the setting STRATEGY to the class that trades."""

import ast
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from market_maker.utils.errors import SettingsError

USER_MODULE = "user_strategy"  # the name under which a file of the user's is loaded

_PACKAGE = Path(__file__).parent / "strategies"
_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?")

_T = TypeVar("_T")


def available() -> dict[str, str]:
    """The strategies that come with the program: name, and what it does in one line."""
    found = {}
    for module in pkgutil.iter_modules([str(_PACKAGE)]):
        source = (_PACKAGE / f"{module.name}.py").read_text(encoding="utf-8")
        text = ast.get_docstring(ast.parse(source)) or ""
        found[module.name] = text.partition("\n\n")[0].replace("\n", " ")
    return found


def load_strategy(settings: Any, base: type[_T]) -> type[_T]:
    """The class that STRATEGY names, a subclass of *base*.

    Raises SettingsError with one line that says what cannot be loaded and why.
    """
    wanted = str(settings.STRATEGY)
    where = settings.where("STRATEGY") if hasattr(settings, "where") else "set by the program"
    try:
        return _find(wanted, base)
    except _Unusable as reason:
        raise SettingsError([f"STRATEGY = {wanted!r} ({where}): {reason}"]) from reason


class _Unusable(Exception):
    """Why a strategy cannot be loaded."""


def _find(wanted: str, base: type[_T]) -> type[_T]:
    if wanted in available():
        return _class_of(importlib.import_module(f"market_maker.strategies.{wanted}"), "", base)
    match = _FILE.fullmatch(wanted)
    if match is None:
        names = ", ".join(available())
        raise _Unusable(
            f"no such strategy: choose one of {names}, or a file such as 'my_strategy.py:MyClass'"
        )
    return _class_of(_run(Path(match["path"])), match["name"] or "", base)


def _run(path: Path) -> ModuleType:
    """The module in the file *path*, which may import what lies beside it."""
    if not path.is_file():
        raise _Unusable(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(USER_MODULE, path.resolve())
    assert spec is not None and spec.loader is not None, "a name that ends in .py has a loader"
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[USER_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        sys.modules.pop(USER_MODULE)
        raise _Unusable(_describe(error, path)) from error
    return module


def _describe(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{path.name} line {error.lineno}: {error.msg}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(path.name)]
    place = f"{path.name} line {lines[-1].lineno}" if lines else path.name
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"


def _class_of(module: ModuleType, name: str, base: type[_T]) -> type[_T]:
    """The strategy *name* of the module, or the only one that is written there."""
    classes = {
        found.__name__: found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, base) and found is not base
    }
    here = [found for found in classes.values() if found.__module__ == module.__name__]
    if name in classes:
        return classes[name]
    file = Path(str(module.__file__)).name
    names = ", ".join(found.__name__ for found in here)
    if hasattr(module, name):
        raise _Unusable(f"{name} of {file} is no subclass of {base.__name__}")
    if name or not here:
        has = f"it has {names}" if names else f"it has no subclass of {base.__name__}"
        raise _Unusable(f"{file} has no class {name}; {has}" if name else f"{file}: {has}")
    if len(here) > 1:
        raise _Unusable(f"{file} has several: write {file}:NAME with one of {names}")
    return here[0]
