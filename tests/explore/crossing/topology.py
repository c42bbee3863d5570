"""Two strongSwan ends that renew their CHILD_SA at the same time: the same race, without the flaw.

Both have the same lifetime and nothing spreads it, so their CREATE_CHILD_SA requests cross whenever
the wire is slower than the difference of their clocks.  RFC 7296 section 2.8.1 says how that ends.
"""

from __future__ import annotations

from dataclasses import replace

from testbed.explore.ranges import Ranges
from testbed.model import Builder, Topology
from testbed.peers.ike import Child, IkePeer, Lifetime, Tunnel
from testbed.peers.strongswan.service import strongswan

KEY = "left and right share this in the lab only"
KEY_FILE = "/etc/testbed/ike.psk"
NODES = {"left": ("192.0.2.1", "10.1.0.1"), "right": ("192.0.2.2", "10.2.0.1")}
REKEY_S, LIFE_S = 100, 150

EXPLORE = Ranges(delay="200ms", start="2s")


def _end(name: str, other: str) -> IkePeer:
    (outside, _), (peer, inside) = NODES[name], NODES[other]
    child = Child(
        "net",
        ("aes128gcm16",),
        Lifetime(REKEY_S, LIFE_S),
        initiate=name == "left",
        stay=name == "left",
    )
    return IkePeer(
        name=name,
        peer_node=other,
        local_address=outside,
        remote_address=peer,
        local_id=outside,
        remote_id=peer,
        psk_file=KEY_FILE,
        proposals=("aes128-sha256-modp2048",),
        lifetime=Lifetime(0, 0),
        children=(child,),
        tunnel=Tunnel("ipsec0", "eth0", 1, (f"{inside}/32",)),
    )


def topology() -> Topology:
    """A wire, and a tunnel over it."""
    lab = Builder("crossing", "Two strongSwan ends rekey at the same time")
    services = {"right": strongswan(_end("right", "left"), KEY)}
    services["left"] = replace(strongswan(_end("left", "right"), KEY), after=("right/ike",))
    for name in NODES:
        lab.host(name, services=[services[name]], files={KEY_FILE: f"{KEY}\n"})
    ends = [f"{name}:eth0 {outside}/24" for name, (outside, _) in NODES.items()]
    lab.link("wire", *ends)
    for name, (_, inside) in NODES.items():
        lab.host(f"{name}-net")
        lab.link(f"{name}-lan", f"{name}:lan {inside}/24", f"{name}-net:eth0 {inside}00/24")
    return lab.build()
