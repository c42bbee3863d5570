"""What labs have in Docker: found by its labels, and removed when its lab lives no more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.backends.docker_keeper.engine import explained
from testbed.backends.docker_keeper.labels import KEEPER, LAB, LAB_ID, NODE, Life, Stamp
from testbed.errors import LabError

if TYPE_CHECKING:
    from docker import DockerClient

CONTAINER, NETWORK, VOLUME = "container", "network", "volume"
AT_ONCE = 8
"""Requests to the engine at a time."""

_LONGEST_REMOVAL = 60.0
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a lab made; ``life`` is whether that lab lives."""

    kind: str
    identity: str
    name: str
    lab: str
    lab_id: str
    node: str
    life: Life

    def to_json(self) -> dict[str, Any]:
        """As ``testbed gc --json`` prints it."""
        return {
            "kind": self.kind,
            "id": self.identity,
            "name": self.name,
            "lab": self.lab,
            "lab_id": self.lab_id,
            "node": self.node or None,
            "life": self.life.value,
        }


def find(client: DockerClient, lab_id: str | None = None) -> list[Thing]:
    """Everything with our labels, or that of one lab only.

    Raises:
        LabError: the engine does not answer.
    """
    chosen = LAB_ID if lab_id is None else f"{LAB_ID}={lab_id}"
    with explained("list what labs have"):
        return list(_find(client, {"label": [chosen]}))


def _find(client: DockerClient, filters: dict[str, Any]) -> Iterator[Thing]:
    for each in client.api.containers(all=True, filters=filters):
        name = (each.get("Names") or [each["Id"][:12]])[0].lstrip("/")
        yield _thing(CONTAINER, each["Id"], name, each["Labels"])
    for each in client.api.networks(filters=filters):
        yield _thing(NETWORK, each["Id"], each["Name"], each["Labels"])
    for each in client.api.volumes(filters=filters)["Volumes"] or ():
        yield _thing(VOLUME, each["Name"], each["Name"], each["Labels"])


def _thing(kind: str, identity: str, name: str, labels: dict[str, str]) -> Thing:
    stamp = Stamp.parse(labels.get(KEEPER, ""))
    return Thing(
        kind,
        identity,
        name,
        lab=labels.get(LAB, "?"),
        lab_id=labels[LAB_ID],
        node=labels.get(NODE, ""),
        life=Life.UNKNOWN if stamp is None else stamp.life,
    )


def remove(client: DockerClient, things: Sequence[Thing]) -> None:
    """Remove them, containers first, several at once; returns when they are gone.

    Raises:
        LabError: the engine could not remove one; the others were still tried.
    """
    containers = [thing for thing in things if thing.kind == CONTAINER]
    others = [thing for thing in things if thing.kind != CONTAINER]
    troubles: list[LabError] = []

    def attempt(thing: Thing) -> None:
        try:
            _remove(client, thing)
        except LabError as error:
            troubles.append(error)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(attempt, containers))
        list(pool.map(attempt, others))
    if troubles:
        raise troubles[0]


def _remove(client: DockerClient, thing: Thing) -> None:
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + _LONGEST_REMOVAL
    with explained(f"remove the {thing.kind} {thing.name}"):
        while True:
            try:
                match thing.kind:
                    case "container":
                        client.api.remove_container(thing.identity, v=True, force=True)
                    case "network":
                        client.api.remove_network(thing.identity)
                    case _:
                        client.api.remove_volume(thing.identity)
                return
            except NotFound:
                return
            except APIError as error:
                # It is being removed already, by its own end: gone when there is none any more.
                if error.status_code != 409 or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_EVERY)


def remove_dead(client: DockerClient) -> list[Thing]:
    """Remove what has no living lab; returns what that was.

    Raises:
        LabError: the engine could not.
    """
    dead = [thing for thing in find(client) if thing.life is Life.DEAD]
    remove(client, dead)
    return dead
