"""Many tunnels side by side, each between an RTX-like and an Azure-like end with lifetimes of
their own: a virtual day of all of them costs no more than a day of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testbed.model import Builder, Topology
from testbed.peers.ike import IkePeer, MakeService
from testbed.peers.strongswan.service import strongswan
from topologies.azure_rekey.ends import PSK, PSK_FILE, Lifetimes, azure, rtx

Pair = tuple[Lifetimes, Lifetimes]
"""An RTX's lifetimes and an Azure gateway's."""


def grid_ends(number: int, pair: Pair) -> tuple[IkePeer, IkePeer]:
    """The ends of the tunnel of that number, ``rtx-NUMBER`` and ``azure-NUMBER``."""
    ours, theirs = f"198.18.{number}.2", f"198.18.{number}.1"
    return (
        replace(
            rtx(pair[0]),
            peer_node=f"azure-{number}",
            local_address=ours,
            local_id=ours,
            remote_address=theirs,
            remote_id=theirs,
        ),
        replace(
            azure(pair[1]),
            peer_node=f"rtx-{number}",
            local_address=theirs,
            local_id=theirs,
            remote_id=ours,
            dpd_s=0,  # nobody dies here, and asking for signs of life takes most of the time
        ),
    )


def grid_topology(pairs: Sequence[Pair], daemon: MakeService = strongswan) -> Topology:
    """A cable for each pair, an end of its tunnel at each end of the cable."""
    lab = Builder("azure-rekey-grid", "The shorter of the two ends decides")
    key = {PSK_FILE: f"{PSK}\n"}
    for number, pair in enumerate(pairs):
        rtx_end, azure_end = grid_ends(number, pair)
        gateway = daemon(azure_end, PSK)
        branch = replace(daemon(rtx_end, PSK), after=(f"azure-{number}/{gateway.name}",))
        lab.router(f"rtx-{number}", note=f"RTX, {pair[0]}", services=[branch], files=key)
        lab.router(f"azure-{number}", note=f"Azure, {pair[1]}", services=[gateway], files=key)
        lab.link(
            f"cable-{number}",
            f"rtx-{number}:wan 198.18.{number}.2/30",
            f"azure-{number}:wan 198.18.{number}.1/30",
        )
    return lab.build()
