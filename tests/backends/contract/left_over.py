"""What a lab could have left behind on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed.backends.registry import trouble


def host_network() -> tuple[str, ...]:
    """Interfaces, routes, rules, settings, firewall and mounts of the host."""
    commands = (
        ["ip", "-d", "link"],
        ["ip", "address"],
        ["ip", "route", "show", "table", "all"],
        ["ip", "rule"],
        ["nft", "list", "ruleset"],
    )
    texts = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in commands
    ]
    settings = sorted(Path("/proc/sys/net").glob("ipv[46]/conf/*/*"))
    return (*texts, *(f"{path} {_read(path)}" for path in settings), _read(Path("/proc/mounts")))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        return str(error)


def running(command_line: str) -> bool:
    """Does any process of the machine have this command line (with NUL behind each word)?"""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == command_line.encode():
                    return True
            except OSError:
                continue
    return False


def containers(lab: str) -> list[str]:
    """Names of the containers, running or not, that a lab has; none where there is no engine."""
    if trouble("docker") is not None:
        return []
    from testbed.images.engine import connect

    client = connect()
    try:
        # Without a second question on each, which may have gone by then.
        found = client.api.containers(all=True)
        return [str(one["Names"]) for one in found if lab in str(one["Labels"])]
    finally:
        client.close()
