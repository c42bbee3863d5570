"""FRR's daemons as services of a node, each its own."""

from __future__ import annotations

import json
from collections.abc import Mapping

from testbed.model.service import Ready, Service
from testbed.peers.frr.config import config_text, vtysh_text
from testbed.peers.frr.router import FrrRouter

FOLDER = "/run/frr"
"""Where FRR keeps its sockets: where ``vtysh`` looks for them without being told."""

NEEDS = ("vtysh",)
"""What a scenario with an FRR router must have: the program comes with the daemons."""

CAPABILITIES = ("NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN")
"""What the daemons ask the kernel for; one that lacks any of it ends at once."""

WATCH = "watch"
"""The name of the service that tells what the daemons do; the daemons have their own names."""

# A daemon killed by -9 leaves its socket behind: without this a new one would seem ready at once.
_START = 'rm -f "$0.vty" && exec "/usr/lib/frr/${0##*/}" "$@"'

_GROUPS = "root:x:0:\nfrr:x:0:root\nfrrvty:x:0:root\n"


def frr_services(router: FrrRouter, names: Mapping[str, str] | None = None) -> tuple[Service, ...]:
    """The services that play ``router``; their node also needs :func:`frr_files`.

    ``names`` are node names by router ID and by address, for the events.  A daemon is ready when it
    has read its configuration and can be asked; its neighbours are not waited for.
    """
    watch = Service(
        name=WATCH,
        command=("{python}", "-m", "testbed.peers.frr", "{run}/names.json"),
        files=(("names.json", json.dumps(dict(names or {}), indent=2)),),
        ready=Ready("notify", timeout=20.0),
    )
    return (watch, *(_daemon(router, name) for name in router.daemons))


def frr_files(router: FrrRouter) -> dict[str, str]:
    """What lies in the node's own ``/etc``.

    FRR gives up root for the user ``frr``, which an ordinary user's namespace does not have; it
    stays root if told so, and insists that root then be in the groups ``frr`` and ``frrvty``.  In
    the node it is: the groups there are all root's own.
    """
    return {"/etc/group": _GROUPS, "/etc/frr/vtysh.conf": vtysh_text(router)}


def _daemon(router: FrrRouter, name: str) -> Service:
    socket = f"{FOLDER}/{name}.vty"
    first = WATCH if name == "zebra" else "zebra"
    return Service(
        name=name,
        command=(
            *("sh", "-c", _START, f"{FOLDER}/{name}"),
            *("-u", "root", "-g", "root"),
            *("-P", "0"),  # no TCP port to type commands at
            *("-f", f"{{run}}/{name}.conf"),
        ),
        files=((f"{name}.conf", config_text(router, name)),),
        ready=Ready("file", socket, timeout=20.0),
        after=(f"{router.name}/{first}",),
        capabilities=CAPABILITIES,
    )
