"""The two ends of the tunnel as they are known, and when each renews its SAs.

What is fact and what is model: lifetimes, proposals, DPD and selectors are what the vendors
document; the rekey moments are what the three logs of seed 004 show (``rekey_intervals.csv``).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.peers.ike import Child, IkePeer, Lifetime, Tunnel

RTX_LAN_ADDRESS = "192.168.100.1"
RTX_WAN_ADDRESS = "192.168.1.2"
AZURE_ADDRESS = "203.0.113.4"
VNET = "10.1.0.0/16"
BRANCH = "192.168.100.0/24"
PSK_FILE = "/etc/testbed/ike.psk"
PSK = "rtx and azure share this in the lab only"

RTX_TUNNEL, AZURE_TUNNEL = "tunnel100", "ipsec0"
"""The tunnels' interfaces."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The configured lifetimes of one end, in seconds."""

    child: int
    ike: int

    def __str__(self) -> str:
        return f"{self.child}/{self.ike} s"


@dataclass(frozen=True, slots=True)
class Renewal:
    """When an end starts a rekey: a share of its lifetime, and how far off that it has been seen.

    ``percent`` of the lifetime, and from ``early_s`` seconds before that to ``late_s`` after.
    ``early_s`` is negative where it never came that early.
    """

    percent: int
    early_s: int = 0
    late_s: int = 0

    def of(self, lifetime_s: int) -> Lifetime:
        """Applied to a configured lifetime."""
        return Lifetime(
            rekey_s=lifetime_s * self.percent // 100 + self.late_s,
            life_s=lifetime_s,
            spread_s=self.late_s + self.early_s,
        )


RTX_DEFAULT = Lifetimes(child=28_800, ike=28_800)
"""YAMAHA's defaults (manual of ``ipsec ike duration``)."""
RTX_CHILD = Renewal(75, early_s=-21, late_s=27)
RTX_IKE = Renewal(75, early_s=-10, late_s=19)
"""75 % is documented; logs A and B show 21 to 27 s more for CHILD_SAs, 10 to 19 s for IKE_SAs."""

AZURE_2017 = Lifetimes(child=27_000, ike=28_800)
AZURE_2016 = Lifetimes(child=3_600, ike=10_800)
"""Azure's route-based defaults, as documented in mid-2016 and since 2017."""
AZURE_CHILD = Renewal(95, early_s=75, late_s=0)
AZURE_IKE = Renewal(95, early_s=0, late_s=9)
"""Log C: 11 to 71 s before 95 % for CHILD_SAs, up to 9 s after it for IKE_SAs."""

DPD_S = 45
"""Azure's default."""
NAT_KEEPALIVE_S = 300
"""YAMAHA's default for ``ipsec ike nat-traversal`` as remembered; not read again."""

IKE_PROPOSALS = tuple(
    f"{cipher}-{digest}-modp1024"
    for cipher in ("aes256", "aes128", "3des")
    for digest in ("sha1", "sha256")
)
"""Azure's IKE proposals, in Azure's order; DH group 2.

charon as it runs here could not use 3DES for IKE, for none of the plugins it loads has it
(:data:`testbed.peers.strongswan.config.PLUGINS`).  It is offered because Azure offers it, and never
chosen, because both ends prefer AES.
"""

AZURE_ESP = (
    "aes256gcm16",
    "aes256-sha1",
    "3des-sha1",
    "aes256-sha256",
    "aes128-sha1",
    "3des-sha256",
)
"""Azure's ESP proposals as an initiator, in Azure's order; no PFS."""

RTX_ESP = ("aes256-sha1", "aes256-sha256", "aes128-sha1", "aes128-sha256")
"""Of these an RTX has no GCM."""


def rtx(lifetimes: Lifetimes, *, pfs: bool = False) -> IkePeer:
    """The branch router in the manner of a YAMAHA RTX, behind its home's NAT.

    ``pfs`` is its ``ipsec ike pfs``: CHILD_SAs after the first get a key exchange of their own.
    """
    return IkePeer(
        name="rtx",
        peer_node="azure",
        local_address="%any",
        remote_address=AZURE_ADDRESS,
        local_id=RTX_LAN_ADDRESS,
        remote_id=AZURE_ADDRESS,
        psk_file=PSK_FILE,
        proposals=IKE_PROPOSALS,
        lifetime=RTX_IKE.of(lifetimes.ike),
        children=(
            Child(
                name="tunnel100",
                proposals=_with_pfs(RTX_ESP, pfs),
                lifetime=RTX_CHILD.of(lifetimes.child),
                replay_window=0,
                initiate=True,
                stay=True,
            ),
        ),
        tunnel=Tunnel(RTX_TUNNEL, "wan", 100, (VNET,)),
        nat_keepalive_s=NAT_KEEPALIVE_S,
    )


def azure(lifetimes: Lifetimes, *, pfs: bool = False) -> IkePeer:
    """The route-based gateway in the manner of Azure; with ``pfs`` it insists on it."""
    return IkePeer(
        name="azure",
        peer_node="rtx",
        local_address=AZURE_ADDRESS,
        remote_address="%any",
        local_id=AZURE_ADDRESS,
        remote_id=RTX_LAN_ADDRESS,
        psk_file=PSK_FILE,
        proposals=IKE_PROPOSALS,
        lifetime=AZURE_IKE.of(lifetimes.ike),
        children=(
            Child(
                name="vnet",
                proposals=_with_pfs(AZURE_ESP, pfs),
                lifetime=AZURE_CHILD.of(lifetimes.child),
            ),
        ),
        tunnel=Tunnel(AZURE_TUNNEL, "wan", 1, (BRANCH,)),
        dpd_s=DPD_S,
    )


def _with_pfs(proposals: tuple[str, ...], pfs: bool) -> tuple[str, ...]:
    return tuple(f"{proposal}-modp1024" for proposal in proposals) if pfs else proposals
