"""An IKE peer as data, whichever daemon plays it.

A topology says what the two ends of a tunnel are like; which program is behind each end is a
separate choice (:data:`MakeService`).  strongSwan does it today (:mod:`testbed.peers.strongswan`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, TypeAlias

from testbed.errors import TestbedError
from testbed.model.service import Service

_WHERE = "IKE peer"


class PeerConfigError(TestbedError):
    """The description of a peer cannot be."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When one end renews an SA, and when it gives it up; seconds since it was established.

    The rekey is started at a moment drawn evenly from ``rekey_s - spread_s`` to ``rekey_s``;
    never, by this end, if ``rekey_s`` is 0.  The SA is given up at ``life_s``, never if 0.
    These are one end's own affair and are not negotiated (RFC 7296 section 2.8).
    """

    rekey_s: int
    life_s: int
    spread_s: int = 0

    def __post_init__(self) -> None:
        if min(self.rekey_s, self.life_s, self.spread_s) < 0:
            raise PeerConfigError("a lifetime cannot be negative", where=_WHERE)
        if self.spread_s and self.spread_s >= self.rekey_s:
            raise PeerConfigError(
                f"a rekey at {self.rekey_s} s cannot come up to {self.spread_s} s earlier",
                where=_WHERE,
                hint="make spread_s smaller than rekey_s",
            )
        if 0 < self.life_s <= self.rekey_s:
            raise PeerConfigError(
                f"an SA given up after {self.life_s} s is not rekeyed after {self.rekey_s} s",
                where=_WHERE,
                hint="make rekey_s smaller than life_s, or 0 for no rekey",
            )


@dataclass(frozen=True, slots=True)
class Child:
    """A tunnel's CHILD_SA as one end wants it.

    ``proposals`` in the daemon's own words, first choice first.  ``replay_window`` 0 turns the
    anti-replay check off.  ``stay`` has this end make it anew when the peer has deleted it or it
    was given up.
    """

    name: str
    proposals: tuple[str, ...]
    lifetime: Lifetime
    local_ts: tuple[str, ...] = ("0.0.0.0/0",)
    remote_ts: tuple[str, ...] = ("0.0.0.0/0",)
    replay_window: int = 64
    initiate: bool = False
    stay: bool = False


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The interface through which traffic goes into the CHILD_SAs, and what is routed there."""

    interface: str
    underlay: str
    if_id: int
    routes: tuple[str, ...]
    mtu: int = 1400


@dataclass(frozen=True, slots=True)
class IkePeer:
    """One end of an IKEv2 connection.

    ``local_address`` may be ``%any``.  ``peer_node`` names the other end in events.  ``psk_file``
    is where the pre-shared key lies in the node's own view; the key itself is not in here.
    ``dpd_s`` is how long nothing may come from the peer before it is asked for a sign of life, 0
    for never.  ``nat_keepalive_s`` is how often a byte is sent to keep a NAT's mapping, 0 for
    never.
    ``overlap_s`` is how long this end takes packets on a CHILD_SA that was replaced and deleted.
    """

    name: str
    peer_node: str
    local_address: str
    remote_address: str
    local_id: str
    remote_id: str
    psk_file: str
    proposals: tuple[str, ...]
    lifetime: Lifetime
    children: tuple[Child, ...]
    tunnel: Tunnel
    dpd_s: int = 0
    nat_keepalive_s: int = 20
    overlap_s: int = 5

    def __post_init__(self) -> None:
        for what, address in (("local", self.local_address), ("remote", self.remote_address)):
            if address != "%any":
                _check(what, address, ip_address)
        for child in self.children:
            for selector in (*child.local_ts, *child.remote_ts):
                _check(f"{child.name}: traffic selector", selector, ip_network)
        for route in self.tunnel.routes:
            _check("route", route, ip_network)
        names = [child.name for child in self.children]
        if len(set(names)) < len(names) or not names:
            raise PeerConfigError(
                "a connection has children with names of their own, at least one", where=self.name
            )

    def to_json(self) -> str:
        """The description as a configuration file."""
        return json.dumps(dataclasses.asdict(self), indent=2)


MakeService: TypeAlias = Callable[[IkePeer, str], Service]
"""Makes of a peer and its pre-shared key the service that plays it.

The key is for the service's list of secrets, so that nothing the service says can show it."""


def peer_from_json(text: str, where: str) -> IkePeer:
    """Read what :meth:`IkePeer.to_json` wrote.

    Raises:
        PeerConfigError: it is no such file; says what is wrong with it.
    """
    try:
        data = json.loads(text)
        fields: dict[str, Any] = dict(data)
        fields["lifetime"] = Lifetime(**data["lifetime"])
        fields["tunnel"] = Tunnel(**_tuples(data["tunnel"]))
        fields["children"] = tuple(
            Child(**{**_tuples(child), "lifetime": Lifetime(**child["lifetime"])})
            for child in data["children"]
        )
        fields["proposals"] = tuple(data["proposals"])
        return IkePeer(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PeerConfigError(
            f"this is not the description of an IKE peer: {error}",
            where=where,
            hint="IkePeer.to_json writes one",
        ) from error


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _check(what: str, text: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except ValueError as error:
        raise PeerConfigError(f"{what}: {error}", where=_WHERE) from error
