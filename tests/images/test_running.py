"""The images of this repository at work: healthy, with what they need and no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testbed.images.build import KEY_LABEL
from testbed.images.sources import image_names
from tests.images.conftest import PROJECT

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Find = Callable[[str], str]
Start = Callable[..., "Container"]

SERVICES = [name for name in image_names(PROJECT) if name != "testbed"]
_PATIENCE = 60.0

# What an image may not hold: keys that all its containers would share, and what apt left.
_LOOK = r"""
grep -rlIE -- '-----BEGIN ([A-Z]+ )?PRIVATE KEY-----' /etc /var /usr/local /opt /root /home /srv
find /var/lib/apt/lists /var/cache/apt -name '*_*' -o -name '*.deb' -o -name '*.bin'
find /var/log /tmp /var/tmp -type f
find /usr/share/man /usr/share/info -type f
true
"""


def _execute(container: Container, *words: str) -> tuple[int, str]:
    """Run a command in a container: its exit code, and what it said."""
    result: Any = container.exec_run(list(words))
    return result.exit_code, result.output.decode()


def _await_health(container: Container) -> None:
    """Until the image's own check passes; asked directly, as Docker asks but every few seconds."""
    end = time.monotonic() + _PATIENCE
    while True:
        container.reload()
        assert container.status == "running", container.logs().decode()
        code, said = _execute(container, "health")
        if code == 0:
            return
        assert time.monotonic() < end, f"{said}\n{container.logs().decode()}"
        time.sleep(0.1)


def _needs(engine: DockerClient, image: str) -> dict[str, Any]:
    """What the image's labels ask for; devices are for sessions, which this kernel may lack."""
    return {"cap_add": engine.images.get(image).labels["testbed.capabilities"].split()}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_becomes_healthy_with_the_capabilities_it_asks_for(
    engine: DockerClient, image: Find, container: Start, name: str
) -> None:
    service = container(image(name), **_needs(engine, image(name)))
    if name == "pppoe":  # it waits for its interface, and begins when that comes
        code, _ = service.exec_run(["health"])
        assert code != 0
        script = "ip link add eth0 type veth peer name eth1 && ip link set eth0 up"
        code, said = service.exec_run(["sh", "-c", script])
        assert code == 0, said
    _await_health(service)


def test_a_name_server_is_in_the_image_of_the_resolver_too(image: Find, container: Start) -> None:
    _await_health(container(image("dns"), command=["start", "nsd"]))


def test_a_service_that_does_not_serve_is_not_healthy(image: Find, container: Start) -> None:
    web = container(image("web"))
    _await_health(web)
    assert _execute(web, "sh", "-c", "rm -r /var/www/html")[0] == 0
    assert _execute(web, "health")[0] != 0


def test_a_router_is_not_healthy_before_its_daemons_are_up(image: Find, container: Start) -> None:
    router = container(image("router"), entrypoint="sleep", command=["infinity"])
    code, _ = _execute(router, "health")
    assert code != 0


@pytest.mark.parametrize("name", image_names(PROJECT))
def test_an_image_holds_no_key_and_nothing_of_its_making(
    engine: DockerClient, image: Find, name: str
) -> None:
    found = engine.containers.run(
        image(name), ["-c", _LOOK], entrypoint="sh", network_mode="none", remove=True
    )
    assert found.decode().splitlines() == []


@pytest.mark.parametrize("name", image_names(PROJECT))
def test_an_image_tells_its_key_and_its_health(
    engine: DockerClient, image: Find, name: str
) -> None:
    attributes = engine.images.get(image(name)).attrs
    assert attributes["Config"]["Healthcheck"]["Test"] == ["CMD", "health"]
    assert attributes["Config"]["Labels"]["testbed.image"] == name
    key = attributes["Config"]["Labels"][KEY_LABEL]
    tags = {tag.rpartition(":")[2].removesuffix("-newer") for tag in attributes["RepoTags"]}
    assert key in tags


def test_docker_itself_finds_the_base_healthy(image: Find, container: Start) -> None:
    base = container(image("base"))
    end = time.monotonic() + _PATIENCE
    while base.attrs["State"].get("Health", {}).get("Status") != "healthy":
        assert time.monotonic() < end, base.attrs["State"]
        time.sleep(0.2)
        base.reload()


def test_the_build_leaves_no_proxy_and_no_address_in_the_history(
    engine: DockerClient, image: Find
) -> None:
    for name in image_names(PROJECT):
        for step in engine.images.get(image(name)).history():
            assert "proxy" not in step["CreatedBy"].lower()
            assert "://" not in step["CreatedBy"]


def test_a_whole_topology_runs_in_one_container(image: Find, container: Start) -> None:
    """The README's line for machines without Python: two capabilities beyond Docker's own."""
    run = container(image("testbed"), command=["test", "pair"], cap_add=["SYS_ADMIN", "NET_ADMIN"])
    status = run.wait(timeout=120)
    said = run.logs().decode()
    assert status["StatusCode"] == 0, said
    assert "passed  pair/web: the page comes" in said
    assert said.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"


def test_a_lab_is_used_from_outside_its_container(image: Find, container: Start) -> None:
    harness = container(
        image("testbed"),
        entrypoint="sleep",
        command=["infinity"],
        cap_add=["SYS_ADMIN", "NET_ADMIN"],
    )

    def testbed(*words: str) -> str:
        code, said = _execute(harness, "testbed", *words)
        assert code == 0, said
        return said

    assert "pair is up" in testbed("up", "pair")
    page = testbed("exec", "pair", "client", "--", "curl", "-sS", "http://198.51.100.80/")
    assert "Directory listing" in page
    testbed("down", "pair")


def test_without_the_capabilities_nothing_runs_and_the_reason_is_told(
    image: Find, container: Start
) -> None:
    run = container(image("testbed"), command=["up", "pair"])
    assert run.wait(timeout=60)["StatusCode"] == 1
    said = run.logs().decode()
    assert said.startswith("error:")
    assert "Traceback" not in said
