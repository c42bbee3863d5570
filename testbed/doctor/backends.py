"""What nodes can be made of here, besides namespaces."""

from __future__ import annotations

from testbed.backends.registry import trouble
from testbed.doctor.capability import Capability, Kind, State
from testbed.errors import TestbedError
from testbed.model.topology import DOCKER, MININET

_PURPOSES = {
    MININET: "labs of Mininet's hosts, and Mininet topologies of others",
    DOCKER: "labs of containers, and nodes made from an image",
}


def find_backends() -> tuple[Capability, ...]:
    """Mininet, and a Docker engine with its images."""
    return _mininet(), _docker()


def _mininet() -> Capability:
    why = trouble(MININET)
    if why is None:
        return _capability(MININET, State.YES, "it can be loaded")
    return _capability(MININET, State.NO, why, "sudo apt-get install mininet")


def _docker() -> Capability:
    why = trouble(DOCKER)
    if why is not None:
        engine = "start Docker, or as root a private engine: setup/docker-engine.sh start"
        return _capability(DOCKER, State.NO, why, engine)
    from testbed.images.engine import connected

    try:
        with connected() as client:
            version = client.version()["Version"]
            tags = {tag for image in client.images.list() for tag in image.tags}
    except TestbedError as error:
        return _capability(DOCKER, State.NO, error.what, str(error.hint or ""))
    if "testbed/testbed:latest" in tags:
        return _capability(DOCKER, State.YES, f"Docker {version}; our images are there")
    return _capability(
        DOCKER, State.LIMITED, f"Docker {version}; our images are not built", "make images"
    )


def _capability(name: str, state: State, detail: str, remedy: str = "") -> Capability:
    return Capability(name, Kind.BACKEND, state, _PURPOSES[name], detail, remedy)
