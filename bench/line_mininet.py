"""The line in Mininet 2.3, as its own examples build routers.

Run it with the distribution's Python, which has the package, and in network, mount and process
namespaces of its own (``unshare``): Mininet works in the namespace it finds, and what it leaves
must die with it.  ``mn -c`` is never run: it ends processes by name.

    unshare --net --mount --pid --fork --kill-child --mount-proc \
        /usr/bin/python3 -m bench.line_mininet 200      prints one line of JSON
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
import time
from typing import Any

from bench.contender import Report, descendants
from bench.line import LEFT, RIGHT, Line, left_address, name, right_address


def _topology_of(line: Line) -> Any:
    topology = importlib.import_module("mininet.topo").Topo()
    for node in range(line.nodes):
        first = right_address(node - 1) if node else left_address(0)
        topology.addHost(name(node), ip=f"{first}/30")
    for cable in line.cables:
        topology.addLink(
            name(cable),
            name(cable + 1),
            intfName1=f"{name(cable)}-{RIGHT}",
            intfName2=f"{name(cable + 1)}-{LEFT}",
            params1={"ip": f"{left_address(cable)}/30"},
            params2={"ip": f"{right_address(cable)}/30"},
        )
    return topology


def _build(line: Line, topology: Any) -> Any:
    network = importlib.import_module("mininet.net").Mininet(topo=topology, controller=None)
    network.start()
    for node in range(line.nodes):
        settings = {"net.ipv4.ip_forward": 1} | line.settings(node)
        commands = [f"sysctl -qw {key}={value}" for key, value in settings.items()]
        commands += [f"ip route add {prefix} via {via}" for prefix, via in line.routes(node)]
        network[name(node)].cmd("; ".join(commands))  # one round trip to the node's shell
    return network


def main() -> None:
    """One run."""
    line = Line(int(sys.argv[1]))
    topology = _topology_of(line)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Its own raising of limits writes settings of the whole machine; a line does not need them.
    importlib.import_module("mininet.net").Mininet.inited = True
    begin = time.perf_counter()
    network = _build(line, topology)
    up = time.perf_counter() - begin
    try:
        works = all(
            ", 0% packet loss" in network[name(stage.start)].cmd(f"ping -c1 -W5 {stage.target}")
            for stage in line.stages
        )
        processes = len(descendants(os.getpid()))
    finally:
        begin = time.perf_counter()
        network.stop()
        down = time.perf_counter() - begin
    Report(up=up, down=down, works=works, processes=processes).print()


if __name__ == "__main__":
    main()
