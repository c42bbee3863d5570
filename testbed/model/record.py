"""The topology of a lab as its run folder keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from testbed.model.files import dump_json, load_topology
from testbed.model.mininet import with_contents_of
from testbed.model.topology import Topology

FILE = "topology.json"


def record_text(topology: Topology) -> str:
    """Its JSON, with no secret of a service in it."""
    text = dump_json(topology)
    for node in topology.nodes:
        for service in node.services:
            for secret in service.secrets:
                for form in (json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
                    text = text.replace(form[1:-1], "[secret]")
    return text


def as_built(folder: Path, wanted: Topology) -> Topology:
    """The topology of a lab that is up: what was wanted or, where Mininet built it, what it built.

    Raises:
        TestbedError: the lab's record cannot be read.
    """
    if wanted.mininet is None:
        return wanted
    return with_contents_of(load_topology(folder / FILE), wanted)
