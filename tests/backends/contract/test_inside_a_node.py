"""What a program in a node sees and does: commands, files, processes, sockets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError, ServiceError
from testbed.lab import Lab
from testbed.model import Builder, Topology
from tests.lab.conftest import two_hosts, unique

Up = Callable[[Topology], Lab]


def test_commands_give_status_output_and_input(up: Up) -> None:
    lab = up(two_hosts())
    result = lab.run("bob", ["sh", "-c", "cat; echo err >&2; exit 7"], input_text="hello")
    assert (result.status, result.stdout, result.stderr) == (7, "hello", "err\n")
    assert lab.run("bob", ["sh", "-c", "kill -9 $$"]).status == -signal.SIGKILL
    with pytest.raises(LabError, match="a command failed"):
        lab.run("bob", ["false"], check=True)
    with pytest.raises(ServiceError, match="cannot run 'no-such-program'"):
        lab.run("bob", ["no-such-program"])
    with pytest.raises(LabError, match="no node named 'carol'"):
        lab.run("carol", ["true"])
    with pytest.raises(LabError, match="did not end within"):
        lab.run("bob", ["sleep", "1000"], timeout=0.2)
    much = "x" * 1_000_000
    assert lab.run("bob", ["cat"], input_text=much).stdout == much
    assert lab.run("bob", ["true"], input_text=much).ok, "it need not read"
    with pytest.raises(LabError, match="did not end within"):
        lab.run("bob", ["sleep", "1000"], input_text=much, timeout=0.2)


def test_a_node_sees_its_own_files_name_and_interfaces(up: Up) -> None:
    builder = Builder("files")
    builder.host("box", files={"/etc/resolv.conf": "nameserver 192.0.2.53\n", "/run/x/y": "deep"})
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:uplink 192.0.2.2/24")
    lab = up(builder.build())
    assert lab.run("box", ["cat", "/etc/resolv.conf"]).stdout == "nameserver 192.0.2.53\n"
    assert lab.run("box", ["cat", "/run/x/y"]).stdout == "deep"
    assert lab.run("box", ["hostname"]).stdout == "box\n"
    assert lab.run("other", ["ls", "/sys/class/net"]).stdout.split() == ["lo", "uplink"]


def test_files_are_put_and_got_in_the_nodes_view(up: Up) -> None:
    lab = up(two_hosts())
    lab.put("alice", "/etc/testbed-example/deep/file", "text\n")
    assert lab.get("alice", "/etc/testbed-example/deep/file") == "text\n"
    assert not Path("/etc/testbed-example").exists()
    with pytest.raises(LabError, match="No such file"):
        lab.get("bob", "/etc/testbed-example/deep/file")


def test_what_a_node_writes_does_not_reach_the_host(up: Up) -> None:
    lab = up(two_hosts())
    mark = unique("written-in-a-node")
    for folder in ("/etc", "/var", "/tmp", "/srv", "/run"):
        assert lab.run("alice", ["sh", "-c", f"echo x > {folder}/{mark}"]).ok, folder
        assert lab.run("alice", ["cat", f"{folder}/{mark}"]).stdout == "x\n"
        assert not (Path(folder) / mark).exists(), folder
        assert not lab.run("bob", ["cat", f"{folder}/{mark}"]).ok


def test_processes_of_the_host_are_out_of_sight(up: Up) -> None:
    lab = up(two_hosts())
    pids = {int(word) for word in lab.run("alice", ["ps", "-e", "-o", "pid="]).stdout.split()}
    assert 1 in pids
    assert len(pids) < 10
    assert lab.run("alice", ["sh", "-c", f"kill -0 {os.getpid()}"]).status != 0


def test_a_socket_of_a_node_works_in_this_process(up: Up) -> None:
    lab = up(two_hosts())
    with lab.socket("bob") as receiver, lab.socket("alice") as sender:
        receiver.bind(("192.0.2.2", 5000))
        receiver.settimeout(5)
        sender.sendto(b"hello", ("192.0.2.2", 5000))
        data, (address, _) = receiver.recvfrom(100)
    assert (data, address) == (b"hello", "192.0.2.1")
