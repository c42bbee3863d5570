"""Which Docker engine is used: the user's own, or the private one of ``setup/docker-engine.sh``.

An engine that ``DOCKER_HOST`` names is used whatever else there is; then those of the machine, of
the user's session, and the project's.  Nothing is ever started from here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.images.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

_PATIENCE = 10.0
"""Seconds for an engine to answer a ping (it may be busy building)."""

_REQUEST_PATIENCE = 300
"""Seconds for one request; a large import on a busy machine takes a minute."""

_HINT = (
    "start Docker, or name an engine in DOCKER_HOST, or as root let the project install and start "
    "a private one: setup/docker-engine.sh start"
)


def private_socket(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the engine of ``setup/docker-engine.sh`` listens."""
    return Path(environment.get("TESTBED_DOCKER_RUN") or "/run/testbed-docker") / "docker.sock"


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """The sockets at which an engine may listen on this machine, the first choice first."""
    yield Path("/var/run/docker.sock")
    if session := environment.get("XDG_RUNTIME_DIR"):
        yield Path(session) / "docker.sock"
    yield private_socket(environment)


def find_engine(environment: Mapping[str, str] = os.environ) -> str | None:
    """The address of the engine to use; None where none answers.

    ``DOCKER_HOST`` is taken at its word: whether that engine answers is not asked.
    """
    return _look(environment)[0]


def _look(environment: Mapping[str, str]) -> tuple[str | None, list[str]]:
    """The engine, and of each socket that was tried in vain the reason."""
    if named := environment.get("DOCKER_HOST"):
        return named, []
    refusals = []
    for path in candidates(environment):
        refusal = _ping(path)
        if refusal is None:
            return f"unix://{path}", []
        refusals.append(f"{path}: {refusal}")
    return None, refusals


def _ping(path: Path) -> str | None:
    """Why no engine answers at this socket; None: one does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return error.strerror or str(error)
    return None if b" 200 " in answer else "something else than a Docker engine answers"


def connect(environment: Mapping[str, str] = os.environ) -> DockerClient:
    """A connection to the engine that is to be used; the caller closes it.

    Raises:
        EngineError: there is none, it does not answer, or the Docker SDK is not installed.
    """
    address, refusals = _look(environment)
    if address is None:
        raise EngineError(f"no Docker engine answers ({'; '.join(refusals)})", hint=_HINT)
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise EngineError(
            "the Docker SDK for Python is not installed",
            hint="pip install 'testbed[docker]' (make does it)",
        ) from None
    try:
        if environment.get("DOCKER_HOST"):  # with its certificates, if it wants any
            client = docker.from_env(environment=dict(environment), timeout=_REQUEST_PATIENCE)
        else:
            client = docker.DockerClient(base_url=address, timeout=_REQUEST_PATIENCE)
        client.ping()
    except DockerException as error:
        raise EngineError(f"the Docker engine does not answer: {error}", where=address) from None
    return client


@contextmanager
def connected(environment: Mapping[str, str] = os.environ) -> Iterator[DockerClient]:
    """:func:`connect`, and the connection is closed at the end."""
    client = connect(environment)
    try:
        yield client
    finally:
        client.close()
