"""A container that is paused holds up nobody but itself, and its lab goes down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import DockerClient

from testbed.backends import docker_place
from testbed.errors import LabError
from testbed.lab import Lab
from testbed.model import Service, Topology
from tests.backends.docker.conftest import pair, things_of
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def _pause(client: DockerClient, lab: Lab, node: str) -> None:
    (found,) = [thing for thing in things_of(client, lab.name) if thing.node == node]
    client.api.pause(found.identity)


def test_the_others_are_not_held_up(
    up: Up, plain: str, client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_place, "_LONGEST_ANSWER", 5.0)
    lab = up(pair(plain))
    _pause(client, lab, "alice")
    refusals: list[LabError] = []

    def ask() -> None:
        with pytest.raises(LabError) as caught:
            lab.run("alice", ["true"])
        refusals.append(caught.value)

    asking = threading.Thread(target=ask)
    asking.start()
    answered = 0
    while asking.is_alive():
        assert lab.run("bob", ["true"]).ok
        answered += 1
    asking.join()
    assert answered > 5, "bob answers while alice is waited for"
    assert "does not answer" in refusals[0].what
    troubles = {node["name"]: node["trouble"] for node in lab.status()["nodes"]}
    assert "is it paused?" in str(troubles["alice"])
    assert troubles["bob"] is None


def test_the_lab_goes_down(up: Up, plain: str, client: DockerClient) -> None:
    lab = up(
        pair(plain, services=[Service("sleeper", ("sleep", "1000"), stop_timeout=0.5)]),
    )
    _pause(client, lab, "alice")
    lab.down()
    assert not things_of(client, lab.name)


def test_a_node_whose_container_has_ended_is_told_of(
    up: Up, plain: str, client: DockerClient, tmp_path: Path
) -> None:
    lab = up(pair(plain))
    (alice,) = [thing for thing in things_of(client, lab.name) if thing.node == "alice"]
    client.api.kill(alice.identity)

    def trouble() -> str:
        return str(next(node["trouble"] for node in lab.status()["nodes"]))

    wait_until(lambda: "its container has ended" in trouble(), "the status to tell")
