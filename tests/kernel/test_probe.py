"""What the kernel is found to have, judged by its own configuration, by ``ip`` and by ``tc``."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.errors import KernelError
from testbed.kernel import libc, probe
from testbed.kernel.probe import FEATURES, FeatureState
from testbed.kernel.probing import ipsec
from testbed.kernel.probing.context import Context
from testbed.kernel.probing.modules import Modules
from tests.kernel.in_netns import in_new_network

NAMES = [
    "namespaces",
    "userns",
    "overlayfs",
    "veth",
    "bridge",
    "tun",
    "packet_socket",
    "netem",
    "tbf",
    "htb",
    "clsact",
    "ifb",
    "vlan",
    "dummy",
    "vrf",
    "macvlan",
    "vxlan",
    "ip6_tunnel",
    "sit",
    "ipip",
    "gre",
    "l2tp",
    "ppp",
    "pppoe",
    "xfrm",
    "esp",
    "xfrm_interface",
    "nf_tables",
    "nft_nat",
    "iptables_nat",
    "conntrack",
    "wireguard",
    "openvswitch",
    "ebpf",
    "cls_bpf",
    "tcx",
    "drop_reasons",
]

CONFIG = Path("/proc/config.gz")


@pytest.fixture(scope="module")
def states() -> dict[str, FeatureState]:
    """One probing for all tests."""
    return probe.probe()


def test_the_names_are_those_that_topologies_use() -> None:
    assert [feature.name for feature in FEATURES] == NAMES


def test_every_feature_says_what_for_and_what_would_bring_it() -> None:
    for feature in FEATURES:
        assert feature.purpose
        assert feature.provider
        assert feature.how.endswith(".")


def test_every_feature_gets_a_state_and_a_missing_one_a_reason(
    states: dict[str, FeatureState],
) -> None:
    assert list(states) == NAMES
    for name, state in states.items():
        assert state.present or state.detail, name


# Features that are there exactly when these options are built in, for one who may use them.
OPTIONS = {
    "veth": ["CONFIG_VETH"],
    "bridge": ["CONFIG_BRIDGE"],
    "netem": ["CONFIG_NET_SCH_NETEM"],
    "tbf": ["CONFIG_NET_SCH_TBF"],
    "htb": ["CONFIG_NET_SCH_HTB"],
    "clsact": ["CONFIG_NET_SCH_INGRESS"],
    "ifb": ["CONFIG_IFB"],
    "vlan": ["CONFIG_VLAN_8021Q"],
    "dummy": ["CONFIG_DUMMY"],
    "vrf": ["CONFIG_NET_VRF"],
    "macvlan": ["CONFIG_MACVLAN"],
    "vxlan": ["CONFIG_VXLAN"],
    "ip6_tunnel": ["CONFIG_IPV6_TUNNEL"],
    "sit": ["CONFIG_IPV6_SIT"],
    "ipip": ["CONFIG_NET_IPIP"],
    "gre": ["CONFIG_NET_IPGRE"],
    "l2tp": ["CONFIG_L2TP"],
    "pppoe": ["CONFIG_PPPOE"],
    "xfrm": ["CONFIG_XFRM_USER"],
    "esp": ["CONFIG_INET_ESP", "CONFIG_INET6_ESP"],
    "xfrm_interface": ["CONFIG_XFRM_INTERFACE"],
    "nf_tables": ["CONFIG_NF_TABLES"],
    "nft_nat": ["CONFIG_NF_TABLES", "CONFIG_NFT_NAT"],
    "iptables_nat": ["CONFIG_IP_NF_NAT"],
    "conntrack": ["CONFIG_NF_CT_NETLINK"],
    "wireguard": ["CONFIG_WIREGUARD"],
    "openvswitch": ["CONFIG_OPENVSWITCH"],
}


@pytest.mark.needs_root
@pytest.mark.skipif(not CONFIG.exists(), reason="this kernel does not tell its configuration")
@pytest.mark.parametrize("name", OPTIONS)
def test_the_kernels_configuration_agrees(name: str, states: dict[str, FeatureState]) -> None:
    set_to = dict(
        line.split("=", 1)
        for line in gzip.decompress(CONFIG.read_bytes()).decode().splitlines()
        if line.startswith("CONFIG_")
    )
    values = [set_to.get(option, "n") for option in OPTIONS[name]]
    if "m" in values:
        pytest.skip("a module: whether it can be loaded is another question")
    assert states[name].present == all(value == "y" for value in values), states[name].detail


JUDGES = {
    "ifb": "ip link add x type ifb",
    "dummy": "ip link add x type dummy",
    "vlan": "ip link add low type veth && ip link add link low name x type vlan id 5",
    "macvlan": "ip link add low type veth && ip link add link low name x type macvlan",
    "vxlan": "ip link add x type vxlan id 5 dstport 4789",
    "wireguard": "ip link add x type wireguard",
    "sit": "ip link add x type sit remote 192.0.2.1",
    "ip6_tunnel": "ip link add x type ip6tnl remote 2001:db8::1",
    "gre": "ip link add x type gre remote 192.0.2.1",
    "vrf": "ip link add x type vrf table 7",
    "netem": "tc qdisc add dev lo root netem delay 1ms",
    "htb": "tc qdisc add dev lo root htb",
}


@pytest.mark.needs_root
@pytest.mark.parametrize("name", JUDGES)
def test_ip_and_tc_agree(name: str, states: dict[str, FeatureState]) -> None:
    def work() -> bool:
        done = subprocess.run(JUDGES[name], shell=True, capture_output=True, check=False)
        return done.returncode == 0

    assert states[name].present == in_new_network(work), states[name].detail


def _surroundings() -> list[str]:
    """What of the host a careless probe would change."""
    return [
        Path("/proc/self/mountinfo").read_text(),
        *(str(Path("/proc/self/ns", kind).readlink()) for kind in ("net", "mnt", "user", "pid")),
        *sorted(name for _, name in socket.if_nameindex()),
        *sorted(entry.name for entry in Path("/proc/self/fd").iterdir()),
    ]


def test_nothing_around_is_changed() -> None:
    before = _surroundings()
    probe.probe()
    assert _surroundings() == before


def test_without_namespaces_everything_is_missing_for_that_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(flags: int) -> None:
        raise OSError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(libc, "unshare", refuse)
    states = probe.probe()
    assert list(states) == NAMES
    for state in states.values():
        assert not state.present
        assert "there are no namespaces" in state.detail
        assert "not permitted" in state.detail


def test_a_probe_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(context: Context) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    monkeypatch.setattr(probe, "FEATURES", (replace(FEATURES[0], method=die),))
    with pytest.raises(KernelError, match="wait status 9"):
        probe.probe()


def _modules(tmp_path: Path, disabled: str = "0") -> Modules:
    """A machine that could load sch_netem, has loaded veth and was built with bridge."""
    files = {
        "lib/modules/6.1-test/modules.dep": (
            "kernel/net/sched/sch_netem.ko.xz:\n"
            "kernel/net/ipv4/esp4.ko: kernel/net/xfrm/xfrm_algo.ko\n"
            "kernel/drivers/net/veth.ko:\n"
            "kernel/net/l2tp/l2tp-netlink.ko:\n"
        ),
        "lib/modules/6.1-test/modules.builtin": "kernel/net/bridge/bridge.ko\n",
        "proc/modules": "veth 40960 0 - Live 0x0000000000000000\n",
        "proc/sys/kernel/modules_disabled": disabled + "\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Modules(tmp_path, "6.1-test")


def test_modules_that_wait_are_told_from_those_that_are_there(tmp_path: Path) -> None:
    modules = _modules(tmp_path)
    assert modules.waiting(("sch_netem",)) == ("sch_netem",)
    assert modules.waiting(("l2tp_netlink",)) == ("l2tp_netlink",)
    assert modules.waiting(("veth",)) == ()
    assert modules.waiting(("bridge",)) == ()
    assert modules.waiting(("bridge", "sch_netem")) == ("sch_netem",)
    assert modules.waiting(("esp4", "esp6")) == ()  # not to be had in full: so it is tried
    assert modules.waiting(()) == ()


def test_where_modules_may_not_be_loaded_none_waits(tmp_path: Path) -> None:
    assert _modules(tmp_path, disabled="1").waiting(("sch_netem",)) == ()


def test_a_machine_without_module_lists_has_none_waiting(tmp_path: Path) -> None:
    assert Modules(tmp_path, "6.1-test").waiting(("sch_netem",)) == ()


def test_a_module_that_waits_is_not_loaded_but_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = _modules(tmp_path)
    netem = next(feature for feature in FEATURES if feature.name == "netem")

    def tried(context: Context) -> str:
        raise AssertionError("it was tried")

    monkeypatch.setattr(probe, "FEATURES", (replace(netem, method=tried),))
    monkeypatch.setattr(probe, "Modules", lambda: modules)
    state = probe.probe()["netem"]
    assert state.present
    assert state.detail == "not tried: module sch_netem is there, loaded on first use"


# What iproute2 6.1.0 sends (seen with strace) for
#   ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1004 mode tunnel reqid 1
#     replay-window 32 enc 'cbc(aes)' (16 zeros) auth-trunc 'hmac(sha256)' (32 zeros) 128
#     encap espinudp 4500 4500 0.0.0.0
#   ip xfrm state add src 2001:db8::1 dst 2001:db8::2 ... spi 0x1002
#     aead 'rfc4106(gcm(aes))' (20 zeros) 128
# as total length and the places that are not zero.
IP_XFRM = {
    1: (
        336 - 16,
        {
            56: "20010db8000000000000000000000002",
            72: "0000100232",
            80: "20010db8000000000000000000000001",
            96: "ff" * 32,
            208: "010000000a000120",
            224: "60001200" + b"rfc4106(gcm(aes))".hex(),
            292: "a000000080",
        },
    ),
    0: (
        464 - 16,
        {
            56: "c0000202",
            72: "0000100432",
            80: "c0000201",
            96: "ff" * 32,
            208: "0100000002000120",
            224: "58000200" + b"cbc(aes)".hex(),
            292: "80",
            312: "6c001400" + b"hmac(sha256)".hex(),
            380: "0001000080",
            420: "1c0004000200" + "11941194",
        },
    ),
}


@pytest.mark.parametrize(
    ("which", "ours"),
    [
        (1, ipsec._association("2001:db8::1", "2001:db8::2", 0x1002) + ipsec._GCM),
        (
            0,
            ipsec._association("192.0.2.1", "192.0.2.2", 0x1004)
            + ipsec._CBC
            + ipsec._SHA256
            + ipsec._UDP,
        ),
    ],
)
def test_security_associations_are_encoded_as_ip_does(which: int, ours: bytes) -> None:
    length, places = IP_XFRM[which]
    expected = bytearray(length)
    for at, text in places.items():
        data = bytes.fromhex(text)
        expected[at : at + len(data)] = data
    assert ours == bytes(expected)
