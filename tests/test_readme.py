"""Holds the README true: commands, settings, dependencies, links, example and error texts."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import market_maker
from market_maker._settings_rules import RULES
from market_maker.market_maker import OrderManager
from market_maker.settings import DEFAULTS
from tests.world import World

PACKAGE = Path(market_maker.__file__).resolve().parent
ROOT = PACKAGE.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def section(title: str) -> str:
    """The text below a heading, up to the next one of the same level."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert match, f"README.md has no section '{title}'"
    return match[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


# -- the two commands -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["marketmaker XBTUSD", "pytest"])
def test_one_line_makes_an_environment_installs_and_runs(ending: str) -> None:
    lines = [b.strip() for b in blocks(section("Run it"), "sh") if b.strip().endswith(ending)]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert re.fullmatch(
        r"python3 -m venv (\S+) && \1/bin/pip install -e \S+ && \1/bin/" + re.escape(ending),
        lines[0],
    )


def test_the_captured_run_fits_80_columns() -> None:
    (run,) = blocks(section("Run it"), "text")
    assert [line for line in run.splitlines() if len(line) > 80] == []


# -- what is named exists ---------------------------------------------------------------------

OF_THE_SYSTEM = {
    *("BITMEX_API_KEY_FILE", "BITMEX_API_SECRET_FILE", "OKX_API_SECRET_FILE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_CERT"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "XDG_STATE_HOME"),
}


def test_every_setting_it_names_exists() -> None:
    prose = re.sub(r"^```.*?^```$", "", README + TROUBLE, flags=re.M | re.S)
    spoken = re.findall(r"`([^`\n]+)`", prose)
    words = {word for text in spoken for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text)}
    words |= set(re.findall(r"^([A-Z_]+) = ", "\n".join(blocks(README, "python")), re.M))
    unknown = {w for w in words - OF_THE_SYSTEM - set(RULES) if not w.startswith("MY_")}
    assert unknown == set()


