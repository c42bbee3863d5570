"""The line in Kathara, by its Python API: every node a container, every cable a Docker network.

Run it with a Python that has Kathara (:mod:`bench.kathara` sees to that).  What it made is found by
its lab's name, so that it can be ended after a run that was killed.

    python -m bench.line_kathara check                   ends with the reason if it cannot run here
    python -m bench.line_kathara check and-fetch         the same, and it may fetch its plugin
    python -m bench.line_kathara line NAME 50 IMAGE      prints one line of JSON
    python -m bench.line_kathara clear NAME              ends what is left of that lab
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from bench.contender import Report, container_processes, named
from bench.line import Line, Stage, left_address, name, right_address

_SWITCH = "vde_switch"
"""What Kathara's network plugin runs for each cable."""

_STARTED = "tmp/EOS"
"""A file that Kathara makes in a node when the node's start-up commands are done."""

_LOOK_EVERY = 0.01

_UNDER_WAY = 3.0
"""Seconds for what the engine was still making when the run was killed; it does not tell of it."""


def _lab(line: Line, lab_name: str, image: str) -> Any:
    lab = importlib.import_module("Kathara.model.Lab").Lab(lab_name)
    for node in range(line.nodes):
        settings = [f"{key}={value}" for key, value in line.settings(node).items()]
        lab.new_machine(name(node), image=image, sysctls=settings)
    # A node's interfaces are numbered as they are made: to the left, then to the right.
    addresses: list[list[str]] = [[] for _ in range(line.nodes)]
    for cable in line.cables:
        for node, address in (cable, left_address(cable)), (cable + 1, right_address(cable)):
            lab.connect_machine_to_link(name(node), f"c{cable}")
            addresses[node].append(address)
    for node in range(line.nodes):
        commands = [
            f"ip address add {address}/30 dev eth{number}"
            for number, address in enumerate(addresses[node])
        ]
        commands += [f"ip route add {prefix} via {via}" for prefix, via in line.routes(node)]
        lab.create_file_from_list(commands, f"{name(node)}.startup")
    return lab


def _manager() -> Any:
    """Kathara, without its terminals, updates and folders shared with the host."""
    settings = importlib.import_module("Kathara.setting.Setting").Setting.get_instance()
    settings.load_from_dict(
        {
            "open_terminals": False,
            "device_shell": "/bin/bash",
            "image_update_policy": "Never",
            "shared_mount": False,
            "hosthome_mount": False,
        }
    )
    return importlib.import_module("Kathara.manager.Kathara").Kathara.get_instance()


def _await_started(firsts: list[int]) -> None:
    """Until each node's first process sees that the node's start-up commands are done."""
    waiting = [Path(f"/proc/{pid}/root/{_STARTED}") for pid in firsts]
    while waiting:
        waiting = [path for path in waiting if not path.exists()]
        time.sleep(_LOOK_EVERY)


def _carries(manager: Any, lab: Any, stage: Stage) -> bool:
    command = ["ping", "-c1", "-W5", stage.target]
    _, _, status = manager.exec(name(stage.start), command, lab=lab, stream=False)
    return bool(status == 0)


def _run(line: Line, lab_name: str, image: str) -> Report:
    manager, lab = _manager(), _lab(line, lab_name, image)
    switches = named(_SWITCH)
    try:
        begin = time.perf_counter()
        manager.deploy_lab(lab)
        machines = manager.get_machines_api_objects(lab=lab)
        firsts = [int(machine.attrs["State"]["Pid"]) for machine in machines]
        _await_started(firsts)
        up = time.perf_counter() - begin
        processes = container_processes(firsts) | (named(_SWITCH) - switches)
        works = all(_carries(manager, lab, stage) for stage in line.stages)
    finally:
        begin = time.perf_counter()
        manager.undeploy_lab(lab=lab)
        down = time.perf_counter() - begin
    return Report(up=up, down=down, works=works, processes=len(processes))


def _why_not(*, fetch: bool) -> str | None:
    """Why it cannot run here; None: it can.  Unasked, nothing is fetched."""
    docker = importlib.import_module("docker")
    settings = importlib.import_module("Kathara.setting.Setting").Setting.get_instance()
    architecture = importlib.import_module("Kathara.utils").get_architecture()
    plugin = f"{settings.network_plugin}:{architecture}"
    no_plugin = f"its Docker plugin for networks, {plugin}, is not in this engine"
    client = docker.from_env()
    try:
        client.plugins.get(plugin)
    except docker.errors.NotFound:
        if not fetch:
            return f"{no_plugin}; `kathara check` fetches it"
    else:
        no_plugin = ""
    finally:
        client.close()
    try:
        _manager()
    except docker.errors.APIError as error:
        # The end of a chain of reasons; what is before it names the addresses that were asked.
        reason = (error.explanation or str(error)).rpartition(": ")[2].strip()
        return f"{no_plugin}, and cannot be fetched: {reason}" if no_plugin else reason
    return None


def main() -> None:
    """One run, or what belongs to it."""
    match sys.argv[1:]:
        case ["check", *words]:
            sys.exit(_why_not(fetch="and-fetch" in words))
        case ["line", lab_name, nodes, image]:
            _run(Line(int(nodes)), lab_name, image).print()
        case ["clear", lab_name]:
            _manager().undeploy_lab(lab_name=lab_name)
            time.sleep(_UNDER_WAY)
            _manager().undeploy_lab(lab_name=lab_name)
        case words:
            sys.exit(f"unknown: {words}")


if __name__ == "__main__":
    main()
