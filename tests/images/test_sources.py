"""The key of an image says what it is made of: all of that, and nothing else."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.images import reference
from testbed.images.errors import ImageError
from testbed.images.sources import (
    PackageList,
    chosen,
    context_archive,
    context_files,
    image_names,
    key_of,
    tag_of,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with two images, and code of its own."""
    for path, text in {
        "images/install-packages": "#!/bin/sh\n",
        "images/base/Dockerfile": "FROM x\n",
        "images/testbed/Dockerfile": "FROM base\n",
        "images/guest-kernel/README": "not an image\n",
        "testbed/__init__.py": "",
        "testbed/deep/code.py": "1\n",
        "topologies/pair/topology.py": "2\n",
        "pyproject.toml": "[project]\n",
        "README.md": "hello\n",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def _key(project: Path, name: str, base: str = "sha256:1") -> str:
    return key_of(context_files(project, name), base)


def test_a_name_of_ours_is_an_image_of_ours_and_any_other_is_taken_as_it_is() -> None:
    assert reference("strongswan") == "testbed/strongswan:latest"
    for name in ("debian:12", "someone/thing", "thing@sha256:00"):
        assert reference(name) == name


def test_folders_with_a_dockerfile_are_images_the_base_first(project: Path) -> None:
    (project / "images" / "a").mkdir()
    (project / "images" / "a" / "Dockerfile").touch()
    assert image_names(project) == ("base", "a", "testbed")
    assert chosen(project, []) == ("base", "a", "testbed")
    assert chosen(project, ["testbed"]) == ("base", "testbed")


def test_an_unknown_image_is_refused_with_the_nearest(project: Path) -> None:
    with pytest.raises(ImageError, match="no image is called 'tesbed'") as caught:
        chosen(project, ["tesbed"])
    assert caught.value.hint == 'did you mean "testbed"?'


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda project: (project / "images/base/Dockerfile").write_text("FROM y\n"),
    "mode": lambda project: (project / "images/install-packages").chmod(0o755),
    "name": lambda project: (project / "images/base/Dockerfile").rename(
        project / "images/base/dockerfile"
    ),
    "one more": lambda project: (project / "images/base/more").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_an_image_is_built_from_changes_its_key(project: Path, change: str) -> None:
    before = _key(project, "base")
    CHANGES[change](project)
    assert _key(project, "base") != before


def test_another_base_is_another_image(project: Path) -> None:
    assert _key(project, "base", "sha256:1") != _key(project, "base", "sha256:2")


def test_the_code_is_in_the_key_of_our_own_image_and_no_other(project: Path) -> None:
    own, base = _key(project, "testbed"), _key(project, "base")
    (project / "testbed/deep/code.py").write_text("3\n")
    assert _key(project, "testbed") != own
    assert _key(project, "base") == base


def test_what_python_and_the_build_leave_is_not_in_the_key(project: Path) -> None:
    before = _key(project, "testbed")
    for path in ("testbed/__pycache__/x.pyc", "images/testbed/wheels/a.whl", "images/other/file"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).touch()
    assert _key(project, "testbed") == before


@given(
    st.dictionaries(st.text("abc/", min_size=1), st.tuples(st.binary(), st.booleans()), max_size=4),
    st.dictionaries(st.text("abc/", min_size=1), st.tuples(st.binary(), st.booleans()), max_size=4),
)
def test_keys_are_equal_for_equal_files_only(
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[str, tuple[bytes, bool]],
    other: dict[str, tuple[bytes, bool]],
) -> None:
    def lay(files: dict[str, tuple[bytes, bool]]) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("files")
        laid = {}
        for number, (path, (content, executable)) in enumerate(files.items()):
            file = folder / str(number)
            file.write_bytes(content)
            file.chmod(0o755 if executable else 0o644)
            laid[path] = file
        return laid

    equal = key_of(lay(one), "base") == key_of(lay(dict(reversed(other.items()))), "base")
    assert equal == (one == other)


def test_the_context_has_the_files_and_nothing_of_the_machine(project: Path) -> None:
    files = context_files(project, "testbed")
    (project / "images/install-packages").chmod(0o750)
    whole = context_archive(files)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        members = {member.name: member for member in tar}
        code = tar.extractfile("testbed/deep/code.py")
        assert code is not None
        assert code.read() == b"1\n"
    assert set(members) == set(files)
    assert members["images/install-packages"].mode == 0o755
    assert members["README.md"].mode == 0o644
    assert {(m.uid, m.gid, m.uname, m.mtime) for m in members.values()} == {(0, 0, "", 0)}
    (project / "README.md").touch()  # another time, the same archive
    assert context_archive(files) == whole


def test_a_tag_is_made_of_the_name_and_the_key() -> None:
    assert tag_of("dns", "0123") == "testbed/dns:0123"


@pytest.mark.parametrize("line", ["curl", "curl=", "=1.0", "curl=1 2", "curl==1", "CURL=1"])
def test_a_line_of_a_lock_that_is_no_pin_is_an_error_with_its_place(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "packages.lock").write_text(f"# head\niproute2=6.1.0-3\n{line}\n")
    with pytest.raises(ImageError, match="expected name=version") as caught:
        PackageList(tmp_path).pinned()
    assert caught.value.where == f"{tmp_path}/packages.lock:3"


def test_packages_that_nobody_has_pinned_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no versions are pinned") as caught:
        PackageList(tmp_path).pinned()
    assert caught.value.hint == "make lock-images"
