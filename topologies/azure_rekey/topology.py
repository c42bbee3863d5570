"""azure_rekey: a branch router behind its home's NAT, and an Azure-like IKEv2 gateway.

    branch office             home            internet             Azure (VNet 10.1.0.0/16)

    pc ------- rtx ============================================ azure ------- vm
    .100.10    192.168.100.1   home (NAPT)      inet            203.0.113.4   10.1.0.4
               192.168.1.2     198.51.100.2

The blog that began this (seed 004) watched for days when the SAs of such a tunnel were renewed and
deleted, for three pairs of lifetimes.  Each end of the tunnel is data (:mod:`.ends`); which daemon
plays it is an argument.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from testbed.model import Builder, Ready, Service, Topology
from testbed.peers.ike import IkePeer, MakeService
from testbed.peers.strongswan.service import strongswan
from topologies.azure_rekey.ends import (
    AZURE_2017,
    AZURE_ADDRESS,
    PSK,
    PSK_FILE,
    RTX_DEFAULT,
    RTX_LAN_ADDRESS,
    RTX_TUNNEL,
    RTX_WAN_ADDRESS,
    azure,
    rtx,
)

PC = "192.168.100.10"
VM = "10.1.0.4"
PORT = 7
MSS = 1350
"""``ip tunnel tcp mss limit 1350``: what Azure asks devices for."""

_MAPPING_S = 300
"""How long the home's NAT keeps an idle UDP mapping: the least that RFC 4787 REQ-5 recommends as a
default.  The RTX's keepalives are as far apart and would come too late; Azure's DPD and the traffic
keep the mapping."""

_NO_REDIRECTS = {"net.ipv4.conf.all.send_redirects": 0}

_CLAMP = f"""\
table ip tunnel {{
    chain forward {{
        type filter hook forward priority filter
        oifname "{RTX_TUNNEL}" tcp flags syn tcp option maxseg size set {MSS}
        iifname "{RTX_TUNNEL}" tcp flags syn tcp option maxseg size set {MSS}
    }}
}}
"""

_NAPT = """\
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "wan" masquerade
    }
}
"""


def _answering() -> Service:
    program = Path(__file__).with_name("trickle.py").read_text(encoding="utf-8")
    return Service(
        name="answering",
        command=("{python}", "{run}/trickle.py", "answer", str(PORT)),
        files=(("trickle.py", program),),
        ready=Ready("tcp", str(PORT)),
    )


def topology(
    rtx_end: IkePeer | None = None,
    azure_end: IkePeer | None = None,
    *,
    rtx_daemon: MakeService = strongswan,
    azure_daemon: MakeService = strongswan,
) -> Topology:
    """The tunnel between these ends (defaults on both sides if none), played by these daemons."""
    rtx_end, azure_end = rtx_end or rtx(RTX_DEFAULT), azure_end or azure(AZURE_2017)
    gateway = azure_daemon(azure_end, PSK)
    # The branch calls, and calls only once there is somebody to answer.
    branch = replace(rtx_daemon(rtx_end, PSK), after=(f"azure/{gateway.name}",))
    key = {PSK_FILE: f"{PSK}\n"}

    lab = Builder("azure-rekey", "SA rekey timing between a branch router and Azure")
    lab.host("pc", routes=[f"default via {RTX_LAN_ADDRESS}"])
    lab.router(
        "rtx",
        note="branch router in the manner of a YAMAHA RTX",
        routes=["default via 192.168.1.1"],
        services=[branch],
        files=key,
        firewall=_CLAMP,
        sysctls=_NO_REDIRECTS,
    )
    lab.router(
        "home",
        note="home router with NAPT",
        routes=["default via 198.51.100.1"],
        firewall=_NAPT,
        sysctls={
            "net.netfilter.nf_conntrack_udp_timeout": _MAPPING_S,
            "net.netfilter.nf_conntrack_udp_timeout_stream": _MAPPING_S,
        },
    )
    lab.router("inet", note="the internet")
    lab.router(
        "azure",
        note="VPN gateway in the manner of Azure, route-based",
        routes=["default via 203.0.113.1"],
        services=[gateway],
        files=key,
        sysctls=_NO_REDIRECTS,
    )
    lab.host("vm", routes=["default via 10.1.0.1"], services=[_answering()])

    lab.link("branch", f"rtx:lan {RTX_LAN_ADDRESS}/24", f"pc:eth0 {PC}/24")
    lab.link("lan", f"rtx:wan {RTX_WAN_ADDRESS}/24", "home:lan 192.168.1.1/24")
    lab.link("line", "home:wan 198.51.100.2/30", "inet:home 198.51.100.1/30")
    lab.link("cloud", "inet:azure 203.0.113.1/24", f"azure:wan {AZURE_ADDRESS}/24")
    lab.link("vnet", "azure:vnet 10.1.0.1/24", f"vm:eth0 {VM}/24")

    lab.group("Branch office", "pc", "rtx")
    lab.group("Home", "home")
    lab.group("Azure", "azure", "vm")
    return lab.build()
