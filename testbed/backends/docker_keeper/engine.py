"""Docker's engine, if labs can use the one that answers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import LabError, MissingFeatureError, TestbedError
from testbed.images import engine
from testbed.images.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

_ALL_USERS = "0 0 4294967295"
_LOCAL = "unix://"
_PATIENCE = 10.0
"""Seconds for the engine to say that it is there."""
_HERE = "labs enter their containers' namespaces, so the engine must run on this machine"


def open_engine() -> DockerClient:
    """The engine, after everything was looked at that would keep a lab from using it.

    Raises:
        MissingFeatureError: no engine answers, or it is not one that labs can use; the hint says
            what to do.
    """
    _check_user()
    try:
        address = engine.find_engine()
        if address is not None:
            _check_place(address)
        return engine.connect()
    except EngineError as error:
        # By the name that is known at the other end of a channel, too.
        raise MissingFeatureError(error.what, where=error.where, hint=error.hint) from error


def _check_user() -> None:
    if os.geteuid() != 0:
        raise MissingFeatureError(
            "labs with containers need root: their network is put in from outside, which not even "
            "members of the group docker may",
            hint="run it as root, or on the backend netns, which needs no rights",
        )
    if " ".join(Path("/proc/self/uid_map").read_text().split()) != _ALL_USERS:
        raise MissingFeatureError(
            "labs with containers need the real root, and this one is root of a user namespace",
            hint="run it outside of rootless containers and the like",
        )


def _check_place(address: str) -> None:
    if not address.startswith(_LOCAL):
        raise MissingFeatureError(
            f"the Docker engine at {address} cannot be used: {_HERE}",
            hint="set DOCKER_HOST to a local socket: unix:///var/run/docker.sock",
        )
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.settimeout(_PATIENCE)
            sock.connect(address.removeprefix(_LOCAL))
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            answer = sock.recv(64)
        except OSError as error:
            raise _no_engine(address, f"does not answer: {error.strerror or error}") from error
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    if b" 200 " not in answer:
        raise _no_engine(address, "does not answer as an engine does")
    if struct.unpack("3i", data)[0] == 0:
        raise elsewhere(f"the Docker engine at {address}")


def _no_engine(address: str, trouble: str) -> MissingFeatureError:
    return MissingFeatureError(
        f"the Docker engine at {address} {trouble}",
        hint="start it, or have the project start its own: setup/docker-engine.sh start",
    )


def elsewhere(what: str) -> MissingFeatureError:
    """The error for an engine whose processes cannot be seen from here."""
    return MissingFeatureError(
        f"{what} runs in another pid namespace or machine (its processes cannot be seen): {_HERE}",
        hint="run testbed beside the engine, not in a container that was given its socket, and "
        "not with an engine in a virtual machine (Docker Desktop)",
    )


@contextmanager
def explained(what: str, where: str | None = None) -> Iterator[None]:
    """Say in one sentence what the engine refused.

    Raises:
        LabError: it did.
    """
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except TestbedError:
        raise
    except APIError as error:
        reason = error.explanation or str(error)
        raise LabError(f"Docker could not {what}: {reason}", where=where) from error
    except (DockerException, RequestException, OSError) as error:
        raise LabError(
            f"Docker could not {what}: {error}",
            where=where,
            hint="does the engine still run? docker info",
        ) from error
