"""The same little network with different machines in the middle, as topologies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from testbed.model import Builder, Ready, Service, Topology

DIRECT, PLAIN, NFT, MAPE = "no router", "two routers", "nftables NAT, router", "MAP-E CE, BR"

PC, SERVER = "pc", "server"
SERVER_ADDRESS = "203.0.113.80"
PC_ADDRESS = "192.168.1.11"
MAP_ADDRESS = "106.72.18.52"
NAT_ADDRESS = "198.51.100.1"

_PREFIX = "240b:10:1234:47"
_BR = "2404:9200:225:100::64"
_NAT = f"""\
table ip nat {{
    chain out {{
        type nat hook postrouting priority srcnat;
        oifname "wan" snat to {NAT_ADDRESS}
    }}
}}
"""

SEEN_AS = {DIRECT: PC_ADDRESS, PLAIN: PC_ADDRESS, NFT: NAT_ADDRESS, MAPE: MAP_ADDRESS}
"""The source address that the server sees."""


def topology(kind: str) -> Topology:
    """``pc - (edge - core) - server`` with what ``kind`` says in the middle."""
    lab = Builder("plane")
    if kind == DIRECT:
        lab.host(PC)
        lab.host(SERVER)
        pc, server = f"{PC_ADDRESS}/24 203.0.113.11/24", f"{SERVER_ADDRESS}/24 192.168.1.80/24"
        lab.link("cable", f"pc:eth0 {pc}", f"server:eth0 {server}")
        return lab.build()
    lab.host(PC, routes=["default via 192.168.1.1"])
    lab.host(SERVER, routes=["default via 203.0.113.1"])
    if kind == MAPE:
        _map_e(lab)
    else:
        lab.router(
            "edge",
            routes=["default via 198.51.100.2"],
            firewall=_NAT if kind == NFT else None,
        )
        lab.router("core", routes=["192.168.1.0/24 via 198.51.100.1"])
        lab.link("middle", f"edge:wan {NAT_ADDRESS}/30", "core:wan 198.51.100.2/30")
    lab.link("lan", f"pc:eth0 {PC_ADDRESS}/24", "edge:lan 192.168.1.1/24")
    lab.link("net", "core:net 203.0.113.1/24", f"server:eth0 {SERVER_ADDRESS}/24")
    return lab.build()


def _map_e(lab: Builder) -> None:
    edge = {
        "delegated_prefix": f"{_PREFIX}00::/56",
        "rules": "v6plus",
        "br": _BR,
        "lan_address": "192.168.1.1",
    }
    relay = {"address": _BR, "ipv4_address": "203.0.113.1", "rules": "v6plus"}
    lab.router("edge", routes=["default via 2001:db8::1"], services=[_service("ce", edge)])
    lab.router("core", routes=["240b:10::/32 via 2001:db8::2"], services=[_service("br", relay)])
    lab.link("middle", "edge:wan 2001:db8::2/64", "core:wan 2001:db8::1/64")


def _service(role: str, config: Mapping[str, Any]) -> Service:
    return Service(
        name=role,
        command=("{python}", "-m", "testbed.components.mape", role, "--config", "{run}/map.json"),
        files=(("map.json", json.dumps(config)),),
        ready=Ready("notify"),
        needs=("tun",),
    )
