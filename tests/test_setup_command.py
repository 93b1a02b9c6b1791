"""`marketmaker setup`, and the two files that must answer on an old Python."""

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from market_maker import cli
from market_maker.commands import setup

ROOT = Path(__file__).resolve().parent.parent
LAUNCHERS = ("marketmaker", "setup.py")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("word", ["setup", "SETUP", "Setup"])
def test_setup_writes_settings_env_strategy_and_a_copy(tmp_path: Path, word: str) -> None:
    assert cli.main([word]) == 0
    assert (tmp_path / "settings.py").read_text() == (ROOT / "settings.py.example").read_text()
    assert (tmp_path / ".env").read_text() == (ROOT / ".env.example").read_text()
    assert "class CustomOrderManager" in (tmp_path / "my_strategy.py").read_text()
    assert (tmp_path / "market_maker" / "model" / "ticks.py").is_file()
    assert not list((tmp_path / "market_maker").rglob("__pycache__"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_owner_can_read_the_env_file(tmp_path: Path) -> None:
    cli.main(["setup", "--no-copy"])
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_setup_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("settings.py", ".env", "my_strategy.py"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "market_maker" / "model").mkdir(parents=True)
    assert cli.main(["setup"]) == 0
    assert [(tmp_path / n).read_text() for n in ("settings.py", ".env", "my_strategy.py")] == [
        "mine"
    ] * 3
    assert [path.name for path in (tmp_path / "market_maker").iterdir()] == ["model"]
    assert "Market Maker project already exists!" in capsys.readouterr().out.splitlines()


def test_without_the_copy_no_package_is_written(tmp_path: Path) -> None:
    assert cli.main(["setup", "--no-copy"]) == 0
    assert not (tmp_path / "market_maker").exists()


def test_an_old_copy_that_would_shadow_ours_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "market_maker").mkdir()
    (tmp_path / "market_maker" / "market_maker.py").write_text("")
    assert cli.main(["setup"]) == 1
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "old" in text]
    assert str(tmp_path / "market_maker") in line
    assert "rename or remove it" in line


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who is refused")
def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert cli.main(["setup"]) == 1
    assert capsys.readouterr().err.startswith("Cannot write")


def test_the_written_settings_have_no_fault(tmp_path: Path) -> None:
    from market_maker.settings import check, load

    cli.main(["setup", "--no-copy"])
    settings = load(environ={}, cwd=tmp_path)
    check(settings)
    assert settings.EXCHANGE == "simulator"


def test_the_env_text_is_the_example() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == setup.ENV_TEXT


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_launchers_parse_on_python_3_6(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 6))
    assert tree.body


@pytest.mark.parametrize("name", LAUNCHERS)
def test_on_an_old_python_the_launchers_print_one_line_with_the_command(name: str) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 1); "
        f"runpy.run_path({str(ROOT / name)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "needs Python 3.11 or newer" in line
    assert "pip install -e ." in line


def test_without_dependencies_the_launcher_prints_one_line_with_the_command() -> None:
    done = subprocess.run(
        # -S leaves out site-packages, and -E what PYTHONPATH would bring back.
        [sys.executable, "-S", "-E", str(ROOT / "marketmaker"), "XBTUSD"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "is missing" in line
    assert "pip install -e ." in line
