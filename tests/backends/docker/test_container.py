"""What a node that is a container is like, from within and from the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from testbed.backends.docker_keeper.container import CAPABILITIES
from testbed.errors import LabError
from testbed.events import ServiceReady
from testbed.lab import Lab
from testbed.model import Builder, Topology
from testbed.model.service import Ready, Service
from tests.backends.docker.conftest import pair, things_of
from tests.lab.conftest import unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


@pytest.fixture(scope="module")
def lab(plain: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two containers and a namespace on one segment."""
    build = Builder("mixed")
    build.host("alice", backend="docker", image=plain, files={"/etc/own/file": "text\n"})
    build.host("bob", backend="docker", image=plain)
    build.host("carol")
    build.link(
        "lan",
        "alice:eth0 192.0.2.1/24 2001:db8::1/64",
        "bob:eth0 192.0.2.2/24 2001:db8::2/64",
        "carol:eth0 192.0.2.3/24 2001:db8::3/64",
    )
    folder = tmp_path_factory.mktemp("mixed") / "run"
    with Lab.up(build.build(), name=unique("mixed"), run_folder=folder) as running:
        yield running


def test_containers_and_namespaces_reach_each_other(lab: Lab) -> None:
    for node in ("alice", "bob", "carol"):
        for number in (1, 2, 3):
            for address in (f"192.0.2.{number}", f"2001:db8::{number}"):
                lab.run(node, ["ping", "-c1", "-W5", address], check=True)


def test_it_has_the_files_that_a_namespace_node_has(lab: Lab) -> None:
    for path in ("/etc/hosts", "/etc/resolv.conf"):
        assert lab.get("alice", path) == lab.get("carol", path).replace("carol", "alice")
    assert lab.get("alice", "/etc/own/file") == "text\n"
    assert lab.run("alice", ["hostname"]).stdout == "alice\n"


def test_a_program_is_a_child_of_the_containers_first_process(
    lab: Lab, client: DockerClient
) -> None:
    (alice,) = [thing for thing in things_of(client, lab.name) if thing.node == "alice"]
    pid = client.api.inspect_container(alice.identity)["State"]["Pid"]
    with lab.start("alice", ["sleep", "60"]):
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert Path(f"/proc/{child}/comm").read_text() == "sleep\n"
        for what in ("cgroup", "ns/pid", "ns/net", "ns/mnt", "ns/ipc", "ns/uts"):
            ours, its = (Path(f"/proc/{number}/{what}") for number in (pid, child))
            if what == "cgroup":
                assert its.read_text() == ours.read_text()
                assert alice.identity in its.read_text()
            else:
                assert its.stat().st_ino == ours.stat().st_ino
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines()
        )
        assert status["Seccomp"] == "2", "Docker's filter applies"


def test_its_environment_is_the_nodes_with_the_images_own_programs(lab: Lab) -> None:
    lab.put("alice", "/opt/own/hello", "#!/bin/sh\necho hello\n")
    lab.run("alice", ["chmod", "755", "/opt/own/hello"], check=True)
    assert lab.run("alice", ["hello"]).stdout == "hello\n"
    alice, carol = (
        dict(line.partition("=")[::2] for line in lab.run(node, ["env"]).stdout.splitlines())
        for node in ("alice", "carol")
    )
    assert alice.pop("PATH") == f"{carol.pop('PATH')}:/opt/own"
    assert alice.pop("TESTBED_NODE") == "alice"
    assert carol.pop("TESTBED_NODE") == "carol"
    for both in (alice, carol):
        both.pop("_", None)
        both.pop("PWD", None)
    assert alice == carol


def test_a_program_that_is_not_in_the_image_is_one_error(lab: Lab, plain: str) -> None:
    with pytest.raises(LabError) as trouble:
        lab.run("alice", ["nginx"])
    assert str(trouble.value) == (
        "alice: cannot run 'nginx': No such file or directory\n"
        f"  hint: is 'nginx' in the container image {plain}?"
    )


def test_the_kernel_settings_are_those_of_a_new_namespace(lab: Lab) -> None:
    """But for what the lab itself sets, which a node that is a namespace has, too."""
    script = "cd /proc/sys/net && grep -r . . 2>/dev/null"
    alice, carol = (
        set(lab.run(node, ["sh", "-c", script]).stdout.splitlines()) for node in ("alice", "carol")
    )
    ours = {line for line in alice ^ carol if not any(word in line for word in _OWN)}
    assert ours == set()
    assert len(alice) > 300


_OWN = ("stable_secret", "random", "rt_cache", "tcp_fastopen_key", "conf/eth0/", "neigh/eth0/")
"""Random by nature, or of an interface that has its own address and number."""


def test_the_engine_confines_it(lab: Lab, client: DockerClient) -> None:
    for thing in things_of(client, lab.name):
        about = client.api.inspect_container(thing.identity)
        host = about["HostConfig"]
        assert host["Privileged"] is False
        assert host["NetworkMode"] == "none"
        assert host["CapDrop"] == ["ALL"]
        assert sorted(host["CapAdd"]) == sorted(CAPABILITIES)
        assert not host["Devices"]
        assert host["AutoRemove"] is True
        assert about["Config"]["User"] == "0:0"
        assert about["Config"]["Labels"]["testbed.run-folder"] == str(lab.run_folder)
    bounding = lab.run("alice", ["grep", "CapBnd", "/proc/self/status"]).stdout.split()[1]
    assert bin(int(bounding, 16)).count("1") == len(CAPABILITIES)
    assert lab.run("alice", ["mknod", "/tmp/device", "c", "1", "3"]).status != 0
    # Of the kernel's settings it may write those of its own network and no others.
    for key, status in (("net/ipv4/ip_default_ttl", 0), ("kernel/panic", 2), ("vm/swappiness", 2)):
        write = f"old=$(cat /proc/sys/{key}) && echo $old >/proc/sys/{key}"
        assert lab.run("alice", ["sh", "-c", write]).status == status, key
    mounts = [line.split() for line in lab.get("alice", "/proc/self/mountinfo").splitlines()]
    read_only = {words[4] for words in mounts if "ro" in words[5].split(",")}
    settings = {str(path) for path in Path("/proc/sys").iterdir()}
    assert settings - read_only == {"/proc/sys/net"}


