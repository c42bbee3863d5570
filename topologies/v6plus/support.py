"""What the scenarios of v6plus share: port sets written out by hand, and a look at the wire."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed.lab import Lab

PSID = {"a": 71, "b": 178}

CE_ADDRESS = {
    "a": "240b:10:1234:4700:6a:4812:3400:4700",
    "b": "240b:10:1234:b200:6a:4812:3400:b200",
}
"""The CEs' MAP addresses in the draft-03 layout: 00, IPv4 106.72.18.52, PSID, 00."""


def ports_of(psid: int) -> set[int]:
    """The 240 ports of a PSID with v6plus' parameters, straight from RFC 7597 figure 2.

    Four offset bits (1-15), eight bits of PSID, four bits of free choice.
    """
    return {a << 12 | psid << 4 | m for a in range(1, 16) for m in range(16)}


def wire(capture: Path, display_filter: str, *fields: str) -> list[tuple[str, ...]]:
    """Packets of a capture as an independent judge, tshark, reads them: one tuple each."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line.split("\t")) for line in result.stdout.splitlines()]


def access_log(lab: Lab, server: str = "www") -> list[tuple[str, int]]:
    """Client address and source port of every request, as the web server wrote them down."""
    path = lab.run_folder / "services" / server / "nginx" / "access.log"
    pairs = (line.split()[:2] for line in path.read_text().splitlines())
    return [(address, int(port)) for address, port in pairs]
