"""Which source is taken: the installed package, then what was fetched, then what apt has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.guest import kernel_source
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_source import Source, fetch, find_source

PACKAGE = "linux-source-6.12"
INSTALLED = Source(PACKAGE, "6.12.1-1", Path("/usr/src/linux-source-6.12.tar.xz"))
NEWER = Source(PACKAGE, "6.12.3-1")

Say = Callable[[Source | None, Source | None], None]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Decide what is installed and what apt knows."""

    def decide(installed: Source | None, candidate: Source | None) -> None:
        monkeypatch.setattr(kernel_source, "_installed", lambda _: installed)
        monkeypatch.setattr(kernel_source, "_candidate", lambda _: candidate)

    return decide


def _fetched(store: Path, version: str) -> Path:
    file = store / f"{PACKAGE}_{version}_all.deb"
    file.write_text("")
    return file


def test_the_installed_package_comes_first(say: Say, tmp_path: Path) -> None:
    say(INSTALLED, NEWER)
    _fetched(tmp_path, "6.12.2-1")
    assert find_source(PACKAGE, tmp_path) == INSTALLED


def test_a_fresh_package_list_sets_off_no_build(say: Say, tmp_path: Path) -> None:
    say(None, NEWER)
    file = _fetched(tmp_path, "6.12.2-1%3ax")
    assert find_source(PACKAGE, tmp_path) == Source(PACKAGE, "6.12.2-1:x", file)
    assert find_source(PACKAGE, tmp_path, newest=True) == NEWER


def test_the_newest_may_have_been_fetched_already(say: Say, tmp_path: Path) -> None:
    say(None, NEWER)
    file = _fetched(tmp_path, "6.12.3-1")
    assert find_source(PACKAGE, tmp_path, newest=True) == Source(PACKAGE, "6.12.3-1", file)


def test_otherwise_what_apt_has(say: Say, tmp_path: Path) -> None:
    say(None, NEWER)
    assert find_source(PACKAGE, tmp_path / "not there") == NEWER


def test_without_any_the_error_says_how_to_get_it(say: Say, tmp_path: Path) -> None:
    say(None, None)
    with pytest.raises(GuestKernelError) as caught:
        find_source(PACKAGE, tmp_path)
    assert f"apt-get install --no-install-recommends {PACKAGE}" in str(caught.value)


def test_fetching_keeps_only_what_came(tmp_path: Path) -> None:
    old = _fetched(tmp_path, "6.12.2-1")
    commands = []

    def run(command: list[str], folder: Path) -> None:
        commands.append(command)
        _fetched(folder, "6.12.3-1")

    source = fetch(NEWER, tmp_path, run)
    assert source.archive == tmp_path / f"{PACKAGE}_6.12.3-1_all.deb"
    assert commands[0][-2:] == ["download", f"{PACKAGE}=6.12.3-1"]
    assert not old.exists()
    assert [path.name for path in tmp_path.iterdir()] == [source.archive.name]


def test_a_fetch_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    old = _fetched(tmp_path, "6.12.2-1")

    def run(command: list[str], folder: Path) -> None:
        (folder / "half").write_text("")
        raise GuestKernelError("no network")

    with pytest.raises(GuestKernelError):
        fetch(NEWER, tmp_path, run)
    assert old.exists()
