"""An engine for the tests that need one, and the images it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.images import reference
from testbed.images.engine import connect
from testbed.images.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PROJECT = Path(__file__).resolve().parents[2]
LABEL = "testbed-test-images"


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    try:
        client = connect()
    except EngineError as error:
        pytest.skip(f"Docker: {error.what}")
    yield client
    client.close()


@pytest.fixture
def image(engine: DockerClient) -> Callable[[str], str]:
    """Tells whether an image of ours is there, and what it is called."""
    from docker.errors import ImageNotFound

    def find(name: str) -> str:
        try:
            engine.images.get(reference(name))
        except ImageNotFound:
            pytest.skip(f"Docker: the image {reference(name)} is not built (make images)")
        return reference(name)

    return find


@pytest.fixture
def container(engine: DockerClient) -> Iterator[Callable[..., Container]]:
    """Starts containers without a network, which end with the test."""
    started: list[Container] = []

    def start(image: str, **more: Any) -> Container:
        options = {"network_mode": "none", "labels": [LABEL], **more}
        started.append(engine.containers.run(image, detach=True, **options))
        return started[-1]

    yield start
    for one in started:
        one.remove(force=True, v=True)
