"""Somebody's Mininet topology under a guest kernel, with virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.guest.errors import GuestKernelError
from testbed.guest.interactive.bring_up import up_in_guest
from testbed.guest.kernel_build import find_kernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.mininet import mininet_topology
from tests.backends.mininet.conftest import FILES, say
from tests.lab.conftest import unique


@pytest.mark.usefixtures("mininet")
def test_delays_of_tclinks_are_exact(tmp_path: Path) -> None:
    try:
        kernel = find_kernel()
    except GuestKernelError as error:
        pytest.skip(f"no guest kernel: {error.what}")
    if kernel is None:
        pytest.skip("the guest kernel is not built: testbed kernel build")
    topology = mininet_topology(f"{FILES / 'campus.py'}:Shaped,delay=15ms", name="shaped")
    machine = Machine(clock=VirtualClock(), seed=1)
    name, folder = unique("shaped"), tmp_path / "run"
    with up_in_guest(topology, machine, name=name, run_folder=folder) as lab:
        assert {node.name for node in lab.topology.nodes} == {"h1", "h2", "s1"}
        lab.run("h1", ["ping", "-c1", "10.0.0.2"], check=True)  # addresses are learnt now
        times = lab.run("h1", ["ping", "-c5", "10.0.0.2"], check=True).stdout
        assert times.count("time=60.0 ms") == 5  # two links each way
        assert say(lab, "h2 ping -c2 h1").count("time=60.0 ms") == 2
