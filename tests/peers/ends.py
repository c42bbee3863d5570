"""A peer as hypothesis draws them, and one that is written down."""

from __future__ import annotations

from hypothesis import strategies as st

from testbed.peers.ike import Child, IkePeer, Lifetime, Tunnel

BRANCH = IkePeer(
    name="branch",
    peer_node="gateway",
    local_address="%any",
    remote_address="203.0.113.4",
    local_id="192.168.100.1",
    remote_id="203.0.113.4",
    psk_file="/etc/testbed/ike.psk",
    proposals=("aes256-sha1-modp1024", "aes128-sha256-modp1024"),
    lifetime=Lifetime(rekey_s=21_619, life_s=28_800, spread_s=9),
    children=(
        Child(
            name="net",
            proposals=("aes256-sha1",),
            lifetime=Lifetime(rekey_s=20_277, life_s=27_000, spread_s=6),
            replay_window=0,
            initiate=True,
            stay=True,
        ),
    ),
    tunnel=Tunnel("tunnel100", "wan", 100, ("10.1.0.0/16",)),
    dpd_s=45,
)


@st.composite
def lifetimes(draw: st.DrawFn) -> Lifetime:
    """Any lifetime that can be."""
    rekey = draw(st.integers(0, 200_000))
    spread = draw(st.integers(0, max(rekey - 1, 0)))
    life = draw(st.just(0) | st.integers(rekey + 1, 400_000))
    return Lifetime(rekey, life, spread)


@st.composite
def peers(draw: st.DrawFn) -> IkePeer:
    """Any peer: addresses and names are of no account, numbers and flags are drawn."""
    children = tuple(
        Child(
            name=f"net-{number}",
            proposals=("aes256-sha1", "aes128-sha256"),
            lifetime=draw(lifetimes()),
            local_ts=(f"10.{number}.0.0/16",),
            replay_window=draw(st.integers(0, 1024)),
            initiate=draw(st.booleans()),
            stay=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 3)))
    )
    return IkePeer(
        name="branch",
        peer_node="gateway",
        local_address=draw(st.sampled_from(["%any", "192.0.2.1", "2001:db8::1"])),
        remote_address="203.0.113.4",
        local_id="branch",
        remote_id="gateway",
        psk_file="/etc/key",
        proposals=("aes256-sha1-modp1024",),
        lifetime=draw(lifetimes()),
        children=children,
        tunnel=Tunnel("ipsec0", "wan", draw(st.integers(1, 2**32 - 1)), ("10.0.0.0/8",)),
        dpd_s=draw(st.integers(0, 3600)),
        nat_keepalive_s=draw(st.integers(0, 3600)),
        overlap_s=draw(st.integers(0, 3600)),
    )