def test_the_table_of_settings_has_the_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(.+?)` \|", section("Settings"), re.M)
    assert len(rows) > 10
    assert {n: ast.literal_eval(v) for n, v in rows} == {n: DEFAULTS[n] for n, _ in rows}


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), link


def test_every_dependency_has_its_line() -> None:
    calls = [n for n in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if is_setup(n)]
    given = {k.arg: k.value for k in calls[0].keywords}
    extras = ast.literal_eval(given["extras_require"])
    wanted = [
        *ast.literal_eval(given["install_requires"]),
        *(name for names in extras.values() for name in names),
    ]
    names = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in wanted}
    listed = re.findall(r"^- \*\*([\w-]+)\*\*", section("Dependencies"), re.M)
    assert sorted(listed) == sorted(names)


def is_setup(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "setup"


# -- the example of a strategy ----------------------------------------------------------------


def test_the_example_strategy_quotes_and_is_filled() -> None:
    (source,) = blocks(section("A strategy of your own"), "python")
    names: dict[str, Any] = {"__name__": "my_strategy"}
    exec(compile(source, "README.md", "exec"), names)
    (strategy,) = [
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, OrderManager) and value is not OrderManager
    ]
    world = World()
    bot = world.bot(strategy)
    world.run(bot, 60)
    assert sorted(order.side for order in world.open_orders()) == ["Buy", "Sell"]
    assert world.engine.executions(world.account.number)


# -- troubleshooting: every complaint of the code, and none that the code does not know -------
#
# A complaint is a text that reaches the user as a log line at WARNING or above, as a line on
# stderr, or as the reason within such a line. Each needs an entry in docs/troubleshooting.md: a
# list item that begins with the text in backticks, "…" standing for what varies.
#
# Left out: errors of a caller's own code (ValueError, KeyError and the like from a wrong call),
# which end in a traceback that names the line; what the built-in exchange answers over its wire,
# which has BitMEX's texts; what `marketmaker check` reports, which is its result.

ANY = "…"
LOG_CALLS = {"warning", "error", "critical", "exception"}
RAISED = {
    *("StopTrading", "AuthenticationError", "SettingsError", "NotSupported"),
    *("AlreadyRunning", "LossLimitReached"),
    *(
        "StaleData",
        "StrategyFault",
        "MarketClosedError",
        "MarketEmptyError",
        "CrossedBook",
        "ExchangeError",
        "_Lost",
    ),
}
PRINTED = {
    "_fail",
    "self._reconnect",
    "_complain",
    "_fault",
    "parser.exit",
    "parser.error",
    "self.exit",
    "sys.exit",
}
REASONS = {"Refused", "Result"}  # why an order is not placed
SAYING = {  # functions that return or yield texts for the user
    "_settings_rules.py": {
        "find_faults",
        "_fault",
        "_exchange_faults",
        "_pair_faults",
        "_decision_faults",
    },
    "_settings_files.py": {"_failure"},
    "settings.py": {"warnings"},
    "cli.py": {"symbol_fault"},
    "exchanges/approval.py": {
        *("_objection", "_level_objection", "_meets", "_size_objection", "object_to_one_more"),
    },
    "exchanges/base.py": {"error_message"},
    "journal_file.py": {"_damaged"},
    "quoting/limits.py": {"check_order"},
    "quoting/loss.py": {"check_losses"},
    "runner.py": {"describe"},
    "exchanges/stream.py": {"_phrase"},
    "exchanges/symbols.py": {"unknown_symbol"},
    "exchanges/transport.py": {"_classify"},
}
HEARD = ("child", "listener", "server", "state_file", "market/")
HEARD_OF_THE_SIMULATOR = tuple(f"simulator/{name}" for name in HEARD)
FRAGMENTS = {f"{ANY}: did you mean {ANY}?", f"{ANY} Exiting."}  # ends of texts listed elsewhere
PLACEHOLDER = re.compile(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[sdrfgx]")
ALSO = [  # complaints that no rule above finds
    "Couldn't connect to WS!",
    "The exchange sent no image of",
    f"Ignored what the exchange sent: {ANY}",
    f"handshake {ANY}: {ANY}",
    f"the exchange refuses our orders: {ANY}",
    f"quotes are pulled: {ANY}",
    f"the strategy asks for {ANY}",
    "The exchange says",
    "No answer of the exchange",
    "Market Maker project already exists!",
    f"{ANY} orders are LEFT.",
    f"{ANY} is a copy of the old sample-market-maker, which Python would use here in place of "
    "this program: rename or remove it.",
]


def texts(node: ast.AST | None) -> Iterator[str]:
    """The texts an expression may have, "…" for what varies."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield PLACEHOLDER.sub(ANY, node.value)
    elif isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values]
        yield re.sub(f"{ANY}+", ANY, "".join(parts))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield next(texts(node.left), ANY) + next(texts(node.right), ANY)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        yield from texts(node.left)
    elif isinstance(node, ast.IfExp):
        yield from [*texts(node.body), *texts(node.orelse)]
    elif isinstance(node, ast.BoolOp):
        yield from (text for value in node.values for text in texts(value))
    elif isinstance(node, ast.List | ast.Tuple):
        yield from (text for item in node.elts for text in texts(item))
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield from texts(node.elt)


def says_something(text: str) -> bool:
    """Whether more is constant than a frame around other texts."""
    return len(re.findall(r"[A-Za-z]", text)) >= 6


def said(function: ast.FunctionDef) -> Iterator[str]:
    """What a function of SAYING returns or yields, or puts into its variable `line`."""
    for node in ast.walk(function):
        is_line = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "line"
        is_list = isinstance(node, ast.AugAssign) and isinstance(node.value, ast.ListComp)
        if isinstance(node, ast.Return | ast.Yield) or is_line or is_list:
            yield from texts(node.value)  # type: ignore[attr-defined]


def spoken(tree: ast.AST, file: str) -> Iterator[str]:
    """The complaints in one file."""
    named: dict[str, list[str]] = {}  # variable -> the texts it may hold
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).extend(texts(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in SAYING.get(file, ()):
            yield from said(node)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        is_stderr = called == "print" and any("stderr" in ast.unparse(k) for k in node.keywords)
        is_of_commands = file.startswith("commands/") and name == "ValueError"
        if (
            called in {f"logger.{level}" for level in LOG_CALLS}
            or name in RAISED | REASONS
            or called in PRINTED
            or is_stderr
            or is_of_commands
        ):
            for argument in node.args:
                yield from texts(argument)
                yield from named.get(ast.unparse(argument), [])


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in [*sorted(PACKAGE.rglob("*.py")), ROOT / "marketmaker", ROOT / "setup.py"]:
        inside = PACKAGE in path.parents
        name = path.relative_to(PACKAGE if inside else ROOT).as_posix()
        if not name.startswith("simulator/") or name.startswith(HEARD_OF_THE_SIMULATOR):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def complaints() -> list[str]:
    found = {text.strip() for name, tree in sources() for text in spoken(tree, name)}
    return sorted({*filter(says_something, found - FRAGMENTS), *ALSO})


def entries() -> list[str]:
    """What the page of troubles names, as it stands there."""
    return re.findall(r"^- `([^`]+)`", TROUBLE, re.M)


@functools.cache
def pattern(entry: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in entry.split(ANY)), re.S)


def fits(entry: str, text: str) -> bool:
    return pattern(entry).fullmatch(text) is not None


@pytest.mark.parametrize("text", complaints())
def test_every_complaint_of_the_code_is_explained(text: str) -> None:
    assert any(fits(entry, text) for entry in entries())


def test_every_explained_text_is_in_the_code() -> None:
    known = {
        text.strip() for _, tree in sources() for node in ast.walk(tree) for text in texts(node)
    }
    assert [e for e in entries() if not any(fits(e, text) for text in known)] == []


def test_entries_are_told_apart_by_their_words() -> None:
    named = entries()
    assert len(set(named)) == len(named)
    assert all(says_something(entry) for entry in named)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('logger.warning("Order %s lost.", x)', ["Order … lost."]),
        ('logger.info("All is well.")', []),
        ('raise StopTrading(f"no {x} here" + " Exiting.")', ["no … here Exiting."]),
        ('raise StaleData("no bids" if a else "no asks")', ["no bids", "no asks"]),
        ('why = "no wind"\nResult(Status.NOT_SENT, {}, why)', ["no wind"]),
        ('raise ValueError("a wrong call")', []),
        ('print("bad luck", file=sys.stderr)', ["bad luck"]),
        ('print("good luck")', []),
    ],
)
def test_the_search_finds_complaints(source: str, found: list[str]) -> None:
    assert list(spoken(ast.parse(source), "x.py")) == found
