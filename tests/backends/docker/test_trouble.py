"""What cannot work is one clear error, before anything was made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import DockerClient

from testbed.backends.docker_keeper.container import AGENT
from testbed.errors import LabError, MissingFeatureError
from testbed.lab import Lab
from testbed.model import Builder, Topology
from testbed.model.service import Service
from tests.backends.docker.conftest import pair, things_of
from tests.backends.docker.image import import_image
from tests.lab.conftest import unique

Up = Callable[[Topology], Lab]


def _refused(topology: Topology, folder: Path) -> str:
    """The error; nothing of the lab may be there."""
    name = unique(topology.name)
    with pytest.raises((LabError, MissingFeatureError)) as trouble:
        Lab.up(topology, name=name, run_folder=folder)
    return str(trouble.value)


def test_an_image_that_is_not_there(client: DockerClient, tmp_path: Path) -> None:
    ours = _refused(pair("testbed/no-such-image"), tmp_path)
    assert ours == (
        "node alice: there is no container image testbed/no-such-image\n"
        "  hint: get it: docker pull testbed/no-such-image"
    )
    theirs = _refused(pair("no-such-image"), tmp_path)
    assert theirs == (
        "node alice: there is no container image testbed/no-such-image:latest\n"
        "  hint: build ours: make images"
    )
    assert "docker" not in (tmp_path / "events.jsonl").read_text()


def test_everything_that_is_not_there_is_told_at_once(client: DockerClient, tmp_path: Path) -> None:
    lab = Builder("lacking")
    lab.host("a", backend="docker", image="none-such")
    lab.host("b", backend="docker", image="example/router:9")
    lab.host("c", backend="docker", image="example/router:9")
    assert _refused(lab.build(), tmp_path) == (
        "2 things are missing here:\n"
        "  node a: there is no container image testbed/none-such:latest\n"
        "  node b: there is no container image example/router:9\n"
        "  hint: build ours: make images; get it: docker pull example/router:9"
    )


def test_a_device_that_is_not_there(plain: str, tmp_path: Path) -> None:
    for path in ("/dev/no-such-device", "/dev/fd"):
        service = Service("one", ("true",), devices=(path,))
        text = _refused(pair(plain, services=[service]), tmp_path)
        assert text.startswith(f"node alice: there is no device {path} on this machine")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:///nowhere/docker.sock", "does not answer: No such file or directory"),
        ("tcp://192.0.2.1:2375", "must run on this machine"),
        ("ssh://user@192.0.2.1", "must run on this machine"),
    ],
)
def test_an_engine_that_cannot_be_used(
    address: str, words: str, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    text = _refused(pair(plain), tmp_path)
    assert text.startswith(f"the Docker engine at {address}")
    assert words in text


@contextmanager
def _something_else(path: Path) -> Iterator[None]:
    """A server that takes connections and says nothing that an engine would."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            try:
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(100)
                        connection.sendall(b"220 mail\r\n")
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_something_that_is_no_engine(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with _something_else(path):
        text = _refused(pair(plain), tmp_path)
    assert "does not answer" in text


_IN_OTHER_PROCESSES = """
import sys
from testbed.backends.docker import why_no_docker
print(why_no_docker())
"""


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        (["unshare", "--pid", "--fork", "--mount-proc"], "another pid namespace"),
        (["unshare", "--user", "--map-root-user"], "root of a user namespace"),
        (["setpriv", "--reuid=54321", "--clear-groups"], "need root"),
    ],
    ids=["other processes", "user namespace", "ordinary user"],
)
def test_from_where_containers_cannot_be_entered(
    client: DockerClient, prefix: list[str], words: str, tmp_path: Path
) -> None:
    script = tmp_path / "why.py"
    script.write_text(_IN_OTHER_PROCESSES)
    tmp_path.chmod(0o755)
    root = str(Path(__file__).parents[3])
    if prefix[0] == "setpriv":  # this checkout may lie where others cannot read
        bind = f"mount --bind {root} /mnt && cd /mnt && PYTHONPATH=/mnt exec "
        python = sys.executable.replace(root, "/mnt", 1)
        code = _IN_OTHER_PROCESSES.replace("\n", ";").strip(";")
        inner = " ".join([*prefix, python, "-B", "-c", f"'{code}'"])
        command = ["unshare", "--mount", "sh", "-c", bind + inner]
    else:
        command = [*prefix, sys.executable, str(script)]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root}
    )
    assert words in answer.stdout, answer.stderr


def test_one_bad_container_and_none_of_the_good_ones_stay(
    client: DockerClient, plain: str, tmp_path: Path
) -> None:
    """What the engine refuses only when it starts the container."""
    bad = import_image(client, "bad", folders=[AGENT])  # where our first process should be put
    lab = Builder("halfway")
    for number in range(4):
        lab.host(f"good{number}", backend="docker", image=plain)
    lab.host("bad", backend="docker", image=bad)
    name = unique("halfway")
    try:
        with pytest.raises(LabError, match="node bad: Docker could not"):
            Lab.up(lab.build(), name=name, run_folder=tmp_path)
        assert things_of(client, name) == []
    finally:
        client.images.remove(bad, force=True)


def test_a_service_that_fails_takes_the_containers_along(
    client: DockerClient, plain: str, tmp_path: Path
) -> None:
    name = unique("failing")
    topology = pair(plain, services=[Service("one", ("no-such-daemon",))])
    with pytest.raises(LabError, match="cannot run 'no-such-daemon'"):
        Lab.up(topology, name=name, run_folder=tmp_path)
    assert things_of(client, name) == []


def test_a_container_that_somebody_removes_is_told_of(
    up: Up, plain: str, client: DockerClient
) -> None:
    lab = up(pair(plain))
    command = lab.start("alice", ["sleep", "60"])
    (alice,) = [thing for thing in things_of(client, lab.name) if thing.node == "alice"]
    client.api.remove_container(alice.identity, force=True, v=True)
    assert command.wait(20).status == -9
    lab.wait_for(
        lambda events: any("the container of alice has ended" in str(e.event) for e in events),
        "word of it",
    )
    with pytest.raises(LabError, match="its container has ended"):
        lab.run("alice", ["true"])
    assert lab.run("bob", ["true"]).status == 0


def test_a_container_that_is_paused_is_told_of(
    up: Up, plain: str, client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testbed.backends import docker_place

    monkeypatch.setattr(docker_place, "_LONGEST_ANSWER", 1.0)
    lab = up(pair(plain))
    (alice,) = [thing for thing in things_of(client, lab.name) if thing.node == "alice"]
    try:
        client.api.pause(alice.identity)
        with pytest.raises(LabError, match="its container does not answer"):
            lab.run("alice", ["true"])
    finally:
        client.api.unpause(alice.identity)
    assert lab.run("alice", ["true"]).status == 0
