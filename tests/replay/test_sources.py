"""The kept copy of a run's sources, and paths in the guest."""

from __future__ import annotations

import marshal
import os
import shutil
import threading
from pathlib import Path
from types import CodeType

import pytest

from testbed.replay import sources
from testbed.replay.errors import ReplayError
from testbed.replay.sources import INSIDE, Sources, Trees, look_up, take
from testbed.replay.view import folder_inside, make_view, word_inside


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with a topology."""
    folder = tmp_path / "project"
    lab = folder / "topologies/tiny"
    lab.mkdir(parents=True)
    (lab / "topology.py").write_text("X = 1\n")
    (lab / "__pycache__").mkdir()
    (lab / "__pycache__/topology.cpython-311.pyc").write_bytes(b"stale")
    (folder / "own").mkdir()
    (folder / "own/test_it.py").write_text("def test_it(): pass\n")
    (folder / "big").write_text("not a part of it")
    return folder


def _names(taken: Sources) -> set[str]:
    return {
        path.relative_to(taken.folder).as_posix()
        for path in (taken.folder / "project").rglob("*")
        if path.is_file()
    }


def test_the_copy_has_the_sources_and_their_compiled_forms(project: Path) -> None:
    taken = take(Trees.of(project, ["test", "own/test_it.py::test_it"]))
    assert _names(taken) == {
        "project/topologies/tiny/topology.py",
        "project/topologies/tiny/__pycache__/topology.cpython-311.pyc",
        "project/own/test_it.py",
        "project/own/__pycache__/test_it.cpython-311.pyc",
    }
    assert (taken.folder / "code/testbed/replay/sources.py").exists()
    compiled = taken.folder / "project/topologies/tiny/__pycache__/topology.cpython-311.pyc"
    code = marshal.loads(compiled.read_bytes()[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == f"{INSIDE}/project/topologies/tiny/topology.py"


def test_the_digest_is_of_names_and_contents_only(project: Path, tmp_path: Path) -> None:
    first = take(Trees.of(project))
    elsewhere = tmp_path / "much" / "deeper"
    shutil.copytree(project, elsewhere)
    os.utime(elsewhere / "topologies/tiny/topology.py", (1, 1))
    (elsewhere / "big").write_text("changed, and still no part of it")
    assert take(Trees.of(elsewhere)).digest == first.digest
    (elsewhere / "topologies/tiny/topology.py").write_text("X = 2\n")
    second = take(Trees.of(elsewhere))
    assert second.digest != first.digest
    kept = look_up(first.digest)
    assert kept is not None
    assert (kept.folder / "project/topologies/tiny/topology.py").read_text() == "X = 1\n"


def test_taken_several_times_at_once(project: Path, cache: Path) -> None:
    found: list[Sources] = []
    threads = [
        threading.Thread(target=lambda: found.append(take(Trees.of(project)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert [path.name for path in (cache / "testbed/sources").iterdir()] == [found[0].folder.name]


def test_old_copies_go_when_there_are_many(
    project: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_KEPT", 2)
    made = []
    for number in range(4):
        (project / "topologies/tiny/topology.py").write_text(f"X = {number}\n")
        made.append(take(Trees.of(project)))
        if number < 3:
            os.utime(made[-1].folder, (number, number))
    left = {path.name for path in (cache / "testbed/sources").iterdir()}
    assert left == {made[2].folder.name, made[3].folder.name}
    assert look_up(made[0].digest) is None


def test_what_cannot_be_compiled_is_left_to_who_imports_it(project: Path) -> None:
    (project / "topologies/tiny/topology.py").write_text("def (\n")
    taken = take(Trees.of(project))
    assert not (taken.folder / "project/topologies/tiny/__pycache__").exists()


def test_no_room_is_one_error(project: Path, cache: Path) -> None:
    cache.write_text("a file, and no folder")
    with pytest.raises(ReplayError) as caught:
        take(Trees.of(project))
    assert "XDG_CACHE_HOME" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("word", "inside"),
    [
        ("pair", "pair"),
        ("--kernel", "--kernel"),
        ("own/test_it.py::test_it", "own/test_it.py::test_it"),
        ("{project}/own/test_it.py::test_it", f"{INSIDE}/project/own/test_it.py::test_it"),
        ("{project}", f"{INSIDE}/project"),
        ("/etc/hostname", "/etc/hostname"),
    ],
)
def test_words_of_a_command_inside(project: Path, word: str, inside: str) -> None:
    trees = Trees.of(project)
    assert word_inside(word.format(project=project), trees, project) == inside


def test_the_working_folder_inside(project: Path, tmp_path: Path) -> None:
    trees = Trees.of(project, ["own"])
    taken = take(trees)
    assert folder_inside(project / "topologies/tiny", trees, taken) == (
        f"{INSIDE}/project/topologies/tiny"
    )
    (project / "results").mkdir()
    assert folder_inside(project / "results", trees, taken) == f"{INSIDE}/project"
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    trees = Trees.of(nowhere)
    assert folder_inside(nowhere, trees, take(trees)) == f"{INSIDE}/code"


def test_nothing_in_the_view_depends_on_the_folder(project: Path) -> None:
    taken = take(Trees.of(project))
    targets = [target for _, target in make_view(taken).mounts]
    assert targets[:2] == [f"{INSIDE}/code", f"{INSIDE}/project"]
    assert all(target.startswith(f"{INSIDE}/") for target in targets)
