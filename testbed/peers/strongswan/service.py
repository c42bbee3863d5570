"""charon as a service of a node."""

from __future__ import annotations

from testbed.model.service import Ready, Service
from testbed.peers.ike import IkePeer

NEEDS = ("esp", "xfrm_interface")


def strongswan(peer: IkePeer, key: str) -> Service:
    """The service that plays ``peer``; ready once charon knows its connection.

    ``key`` must lie in the node's own file ``peer.psk_file``; here it only makes sure that it is
    never shown.  The end that initiates starts to do so when it is ready.
    """
    return Service(
        name="ike",
        command=("{python}", "-m", "testbed.peers.strongswan", "{run}/peer.json"),
        files=(("peer.json", peer.to_json()),),
        ready=Ready("notify", timeout=20.0),
        secrets=(key,),
        needs=NEEDS,
    )
