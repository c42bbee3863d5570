"""What Mininet built goes with its lab, however that ends, and the machine is as it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.mininet import mininet_topology
from tests.backends.contract.left_over import host_network, running
from tests.backends.mininet.conftest import FILES, say
from tests.lab.conftest import exists, unique
from tests.waiting import wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.usefixtures("mininet")]
_LIMITS = ("kernel/pty/max", "fs/file-max", "net/core/rmem_max", "net/core/wmem_max")


def _machine() -> tuple[object, ...]:
    """What Mininet is known to change or leave."""
    limits = [Path("/proc/sys", name).read_text() for name in _LIMITS]
    folders = [Path(name) for name in ("/sys/fs/cgroup", "/var/run/netns", "/run/openvswitch")]
    entries = [sorted(folder.glob("*")) if folder.exists() else None for folder in folders]
    logs = sorted(Path("/tmp").glob("[cs][0-9]*"))
    return (*host_network(), *limits, *entries, logs)


@pytest.mark.parametrize("killed", [False, True], ids=["down", "kill -9"])
def test_nothing_is_left(killed: bool, tmp_path: Path) -> None:
    before = _machine()
    controller = ["--controller", "ovsc"] if killed else []
    topology = mininet_topology(
        f"{FILES / 'campus.py'}:Campus", options=["--switch", "multi", *controller]
    )
    lab = Lab.up(topology, name=unique("ending"), run_folder=tmp_path / "run")
    mark = f"sleep\x00{920_000 + os.getpid()}\x00"
    words = mark.strip("\x00").replace("\x00", " ")
    say(lab, f"h1 {words} &", f"sh echo x > /tmp/c0; {words} &")
    assert running(mark)
    pid = lab.pid
    daemons = lab.run("s1", ["pgrep", "ovs|controller"], check=True).stdout.split()
    assert len(daemons) == (3 if killed else 2)  # database, switch, controller
    assert _machine() == before
    if killed:
        os.kill(pid, signal.SIGKILL)
    else:
        lab.down()
    wait_until(lambda: not exists(pid) and not running(mark), "all of it to end")
    assert _machine() == before
    if killed:
        lab.down()
