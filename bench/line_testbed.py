"""The line as a lab of ours: ``Lab.up`` from a built topology to its return, and ``down``.

python -m bench.line_testbed 200                       prints one line of JSON
python -m bench.line_testbed 50 --backend docker       the same, of containers
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench.containers import processes_of
from bench.contender import Report, descendants
from bench.line import LEFT, RIGHT, Line, Stage, left_address, name, right_address
from testbed.lab import Lab
from testbed.model import Builder, Topology
from testbed.model.topology import BACKENDS, DOCKER, NETNS

# All namespaces of a machine share one neighbour table of (by default) 1024 entries, where a cable
# takes two and an entry in use is not given up for a new one: other labs would suffer, too.
_CROWD = 250


def topology_of(line: Line, image: str | None = None) -> Topology:
    """The line as a topology; ``image`` is that of its containers, where it is made of them."""
    builder = Builder(f"line{line.nodes}")
    for node in range(line.nodes):
        routes = [f"{prefix} via {via}" for prefix, via in line.routes(node)]
        builder.router(name(node), routes=routes, sysctls=line.settings(node), image=image)
    for cable in line.cables:
        builder.link(
            f"c{cable}",
            f"{name(cable)}:{RIGHT} {left_address(cable)}/30",
            f"{name(cable + 1)}:{LEFT} {right_address(cable)}/30",
        )
    return builder.build()


def _carries(lab: Lab, stage: Stage, *, release: bool) -> bool:
    """Ping over a stage; then, if asked, give its entries in the neighbour table back."""
    answered = lab.run(name(stage.start), ["ping", "-c1", "-W5", stage.target]).ok
    if release:
        for cable in range(stage.start, stage.end):
            lab.cut(f"c{cable}")
    return answered


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.line_testbed")
    parser.add_argument("nodes", type=int)
    parser.add_argument("--backend", choices=BACKENDS, default=NETNS)
    parser.add_argument("--image", help="of the containers")
    parser.add_argument("--name", help="the lab's")
    options = parser.parse_args()
    line = Line(options.nodes)
    topology = topology_of(line, options.image)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lab_name = options.name or f"{topology.name}-{os.getpid()}"
        run_folder = Path(folder) / "run"
        begin = time.perf_counter()
        lab = Lab.up(topology, name=lab_name, run_folder=run_folder, backend=options.backend)
        up = time.perf_counter() - begin
        try:
            works = all(_carries(lab, stage, release=line.nodes > _CROWD) for stage in line.stages)
            processes = descendants(lab.pid)
            if options.backend == DOCKER:
                processes |= processes_of(lab_name)
        finally:
            begin = time.perf_counter()
            lab.down()
            down = time.perf_counter() - begin
    Report(up=up, down=down, works=works, processes=len(processes)).print()


if __name__ == "__main__":
    main()
