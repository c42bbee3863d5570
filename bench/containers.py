"""A lab's containers, as Docker's engine knows them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from bench.contender import container_processes
from testbed.backends.docker_keeper import labels, leftovers
from testbed.backends.docker_keeper.engine import open_engine
from testbed.errors import TestbedError
from testbed.images import reference

_LOOK_EVERY = 0.2


def why_not(image: str) -> str | None:
    """Why no lab can be made of containers from this image here; None: it can."""
    from docker.errors import DockerException, ImageNotFound

    try:
        client = open_engine()
    except TestbedError as error:
        return error.what
    try:
        client.images.get(reference(image))
    except ImageNotFound:
        return f"there is no container image {reference(image)}, which `make images` builds"
    except DockerException as error:
        return f"the Docker engine does not answer: {error}"
    finally:
        client.close()
    return None


@contextmanager
def without_health_check(image: str) -> Iterator[str]:
    """The same image, but the engine asks its containers for nothing; as long as this lasts.

    Our labs have the engine ask for nothing either; somebody else's cannot say so themselves.

    Yields:
        its reference.
    """
    client = open_engine()
    name = f"testbed-bench/{image}-{os.getpid()}:latest"
    recipe = f"FROM {reference(image)}\nHEALTHCHECK NONE\n"
    try:
        client.images.build(fileobj=BytesIO(recipe.encode()), tag=name, rm=True)
        try:
            yield name
        finally:
            client.images.remove(name, force=True)
    finally:
        client.close()


def processes_of(lab: str) -> set[int]:
    """The processes of a lab's containers, and the keeper that holds them."""
    client = open_engine()
    try:
        found = client.containers.list(filters={"label": f"{labels.LAB}={lab}"})
        firsts = [int(container.attrs["State"]["Pid"]) for container in found]
        stamps = {labels.Stamp.parse(container.labels[labels.KEEPER]) for container in found}
    finally:
        client.close()
    return container_processes(firsts) | {stamp.pid for stamp in stamps if stamp is not None}


def await_none(lab: str, longest: float) -> list[str]:
    """Wait until a lab that has ended has no container any more; returns those it still has."""
    client = open_engine()
    try:
        deadline = time.monotonic() + longest
        while True:
            leftovers.remove_dead(client)  # if its keeper was killed, too
            left = [thing.name for thing in leftovers.find(client) if thing.lab == lab]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(_LOOK_EVERY)
    finally:
        client.close()
