"""However a lab of containers ends, nothing of it stays in the engine, and nothing runs."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from testbed.backends.docker_keeper import leftovers
from testbed.backends.docker_keeper.labels import KEEPER, Life, Stamp
from testbed.events import LabDown
from testbed.lab import Lab, read_events
from tests.backends.docker.conftest import pair, things_of
from tests.lab.conftest import exists, unique
from tests.waiting import wait_until

_OWNER = """
import sys, time
from pathlib import Path
from testbed.lab import Lab
from tests.backends.docker.conftest import pair
topology = pair(sys.argv[1])
with Lab.up(topology, name=sys.argv[2], run_folder=Path(sys.argv[3])) as lab:
    held = lab.start("alice", ["sh", "-c", "sleep 1000 & exec sleep 1000"])
    print(lab.pid, flush=True)
    sys.stdin.read()
"""


class Owner:
    """A process that brings a lab up and holds it."""

    def __init__(self, image: str, folder: Path) -> None:
        self.lab, self.folder = unique("victim"), folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, image, self.lab, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    def supervisor(self) -> int:
        """Its pid, once the lab is up."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self) -> None:
        """Kill what is left of it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def owner(plain: str, tmp_path: Path) -> Iterator[Owner]:
    """A lab of two containers that comes up."""
    started = Owner(plain, tmp_path / "run")
    yield started
    started.end()


def _keeper(client: DockerClient, lab: str) -> int:
    """The process that made a lab's containers."""
    (container, *_) = client.containers.list(all=True, filters={"label": f"testbed.lab={lab}"})
    stamp = Stamp.parse(container.labels[KEEPER])
    assert stamp is not None
    return stamp.pid


def _agents(client: DockerClient, lab: str) -> list[int]:
    return [
        client.api.inspect_container(thing.identity)["State"]["Pid"]
        for thing in things_of(client, lab)
    ]


_WHO = ("supervisor", "keeper", "owner")


@pytest.mark.parametrize(
    "killed",
    [
        *(chosen for count in (1, 2, 3) for chosen in itertools.combinations(_WHO, count)),
        ("guard", *_WHO),  # nobody is left but the containers' own first processes
    ],
    ids="+".join,
)
def test_kill_9_of_any_of_its_processes_leaves_nothing(
    owner: Owner, killed: tuple[str, ...], client: DockerClient
) -> None:
    supervisor = owner.supervisor()
    keeper = _keeper(client, owner.lab)
    (guard,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    pids = {
        "supervisor": supervisor,
        "keeper": keeper,
        "guard": int(guard),
        "owner": owner.process.pid,
    }
    agents = _agents(client, owner.lab)
    assert len(agents) == 2
    assert all(exists(pid) for pid in agents)
    for who in killed:
        os.kill(pids[who], signal.SIGKILL)
    wait_until(lambda: things_of(client, owner.lab) == [], "the containers to go", 30)
    owner.end()
    for pid in (*agents, *pids.values()):
        wait_until(lambda pid=pid: not exists(pid), "the processes to go")  # type: ignore[misc]


def test_a_lab_says_that_its_keeper_was_killed(
    plain: str, client: DockerClient, tmp_path: Path
) -> None:
    name = unique("keeperless")
    with Lab.up(pair(plain), name=name, run_folder=tmp_path) as lab:
        supervisor = lab.pid
        os.kill(_keeper(client, name), signal.SIGKILL)
        wait_until(lambda: not exists(supervisor), "the lab to end")
    (down,) = [
        e.event for e in read_events(tmp_path / "events.jsonl") if isinstance(e.event, LabDown)
    ]
    assert "keeper of its containers" in down.reason


@pytest.mark.parametrize("killed", ["keeper", "owner", "all"])
def test_kill_9_while_containers_are_made_leaves_nothing(
    owner: Owner, killed: str, client: DockerClient
) -> None:
    wait_until(lambda: things_of(client, owner.lab) != [], "the first container")
    keeper = _keeper(client, owner.lab)
    if killed in ("keeper", "all"):
        os.kill(keeper, signal.SIGKILL)
    if killed in ("owner", "all"):
        owner.process.kill()
    # Its guard may look once more before the engine is done.
    wait_until(lambda: not exists(keeper), "the keeper to end", 30)
    wait_until(lambda: things_of(client, owner.lab) == [], "the containers to go", 30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["at once", "made", "up"])
def test_an_interrupted_command_leaves_nothing(
    number: signal.Signals, moment: str, plain: str, client: DockerClient, tmp_path: Path
) -> None:
    name = unique("interrupted")
    source = tmp_path / "topology.py"
    source.write_text(
        f"from tests.backends.docker.conftest import pair\nTOPOLOGY = pair({plain!r})\n"
    )
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-m", "testbed", "up", str(source), "--name", name, "--foreground"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": root, "TESTBED_RUNS": str(tmp_path / "runs")},
    ) as process:
        assert process.stdout is not None
        try:
            if moment == "at once":
                wait_until((tmp_path / "runs").exists, "the command to begin")
            else:
                wait_until(lambda: things_of(client, name) != [], "the first container")
            if moment == "up":
                while "is up" not in process.stdout.readline():
                    assert process.poll() is None
            process.send_signal(number)
            text = process.stdout.read()
        finally:
            process.kill()
    assert process.returncode in (0, 130), text
    assert "Traceback" not in text
    wait_until(lambda: things_of(client, name) == [], "the containers to go", 30)


