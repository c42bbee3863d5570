"""What the running kernel, and this user on it, can do for a lab.

Every feature is found out by using it once, in a forked child that has network and mount namespaces
(and, for an ordinary user, a user namespace) of its own, which end with it.  Nothing of the host is
touched, with one exception worth knowing: using a feature can make the kernel load the module that
holds it, as the same use by ``ip`` or ``tc`` would.  So where a module can be seen to be there and
not loaded, it is taken at its word instead of being tried, and its state says so; a module is
loaded by surprise only where ``/lib/modules`` cannot be seen, as in some containers.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass

from testbed.errors import KernelError, TestbedError
from testbed.kernel import libc, links, namespaces
from testbed.kernel.probing import bpf, devices, ipsec, netfilter, queues
from testbed.kernel.probing import links as link_types
from testbed.kernel.probing.context import VETH, Context, Method
from testbed.kernel.probing.modules import Modules
from testbed.kernel.rtnl import RouteSocket

_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Feature:
    """Something a kernel may or may not have.

    ``name`` is the stable word for it, ``purpose`` what a lab does with it, ``provider`` what would
    bring it, ``method`` how it is found out, ``modules`` the kernel modules that hold it when it
    is not built in.
    """

    name: str
    purpose: str
    provider: str
    method: Method
    modules: tuple[str, ...] = ()

    @property
    def how(self) -> str:
        """How it is found out, in words."""
        return (self.method.__doc__ or "Make one.").strip().splitlines()[0]


@dataclass(frozen=True, slots=True)
class FeatureState:
    """Whether a feature is there; ``detail`` says what of it, or why not."""

    present: bool
    detail: str


def _config(option: str, *modules: str) -> str:
    names = f" (module {', '.join(modules)})" if modules else ""
    return f"a kernel with {option}{names}"


def _feature(name: str, purpose: str, option: str, method: Method, *modules: str) -> Feature:
    return Feature(name, purpose, _config(option, *modules), method, modules)


FEATURES: tuple[Feature, ...] = (
    Feature(
        "namespaces",
        "every node and the lab itself",
        "root, CAP_SYS_ADMIN, or user namespaces",
        devices.network_namespaces,
    ),
    Feature(
        "userns",
        "labs of ordinary users",
        "a kernel with CONFIG_USER_NS that lets users have them "
        "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
        devices.user_namespaces,
    ),
    _feature(
        "overlayfs",
        "each node's own view of files",
        "CONFIG_OVERLAY_FS, since 5.11 also in user namespaces",
        devices.overlayfs,
        "overlay",
    ),
    _feature("veth", "links between nodes", "CONFIG_VETH", link_types.veth, "veth"),
    _feature(
        "bridge", "links with more than two ends", "CONFIG_BRIDGE", link_types.bridge, "bridge"
    ),
    Feature(
        "tun",
        "user-space tunnels and NAT: MAP-E, CGN, WireGuard and IPsec in user space",
        "a kernel with CONFIG_TUN (module tun), and /dev/net/tun that this user may open",
        devices.tun,
    ),
    Feature(
        "packet_socket",
        "captures",
        "a kernel with CONFIG_PACKET, and CAP_NET_RAW",
        devices.packet_socket,
    ),
    _feature("netem", "delay, loss, reordering", "CONFIG_NET_SCH_NETEM", queues.netem, "sch_netem"),
    _feature("tbf", "rate limits", "CONFIG_NET_SCH_TBF", queues.tbf, "sch_tbf"),
    _feature("htb", "shared rate limits", "CONFIG_NET_SCH_HTB", queues.htb, "sch_htb"),
    _feature(
        "clsact", "filters on interfaces", "CONFIG_NET_SCH_INGRESS", queues.clsact, "sch_ingress"
    ),
    _feature("ifb", "shaping what is received", "CONFIG_IFB", link_types.ifb, "ifb"),
    _feature("vlan", "VLANs", "CONFIG_VLAN_8021Q", link_types.vlan, "8021q"),
    _feature("dummy", "addresses without a link", "CONFIG_DUMMY", link_types.dummy, "dummy"),
    _feature("vrf", "several routing tables in a node", "CONFIG_NET_VRF", link_types.vrf, "vrf"),
    _feature("macvlan", "several hosts on a link", "CONFIG_MACVLAN", link_types.macvlan, "macvlan"),
    _feature("vxlan", "Ethernet over UDP", "CONFIG_VXLAN", link_types.vxlan, "vxlan"),
    _feature(
        "ip6_tunnel",
        "IPv4 in IPv6: MAP-E and DS-Lite in the kernel",
        "CONFIG_IPV6_TUNNEL",
        link_types.ip6_tunnel,
        "ip6_tunnel",
    ),
    _feature("sit", "IPv6 in IPv4: 6rd", "CONFIG_IPV6_SIT", link_types.sit, "sit"),
    _feature("ipip", "IPv4 in IPv4", "CONFIG_NET_IPIP", link_types.ipip, "ipip"),
    _feature("gre", "GRE tunnels", "CONFIG_NET_IPGRE", link_types.gre, "ip_gre"),
    _feature("l2tp", "L2TP in the kernel", "CONFIG_L2TP", devices.l2tp, "l2tp_netlink"),
    Feature(
        "ppp",
        "PPP: L2TP/IPsec and PPPoE access",
        "a kernel with CONFIG_PPP (module ppp_generic), and /dev/ppp that this user may open",
        devices.ppp,
    ),
    _feature("pppoe", "PPPoE access", "CONFIG_PPPOE", devices.pppoe, "pppoe"),
    _feature("xfrm", "IPsec policies in the kernel", "CONFIG_XFRM_USER", ipsec.xfrm, "xfrm_user"),
    _feature(
        "esp",
        "IPsec traffic in the kernel",
        "CONFIG_INET_ESP, CONFIG_INET6_ESP and the algorithms",
        ipsec.esp,
        "esp4",
        "esp6",
    ),
    _feature(
        "xfrm_interface",
        "route-based IPsec",
        "CONFIG_XFRM_INTERFACE",
        link_types.xfrm_interface,
        "xfrm_interface",
    ),
    _feature(
        "nf_tables", "firewalls of nodes", "CONFIG_NF_TABLES", netfilter.nf_tables, "nf_tables"
    ),
    _feature("nft_nat", "NAT by nftables", "CONFIG_NFT_NAT", netfilter.nft_nat, "nft_chain_nat"),
    _feature(
        "iptables_nat",
        "NAT by the old iptables",
        "CONFIG_IP_NF_NAT",
        netfilter.iptables_nat,
        "iptable_nat",
    ),
    _feature(
        "conntrack",
        "looking into the kernel's NAT",
        "CONFIG_NF_CT_NETLINK",
        netfilter.conntrack,
        "nf_conntrack_netlink",
    ),
    _feature(
        "wireguard", "WireGuard tunnels", "CONFIG_WIREGUARD", link_types.wireguard, "wireguard"
    ),
    _feature(
        "openvswitch", "Open vSwitch", "CONFIG_OPENVSWITCH", devices.openvswitch, "openvswitch"
    ),
    Feature(
        "ebpf",
        "the fast data planes",
        "a kernel with CONFIG_BPF_SYSCALL, and root (CAP_BPF, CAP_NET_ADMIN)",
        bpf.ebpf,
    ),
    _feature(
        "cls_bpf",
        "the fast data planes",
        "CONFIG_NET_CLS_BPF",
        bpf.cls_bpf,
        "cls_bpf",
        "sch_ingress",
    ),
    Feature("tcx", "the fast data planes", "Linux 6.6 or later, and root", bpf.tcx),
    Feature(
        "drop_reasons",
        "why the kernel dropped a packet",
        "Linux 5.17 or later with CONFIG_FTRACE, and root",
        devices.drop_reasons,
    ),
)


def probe() -> dict[str, FeatureState]:
    """The state of every feature of :data:`FEATURES`, by name; takes some tenths of a second.

    Raises:
        KernelError: the child that tries things died.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            signal.alarm(_LIMIT_S)
            with os.fdopen(writing, "w") as pipe:
                json.dump({name: [s.present, s.detail] for name, s in _probe_here().items()}, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise KernelError(
            f"finding out what this kernel can do ended with wait status {status}",
            hint="the kernel's log (dmesg) may say more",
        )
    return {
        name: FeatureState(present, detail)
        for name, (present, detail) in json.loads(answer).items()
    }


def _probe_here() -> dict[str, FeatureState]:
    """Leave for namespaces of our own and try everything there."""
    is_root = os.geteuid() == 0
    try:
        if not is_root:
            namespaces.become_root_of_user_namespace()
        libc.unshare(libc.CLONE_NEWNET | libc.CLONE_NEWNS)
        libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
        kernel = RouteSocket("the kernel's probe")
    except (TestbedError, OSError) as error:
        reason = error.what if isinstance(error, TestbedError) else str(error)
        absent = FeatureState(False, f"not tried, there are no namespaces: {reason}")
        return {feature.name: absent for feature in FEATURES}
    with kernel:
        context = Context(kernel, is_root)
        modules = Modules()
        if not modules.waiting(("veth",)):
            _make_veth(kernel)
        return {feature.name: _state(feature, context, modules) for feature in FEATURES}


def _make_veth(kernel: RouteSocket) -> None:
    """A link for others to sit on; without veth those fail by themselves."""
    ends = links.VethEnd("probe-a", VETH), links.VethEnd("probe-b", VETH + 1)
    try:
        kernel.run(links.veth(*ends, up=True), links.change(VETH + 1, up=True))
    except KernelError:
        return


def _state(feature: Feature, context: Context, modules: Modules) -> FeatureState:
    waiting = modules.waiting(feature.modules)
    if waiting:
        names = ", ".join(waiting)
        return FeatureState(True, f"not tried: module {names} is there, loaded on first use")
    try:
        return FeatureState(True, feature.method(context))
    except TestbedError as error:
        return FeatureState(False, error.what)
    except OSError as error:
        return FeatureState(False, error.strerror or str(error))
