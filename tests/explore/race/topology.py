"""Two peers that both renew the key between them, and two bystanders: a race is planted here.

Alice renews 60 seconds after her start and bob 61 seconds after his, and the wire takes 30 ms.  As
drawn, their requests never cross.  When one starts a second later than the other they do, and the
peers are naive about that (see ``peer.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

from testbed.explore.ranges import FaultRange, Ranges
from testbed.model import Builder, Impairment, Ready, Service, Topology

ONE_WAY_S = 0.03
AFTER_S = {"alice": 60, "bob": 61}

EXPLORE = Ranges(
    scheduling=0,
    delay="4ms",
    start="2s",
    faults=(FaultRange("cut", "garden", at=("1s", "50s"), lasts=("1s", "5s")),),
)


def topology() -> Topology:
    """A wire between alice and bob, and a garden where carol and dave know nothing of it."""
    lab = Builder("race", "Two peers renew one key")
    peer = str(Path(__file__).with_name("peer.py"))
    # With this in the environment where the topology is made, the peers know what to do.
    careful = ("--careful",) if os.environ.get("RACE_CAREFUL") else ()
    addresses = {"alice": "192.0.2.1", "bob": "192.0.2.2"}
    for name, other in (("alice", "bob"), ("bob", "alice")):
        words = ("{python}", peer, name, addresses[other], str(AFTER_S[name]), *careful)
        lab.host(name, services=[Service("peer", words, ready=Ready("udp", "4500"))])
    for name in ("carol", "dave"):
        lab.host(name, services=[Service("idle", ("sleep", "infinity"))])
    slow = Impairment(delay=ONE_WAY_S)
    lab.link("wire", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24", impairment=slow)
    lab.link("garden", "carol:eth0 198.51.100.1/24", "dave:eth0 198.51.100.2/24")
    return lab.build()