def test_a_service_gets_its_capabilities_and_devices_and_no_other_node_does(
    up: Up, plain: str, client: DockerClient
) -> None:
    service = Service(
        "one",
        ("sh", "-c", "test -c /dev/net/tun && ip tuntap add tun0 mode tun && echo made; sleep 60"),
        capabilities=("SYS_PTRACE",),
        devices=("/dev/net/tun",),
    )
    if not Path("/dev/net/tun").exists():
        pytest.skip("this machine has no /dev/net/tun")
    lab = up(pair(plain, services=[service]))
    lab.run("alice", ["sh", "-c", "until ip link show tun0; do sleep 0.05; done"], check=True)
    capabilities = {
        thing.node: set(client.api.inspect_container(thing.identity)["HostConfig"]["CapAdd"])
        for thing in things_of(client, lab.name)
    }
    assert capabilities == {"alice": {*CAPABILITIES, "SYS_PTRACE"}, "bob": set(CAPABILITIES)}
    assert lab.run("bob", ["test", "-e", "/dev/net/tun"]).status != 0


def test_the_service_folder_is_shared_and_nothing_else_of_the_host(up: Up, plain: str) -> None:
    script = "cat {run}/input && echo out >{run}/output && exec sleep 60"
    service = Service("one", ("sh", "-c", script), files=(("input", "{run}\n"),))
    lab = up(pair(plain, services=[service]))
    folder = lab.run_folder / "services" / "alice" / "one"
    lab.run(
        "alice", ["sh", "-c", f"until test -s {folder}/output; do sleep 0.05; done"], check=True
    )
    assert (folder / "output").read_text() == "out\n"
    assert (lab.run_folder / "logs" / "alice-one.log").read_text() == f"{folder}\n"
    assert lab.run("alice", ["ls", str(lab.run_folder)]).stdout == "services\n"
    assert lab.run("bob", ["ls", str(lab.run_folder / "services")]).stdout == "bob\n"


def test_our_own_components_run_where_the_image_has_python(
    up: Up, with_python: str, plain: str
) -> None:
    lab = Builder("own")
    command = ("{python}", "-c", "import testbed, time; print(testbed.__file__); time.sleep(60)")
    lab.host("alice", backend="docker", image=with_python, services=[Service("one", command)])
    running = up(lab.build())
    log = running.run_folder / "logs" / "alice-one.log"
    wait_until(lambda: "testbed/__init__.py" in log.read_text(), "the component")
    wrong = Builder("wrong")
    wrong.host("alice", backend="docker", image=plain, services=[Service("one", command)])
    with pytest.raises(LabError) as trouble:
        up(wrong.build())
    assert plain in str(trouble.value)
    assert "testbed.python" in str(trouble.value)


def test_the_lab_itself_is_where_it_was(lab: Lab) -> None:
    """Making containers leaves the lab's first process in its own network."""
    names = lab.run("carol", ["ls", "/sys/class/net"]).stdout.split()
    assert names == ["eth0", "lo"]


def test_a_service_is_ready_when_the_images_health_check_says_so(up: Up, plain: str) -> None:
    script = "mkdir -p /run && sleep 0.3 && echo now && touch /run/healthy && exec sleep 60"
    service = Service("one", ("sh", "-c", script), ready=Ready("healthy"))
    lab = up(pair(plain, services=[service]))
    (ready,) = [e.event for e in lab.events() if isinstance(e.event, ServiceReady)]
    assert (ready.condition, (lab.run_folder / "logs" / "alice-one.log").read_text()) == (
        "healthy",
        "now\n",
    )


def test_an_image_without_a_health_check_cannot_be_waited_for(up: Up, with_python: str) -> None:
    service = Service("one", ("sleep", "60"), ready=Ready("healthy"))
    with pytest.raises(LabError, match="waits for a health check"):
        up(pair(with_python, services=[service]))


def test_a_file_with_a_secret_is_its_owners_alone(up: Up, plain: str) -> None:
    build = Builder("secret")
    service = Service("one", ("sleep", "60"), secrets=("hush-hush",))
    build.host(
        "alice",
        backend="docker",
        image=plain,
        files={"/etc/secret": "hush-hush\n", "/etc/plain": "loud\n"},
        services=[service],
    )
    lab = up(build.build())
    modes = lab.run("alice", ["stat", "-c", "%a", "/etc/secret", "/etc/plain", "/etc/hosts"])
    assert modes.stdout.split() == ["600", "644", "644"]
    assert lab.get("alice", "/etc/secret") == "hush-hush\n"


def test_a_file_that_cannot_be_laid_is_told_of(up: Up, plain: str) -> None:
    build = Builder("unlaid")
    build.host("alice", backend="docker", image=plain, files={"/etc/hosts/below": "x"})
    lab = up(build.build())
    with pytest.raises(LabError, match="cannot lay a file at /etc/hosts/below: File exists"):
        lab.run("alice", ["true"])
