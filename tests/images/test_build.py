"""Building in a real engine: tags, labels, what is left alone, and what a failure leaves."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.images.build import build_images
from testbed.images.errors import ImageError, PinnedVersionGoneError
from testbed.images.root import root_reference
from tests.images.conftest import PROJECT

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = f"testbed-test-{os.getpid()}"

_BASE = """\
ARG BASE=debian:bookworm-slim
FROM ${BASE}
LABEL testbed.image="base"
COPY images/base/file /file
"""
_TOOL = _BASE.replace("base", "tool")


@pytest.fixture
def bare(engine: DockerClient) -> Iterator[str]:
    """A base with a single file in it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    engine.api.import_image_from_data(archive.getvalue(), repository=REPOSITORY, tag="bare")
    yield f"{REPOSITORY}:bare"
    for image in engine.images.list():
        for tag in image.tags:
            if tag.startswith(REPOSITORY):
                engine.images.remove(tag, force=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with two images of a file each."""
    for path, text in {
        "images/install-packages": (PROJECT / "images" / "install-packages").read_text(),
        "images/base/Dockerfile": _BASE,
        "images/base/file": "one\n",
        "images/tool/Dockerfile": _TOOL,
        "images/tool/file": "two\n",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "images/install-packages").chmod(0o755)
    return tmp_path


def _tags(engine: DockerClient) -> set[str]:
    return {
        tag.removeprefix(f"{REPOSITORY}/")
        for image in engine.images.list()
        for tag in image.tags
        if tag.startswith(f"{REPOSITORY}/")
    }


def _build(engine: DockerClient, project: Path, base: str) -> dict[str, str]:
    """Build all; how each came to be there, by its name and key."""
    built = build_images(engine, project, base=base, repository=REPOSITORY)
    return {f"{one.name}:{one.key}": "there" if one.was_there else "built" for one in built}


def test_an_image_has_its_key_as_tag_and_label_and_is_latest(
    engine: DockerClient, project: Path, bare: str
) -> None:
    built = _build(engine, project, bare)
    assert list(built.values()) == ["built", "built"]
    assert _tags(engine) == {*built, "base:latest", "tool:latest"}
    tool = engine.images.get(f"{REPOSITORY}/tool:latest")
    base = engine.images.get(f"{REPOSITORY}/base:latest")
    assert f"tool:{tool.labels['testbed.key']}" in built
    assert tool.labels["testbed.base"] == base.id
    assert tool.labels["org.opencontainers.image.version"]
    assert tool.labels["org.opencontainers.image.created"]


def test_what_is_there_is_left_alone_and_what_changed_takes_its_place(
    engine: DockerClient, project: Path, bare: str
) -> None:
    first = _build(engine, project, bare)
    assert _build(engine, project, bare) == dict.fromkeys(first, "there")
    (project / "images/tool/file").write_text("three\n")
    second = _build(engine, project, bare)
    assert list(second.values()) == ["there", "built"]
    assert _tags(engine) == {*second, "base:latest", "tool:latest"}, "the older one is gone"


def test_a_changed_base_changes_all_that_stands_on_it(
    engine: DockerClient, project: Path, bare: str
) -> None:
    first = _build(engine, project, bare)
    (project / "images/base/file").write_text("another\n")
    second = _build(engine, project, bare)
    assert list(second.values()) == ["built", "built"]
    assert not set(first) & set(second)


def test_a_build_that_fails_says_where_and_leaves_nothing(
    engine: DockerClient, project: Path, bare: str
) -> None:
    before = {image.id for image in engine.images.list(filters={"dangling": True})}
    with (project / "images/tool/Dockerfile").open("a") as file:
        file.write('RUN ["/no/such/program"]\n')
    with pytest.raises(ImageError, match="/no/such/program") as caught:
        _build(engine, project, bare)
    assert caught.value.where == "images/tool/Dockerfile"
    assert {tag.split(":")[0] for tag in _tags(engine)} == {"base"}
    assert {image.id for image in engine.images.list(filters={"dangling": True})} <= before


def test_a_build_that_is_broken_off_leaves_no_tag(
    engine: DockerClient, project: Path, bare: str
) -> None:
    building = build_images(engine, project, base=bare, repository=REPOSITORY)
    assert next(building).name == "base"
    building.close()
    assert {tag.split(":")[0] for tag in _tags(engine)} == {"base"}


def test_a_base_that_cannot_be_had_is_an_error_that_knows_another_way(
    engine: DockerClient, project: Path
) -> None:
    with pytest.raises(ImageError, match="base image cannot be had") as caught:
        _build(engine, project, "registry.invalid/none:1")
    assert "mmdebstrap" in (caught.value.hint or "")


def test_a_pinned_version_that_has_gone_is_an_error_or_replaced_on_request(
    engine: DockerClient, project: Path
) -> None:
    """On the real base, with the real archive: the one test here that asks for a package."""
    from docker.errors import ImageNotFound

    try:
        root = engine.images.get(root_reference())
    except ImageNotFound:
        pytest.skip("Docker: no base was made by mmdebstrap (make images ARGS='--base mmdebstrap')")
    (project / "images/base/Dockerfile").write_text(
        "ARG BASE=debian:bookworm-slim\n"
        "FROM ${BASE}\n"
        'LABEL testbed.image="base"\n'
        "COPY images/install-packages images/base/packages.lock /lib/\n"
        "ARG NEWER=no\n"
        "RUN NEWER=${NEWER} /lib/install-packages\n"
    )
    (project / "images/base/packages.lock").write_text("netbase=0.1\n")
    (project / "images/tool/Dockerfile").unlink()
    assert root.id is not None
    try:
        with pytest.raises(PinnedVersionGoneError) as caught:
            _build(engine, project, root.id)
        assert caught.value.what == "the archive no longer has netbase=0.1"
        assert caught.value.where == "images/base/packages.lock"
        assert "make lock-images" in (caught.value.hint or "")
        newer = build_images(engine, project, base=root.id, repository=REPOSITORY, newer=True)
        (built,) = newer
        assert built.replaced == ("netbase=0.1",)
        assert _tags(engine) == {f"base:{built.key}-newer", "base:latest"}
        with pytest.raises(PinnedVersionGoneError):  # what was asked for is still not there
            _build(engine, project, root.id)
    finally:
        for tag in _tags(engine):
            engine.images.remove(f"{REPOSITORY}/{tag}", force=True)
