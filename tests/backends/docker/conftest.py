"""A Docker engine, images to play with, and a look at what labs left in the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from testbed.backends.docker import why_no_docker
from testbed.backends.docker_keeper import leftovers
from testbed.backends.docker_keeper.engine import open_engine
from testbed.lab import Lab
from testbed.model import Builder, Topology
from tests.backends.docker.image import PYTHON, import_image
from tests.lab.conftest import unique


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """The engine that labs would use here."""
    why = why_no_docker()
    if why is not None:
        pytest.skip(why)
    engine = open_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def plain(client: DockerClient) -> Iterator[str]:
    """An image with a shell and a few programs; also what could go wrong with an image."""
    changes = [
        "ENV PATH=/opt/own:/usr/bin:/bin",
        "ENV OTHER=image",
        "VOLUME /var/lib/own",
        "USER 1000",
        "WORKDIR /tmp",
        'ENTRYPOINT ["/bin/false"]',
        'HEALTHCHECK --interval=1h CMD ["test", "-e", "/run/healthy"]',
    ]
    name = import_image(client, "plain", changes)
    yield name
    client.images.remove(name, force=True)


@pytest.fixture(scope="session")
def with_python(client: DockerClient) -> Iterator[str]:
    """An image that can run our components."""
    name = import_image(client, "python", [f"LABEL testbed.python={PYTHON}"], python=True)
    yield name
    client.images.remove(name, force=True)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[Topology], Lab]]:
    """Bring topologies up for this test; all come down at its end."""
    labs: list[Lab] = []

    def bring_up(topology: Topology) -> Lab:
        name = unique(topology.name)
        labs.append(Lab.up(topology, name=name, run_folder=tmp_path / name))
        return labs[-1]

    yield bring_up
    for lab in reversed(labs):
        lab.down()


def pair(image: str, name: str = "boxes", **alice: Any) -> Topology:
    """Two containers on a cable."""
    lab = Builder(name)
    lab.host("alice", backend="docker", image=image, **alice)
    lab.host("bob", backend="docker", image=image)
    lab.link(
        "cable",
        "alice:eth0 192.0.2.1/24 2001:db8::1/64",
        "bob:eth0 192.0.2.2/24 2001:db8::2/64",
    )
    return lab.build()


def things_of(client: DockerClient, lab: str) -> list[leftovers.Thing]:
    """What a lab of that name has in the engine."""
    return [thing for thing in leftovers.find(client) if thing.lab == lab]
