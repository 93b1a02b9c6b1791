"""Reads settings files: Python ones, with the line of each name, and `.env`."""

import ast
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from market_maker.utils.errors import SettingsError

_SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASS")


class Layer(NamedTuple):
    """Names and values of one source, and where each stands."""

    values: dict[str, Any]
    origins: dict[str, str]


def read_python(path: Path, label: str) -> Layer:
    """Run the settings file at *path*; *label* is how messages call it.

    Raises SettingsError with one line, naming the line of the file, if it cannot be run.
    """
    tree = _parse(path, label)
    lines = _lines_of_names(tree)
    values = _run(tree, path, label)
    origins = {name: f"{label} line {lines[name]}" if name in lines else label for name in values}
    return Layer(values, origins)


def read_dotenv(path: Path) -> Layer:
    """The names of a `.env` file that have a value."""
    from dotenv import dotenv_values  # slow to import, and most folders have no .env

    try:
        # A secret may hold a "$", which is no variable here.
        found = dotenv_values(path, interpolate=False)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name}: cannot be read: {_reason(error)}"]) from error
    values = {name: value for name, value in found.items() if value}
    return Layer(values, {name: _dotenv_origin(text, name, path.name) for name in values})


def read_secret(path: Path, label: str) -> str:
    """The one word in the file that a setting such as BITMEX_API_KEY_FILE names."""
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{label}: {path}: cannot be read: {_reason(error)}"]) from error
    if len(words) != 1:
        raise SettingsError([f"{label}: {path} must hold one word, and holds {len(words)}"])
    return words[0]


def _parse(path: Path, label: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), label)
    except SyntaxError as error:
        place = f"{label} line {error.lineno}" if error.lineno else label
        raise SettingsError([f"{place}: {error.msg}"]) from error
    except ValueError as error:  # a null byte
        raise SettingsError([f"{label}: {error}"]) from error
    except OSError as error:
        raise SettingsError([f"{label}: cannot be read: {_reason(error)}"]) from error


def _run(tree: ast.Module, path: Path, label: str) -> dict[str, Any]:
    file = str(path.resolve())
    names: dict[str, Any] = {"__name__": "settings", "__file__": file}
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # a settings file may import what lies beside it
    try:
        exec(compile(tree, file, "exec"), names)
    except (Exception, SystemExit) as error:
        raise SettingsError([_failure(error, tree, file, label)]) from error
    finally:
        sys.path.remove(folder)
    return {name: value for name, value in names.items() if not name.startswith("__")}


def _failure(error: BaseException, tree: ast.Module, file: str, label: str) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)
    place = f"{label} line {line}" if line else label
    kind = type(error).__name__
    secret = _secret_set_at(tree, line)
    if secret:  # the message may quote it: an unquoted key is a NameError that names the key
        return f"{place}: {kind} while setting {secret}. Is its value in quotes?"
    message = " ".join(str(error).split())
    return f"{place}: {kind}: {message}" if message else f"{place}: {kind}"


def _secret_set_at(tree: ast.Module, line: int | None) -> str | None:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or line is None:
            continue
        if not node.lineno <= line <= (node.end_lineno or node.lineno):
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            name = ast.unparse(target)
            if any(word in name.upper() for word in _SECRET_WORDS):
                return name
    return None


def _lines_of_names(tree: ast.Module) -> dict[str, int]:
    """Where each name was last given a value."""
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        for name in names:
            lines[name] = max(lines.get(name, 0), getattr(node, "lineno", 0))
    return lines


def _dotenv_origin(text: str, name: str, label: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if line.removeprefix("export ").partition("=")[0].strip() == name:
            return f"{label} line {number}"
    return label


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
