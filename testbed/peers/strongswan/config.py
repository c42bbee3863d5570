"""What charon is told: its own settings as a file, the connection as a message.

Pure: an :class:`~testbed.peers.ike.IkePeer` goes in, text and data come out.  The connection is
loaded over the control connection; :func:`swanctl_text` writes the same data the way a person would
have written it into ``swanctl.conf``, to be read in the run folder.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.peers.ike import Child, IkePeer, PeerConfigError
from testbed.peers.strongswan.messages import Section

PLUGINS = (
    *("random", "nonce", "drbg", "aes", "sha1", "sha2", "hmac", "kdf", "gmp"),
    *("kernel-netlink", "socket-default", "vici"),
)
"""What charon needs for PSK, AES, SHA-1, SHA-2 and MODP groups with the kernel's ESP, no more."""

_NEVER = "0"
_LONG = 10 * 365 * 86_400


def strongswan_text(peer: IkePeer, *, vici: str, log: str) -> str:
    """``strongswan.conf``: no routes or addresses of its own, log lines we can read, few threads.

    ``vici`` and ``log`` are the paths of the control socket and of the file it logs to.  Only what
    happens to SAs is logged (level 1 of IKE, CHD and KNL): a line for every packet would wake a
    reader for nothing.
    """
    settings: Section = {
        "charon-systemd": {
            "load": " ".join(PLUGINS),
            "threads": "8",
            "install_routes": "no",
            "install_virtual_ip": "no",
            "process_route": "no",
            "routing_table": "0",  # and so no rule of its own either
            "keep_alive": f"{peer.nat_keepalive_s}s",
            "delete_rekeyed_delay": str(peer.overlap_s),
            # Only we decide when an SA ends: nothing is closed because an address came or went.
            "block_threshold": "0",
            "cookie_threshold": "0",
            "journal": {"default": "-1"},
            "syslog": {"daemon": {"default": "-1"}, "auth": {"default": "-1"}},
            "filelog": {
                "sas": {
                    "path": log,
                    "time_format": "%s",
                    "time_add_ms": "yes",
                    "ike_name": "yes",
                    "append": "yes",
                    "flush_line": "yes",
                    "default": "0",
                    "ike": "1",
                    "chd": "1",
                    "knl": "1",
                    "cfg": "1",
                }
            },
            "plugins": {
                "vici": {"socket": f"unix://{vici}"},
                "kernel-netlink": {"roam_events": "no"},
            },
        }
    }
    return "\n".join(_lines(settings)) + "\n"


def connection(peer: IkePeer) -> Section:
    """The connection as ``load-conn`` takes it: name to its settings."""
    return {
        peer.name: {
            "version": "2",
            "local_addrs": [peer.local_address],
            "remote_addrs": [peer.remote_address],
            "proposals": list(peer.proposals),
            "encap": "no",  # NAT is found by NAT detection (RFC 7296 section 2.23), not presumed
            "mobike": "no",
            "fragmentation": "yes",
            "dpd_delay": f"{peer.dpd_s}s",
            "keyingtries": _NEVER,  # no end of tries
            "unique": "replace",
            "reauth_time": _NEVER,
            "rekey_time": f"{peer.lifetime.rekey_s}s",
            "rand_time": f"{peer.lifetime.spread_s}s",
            "over_time": f"{_over_time(peer)}s",
            "local": {"auth": "psk", "id": peer.local_id},
            "remote": {"auth": "psk", "id": peer.remote_id},
            "children": {child.name: _child(peer, child) for child in peer.children},
        }
    }


def _over_time(peer: IkePeer) -> int:
    """charon gives an IKE_SA up this long after its rekey fell due.

    Raises:
        PeerConfigError: charon cannot do what the peer asks for.
    """
    life = peer.lifetime
    if not life.life_s:
        return _LONG
    if not life.rekey_s:
        raise PeerConfigError(
            "charon cannot give up an IKE_SA that it does not rekey",
            where=peer.name,
            hint="give the IKE_SA a rekey_s, or a life_s of 0",
        )
    return life.life_s - life.rekey_s


def _child(peer: IkePeer, child: Child) -> Section:
    life = child.lifetime
    return {
        "mode": "tunnel",
        "esp_proposals": list(child.proposals),
        "local_ts": list(child.local_ts),
        "remote_ts": list(child.remote_ts),
        "if_id_in": str(peer.tunnel.if_id),
        "if_id_out": str(peer.tunnel.if_id),
        "replay_window": str(child.replay_window),
        "rekey_time": f"{life.rekey_s}s",
        "rand_time": f"{life.spread_s}s",
        "life_time": f"{life.life_s}s",
        "start_action": "none",
        "close_action": "start" if child.stay else "none",
        "dpd_action": "start" if child.stay else "clear",
    }


def shared_key(peer: IkePeer, key: str) -> Section:
    """The pre-shared key as ``load-shared`` takes it.  Not for logs."""
    return {
        "id": f"psk-{peer.name}",
        "type": "IKE",
        "data": key,
        "owners": [peer.local_id, peer.remote_id],
    }


def swanctl_text(peer: IkePeer) -> str:
    """The connection as ``swanctl.conf`` has it, without the key."""
    return "\n".join(_lines({"connections": connection(peer)})) + "\n"


def tunnel_commands(peer: IkePeer) -> str:
    """What ``ip -batch`` is told so that traffic goes into the tunnel."""
    tunnel = peer.tunnel
    lines = [
        f"link add {tunnel.interface} type xfrm dev {tunnel.underlay} if_id {tunnel.if_id}",
        f"link set {tunnel.interface} mtu {tunnel.mtu} up",
        *(f"route add {route} dev {tunnel.interface}" for route in tunnel.routes),
    ]
    return "\n".join(lines) + "\n"


def _lines(section: Section, depth: int = 0) -> Iterator[str]:
    space = "    " * depth
    for name, value in section.items():
        if isinstance(value, str):
            yield f"{space}{name} = {_quoted(value)}"
        elif isinstance(value, list):
            yield f"{space}{name} = {_quoted(', '.join(value))}"
        else:
            yield f"{space}{name} {{"
            yield from _lines(value, depth + 1)
            yield f"{space}}}"


def _quoted(text: str) -> str:
    return f'"{text}"' if set(text) & set(' #"{}=%') else text