def test_down_returns_when_all_is_gone(plain: str, client: DockerClient, tmp_path: Path) -> None:
    networks = len(client.api.networks())
    volumes = {volume["Name"] for volume in client.api.volumes()["Volumes"] or ()}
    name = unique("orderly")
    with Lab.up(pair(plain), name=name, run_folder=tmp_path):
        assert [thing.life for thing in things_of(client, name)] == [Life.LIVING] * 2
        keeper = _keeper(client, name)
        new = {volume["Name"] for volume in client.api.volumes()["Volumes"] or ()} - volumes
        assert len(new) >= 2, "the image declares a volume, so Docker makes one for each"
        assert len(client.api.networks()) == networks
    assert things_of(client, name) == []
    assert not new & {volume["Name"] for volume in client.api.volumes()["Volumes"] or ()}
    wait_until(lambda: not exists(keeper), "the keeper to end")


def test_leftovers_are_only_those_of_dead_labs(
    plain: str, client: DockerClient, tmp_path: Path
) -> None:
    """One container of a dead lab among those of a living one, of others, and one not known."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    mine = Stamp.of_this_process()
    stamps = {
        "dead": Stamp(dead.pid, 1, mine.namespace, mine.boot),
        "recycled": Stamp(mine.pid, mine.start + 1, mine.namespace, mine.boot),
        "rebooted": Stamp(mine.pid, mine.start, mine.namespace, "another boot"),
        "living": mine,
        "elsewhere": Stamp(dead.pid, 1, mine.namespace + 1, mine.boot),
    }
    labels = {
        name: {KEEPER: str(stamp), "testbed.lab": "x", "testbed.lab.id": f"test-{name}"}
        for name, stamp in stamps.items()
    }
    labels["nonsense"] = {KEEPER: "?", "testbed.lab": "x", "testbed.lab.id": "test-nonsense"}
    labels["somebody's"] = {"com.example.lab": "y"}
    made = {
        name: client.containers.create(plain, labels=its, network_mode="none")
        for name, its in labels.items()
    }
    volumes = {
        name: client.volumes.create(f"testbed-test-{name.replace(chr(39), '')}", labels=its)
        for name, its in labels.items()
    }
    try:
        removed = leftovers.remove_dead(client)
        ours = {thing.lab_id for thing in removed if thing.lab_id.startswith("test-")}
        assert ours == {"test-dead", "test-recycled", "test-rebooted"}
        left = {one.id for one in client.containers.list(all=True)}
        kept = {"living", "elsewhere", "nonsense", "somebody's"}
        assert {name for name, one in made.items() if one.id in left} == kept
        there = {one.id for one in client.volumes.list()}
        assert {name for name, one in volumes.items() if one.id in there} == kept
    finally:
        for one in made.values():
            leftovers.remove(client, [_as_thing(leftovers.CONTAINER, str(one.id))])
        for volume in volumes.values():
            leftovers.remove(client, [_as_thing(leftovers.VOLUME, str(volume.id))])


def _as_thing(kind: str, identity: str) -> leftovers.Thing:
    return leftovers.Thing(kind, identity, identity, "", "", "", Life.UNKNOWN)


def test_gc_tells_what_it_does(plain: str, client: DockerClient) -> None:
    dead = Stamp(1 << 22, 1, Stamp.of_this_process().namespace, Stamp.of_this_process().boot)
    labels = {KEEPER: str(dead), "testbed.lab": "gone", "testbed.lab.id": "test-gc"}
    container = client.containers.create(plain, labels=labels, network_mode="none")

    def gc(*words: str) -> str:
        command = [sys.executable, "-m", "testbed", "gc", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        assert f"container  {container.name}" in gc("--dry-run")
        assert container.id in {one.id for one in client.containers.list(all=True)}
        removed = json.loads(gc("--json"))["removed"]
        assert [one["id"] for one in removed if one["lab"] == "gone"] == [container.id]
        assert container.id not in {one.id for one in client.containers.list(all=True)}
        assert "gone" not in gc()
    finally:
        leftovers.remove(client, [_as_thing(leftovers.CONTAINER, str(container.id))])
