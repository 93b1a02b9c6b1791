"""The house: a file imports only from lower floors or its own room, and no circle exists.

Time, chance and threads come in at a few named files; everything else takes them as arguments.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import market_maker

PACKAGE = Path(market_maker.__file__).resolve().parent
ROOT = PACKAGE.parent


class Room(NamedTuple):
    """Files of one room may import each other; rooms of one floor may not."""

    floor: float
    name: str


# The longest prefix of a module's full name decides.
ROOMS = {
    "market_maker": Room(7, "command line"),
    "market_maker.utils": Room(0, "ground"),
    "market_maker.clock": Room(0, "ground"),
    "market_maker.jsonx": Room(0, "ground"),
    "market_maker.arguments": Room(0, "ground"),
    "market_maker.model": Room(1, "model"),
    "market_maker.auth": Room(1, "auth"),
    "market_maker._settings_bots": Room(1, "settings"),
    "market_maker._settings_base": Room(1, "settings"),
    "market_maker._settings_files": Room(1, "settings"),
    "market_maker._settings_kinds": Room(1, "settings"),
    "market_maker._settings_record": Room(1, "settings"),
    "market_maker._settings_rules": Room(1, "settings"),
    "market_maker._settings_venues": Room(1, "settings"),
    "market_maker.settings": Room(1, "settings"),
    "market_maker.quoting": Room(2, "quoting"),
    "market_maker.journal": Room(2, "journal"),
    "market_maker.journal_file": Room(2, "journal"),
    "market_maker.run_log": Room(2, "journal"),
    "market_maker.lockfile": Room(2, "journal"),
    "market_maker.levels": Room(2.5, "levels"),
    "market_maker.decisions": Room(2.5, "decisions"),
    "market_maker.exchanges": Room(3, "exchanges"),
    "market_maker.simulator": Room(3, "simulator"),
    "market_maker.bitmex": Room(3.5, "legacy"),
    "market_maker.ws": Room(3.5, "legacy"),
    "market_maker.venue": Room(4, "bot"),
    "market_maker.supervised": Room(4, "bot"),
    "market_maker.live": Room(4, "bot"),
    "market_maker.interrupts": Room(4, "bot"),
    "market_maker.runner": Room(4, "bot"),
    "market_maker.sender": Room(4, "bot"),
    "market_maker.ending": Room(4, "bot"),
    "market_maker.status": Room(4, "bot"),
    "market_maker.reference": Room(4, "bot"),
    "market_maker.options": Room(4, "bot"),
    "market_maker.strategy_loader": Room(4, "bot"),
    "market_maker.exchange_interface": Room(4, "bot"),
    "market_maker.market_maker": Room(4, "bot"),
    "market_maker.strategies": Room(5, "strategies"),
    "market_maker.custom_strategy": Room(5, "strategies"),
    "market_maker.drill": Room(6, "drill"),
    "market_maker.report": Room(6.5, "report"),
    "market_maker.cli": Room(7, "command line"),
    "market_maker.commands": Room(7, "command line"),
    "market_maker.__main__": Room(7, "command line"),
}

# Who may touch the machine's clock, sleep, draw unseeded numbers or start threads, and why.
FACING_THE_MACHINE = {
    "clock.py": "is the clock",
    "interrupts.py": "wakes a main thread that sleeps through a signal",
    "exchanges/receiver.py": "the receive thread",
    "exchanges/stream.py": "stamps each frame when it arrives",
    "exchanges/transport.py": "sends a batch over several connections at a time",
    "drill/seat.py": "lets strategies that sleep do so on its manual clock",
    "simulator/child.py": "waits for the first words of another process",
    "simulator/server.py": "watches the pipe from its parent",
    "simulator/listener.py": "accepts connections and paces the built-in exchange",
    "simulator/websocket.py": "one writer thread for each client of that server",
}

FORBIDDEN_OF = {
    "time": {"time", "time_ns", "sleep", "monotonic", "monotonic_ns", "perf_counter"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "threading": {"Thread", "Timer"},
    "futures": {"ThreadPoolExecutor"},
}
ALLOWED_OF_RANDOM = {"Random", "SystemRandom"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def room_of(module: str) -> Room:
    while module not in ROOMS:
        module = module.rpartition(".")[0]
    return ROOMS[module]


def is_only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """Full names of the modules of ours that the file imports, anywhere in it."""
    stack: list[ast.AST] = [ast.parse(path.read_bytes())]
    while stack:
        node = stack.pop()
        if at_run_time and is_only_for_types(node):
            continue
        stack.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                # Package and module share a name: only the full path tells which is meant.
                full = f"{node.module}.{alias.name}"
                if full in MODULES or node.module in MODULES:
                    yield full if full in MODULES else str(node.module)


def test_every_module_has_a_floor_of_its_own() -> None:
    top = {name for name in MODULES if name.count(".") == 1}
    assert top - set(ROOMS) == set()
    assert set(ROOMS) - set(MODULES) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_floors_or_its_own_room(path: Path) -> None:
    here = room_of(name_of(path))
    upward = [
        f"{module} (floor {there.floor})"
        for module in imports_of(path)
        if (there := room_of(module)) != here and there.floor >= here.floor
    ]
    assert upward == [], f"floor {here.floor}, room {here.name}"


def test_no_circle_exists() -> None:
    graph = {n: sorted(set(imports_of(p, at_run_time=True)) - {n}) for n, p in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        assert module not in way, "circle: " + " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for other in graph[module]:
                visit(other, [*way, module])
            done.add(module)

    for module in graph:
        visit(module, [])


def machine_uses(tree: ast.AST) -> Iterator[str]:
    """Uses of the clock, sleep, chance and threads, as "module.name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rpartition(".")[2]
            names = [(owner, node.attr)]
        elif isinstance(node, ast.ImportFrom):
            owner = (node.module or "").rpartition(".")[2]
            names = [(owner, alias.name) for alias in node.names]
        else:
            continue
        for owner, name in names:
            is_chance = owner == "random" and name not in ALLOWED_OF_RANDOM
            if is_chance or name in FORBIDDEN_OF.get(owner, ()):
                yield f"{owner}.{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_clock_chance_and_threads_are_used_only_where_they_are_named(path: Path) -> None:
    uses = sorted(set(machine_uses(ast.parse(path.read_bytes()))))
    if path.relative_to(PACKAGE).as_posix() in FACING_THE_MACHINE:
        assert uses, "it needs no entry in FACING_THE_MACHINE any more"
    else:
        assert uses == []


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("import time\nx = time.time()", ["time.time"]),
        ("from time import sleep", ["time.sleep"]),
        ("import datetime\ndatetime.datetime.now()", ["datetime.now"]),
        ("import random\nrandom.random()\nrandom.Random(1).random()", ["random.random"]),
        ("self.clock.sleep(1); rng.random(); clock.now()", []),
        ("threading.Thread(target=f)", ["threading.Thread"]),
        ("import uuid\nuuid.uuid4()", ["uuid.uuid4"]),
    ],
)
def test_the_search_finds_what_it_should(source: str, uses: list[str]) -> None:
    assert list(machine_uses(ast.parse(source))) == uses


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_bot_and_above_read_settings(path: Path) -> None:
    room = room_of(name_of(path))
    if room.floor < 4 and room.name != "settings":
        assert [name for name in imports_of(path) if room_of(name).name == "settings"] == []


SIZES = {"market_maker.py": 450, "_settings_base.py": 420}  # the latter is a list to read


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    limit = SIZES.get(path.relative_to(PACKAGE).as_posix(), 360)
    assert len(text.splitlines()) <= limit
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 55  # type: ignore[operator]
    ]
    assert long == []
