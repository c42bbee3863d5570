"""What a Topo class says it will build, by the rules that Mininet builds by; nothing is built.

    python3 -m testbed.backends.mininet_side.drawing FILE TOPO OPTION...

prints one line of JSON.  It runs somebody's file, so it must run where that can do no harm: in
network, mount and process namespaces of its own (:mod:`testbed.mininet`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.backends.mininet_side import no_mininet
from testbed.errors import TestbedError
from testbed.kernel import libc, mounts
from testbed.kernel.faces import error_to_json

_TC = ("bw", "delay", "jitter", "loss", "max_queue_size")


def words_of(custom: Any) -> dict[str, Any]:
    """The nodes and links of a topology, with the names and addresses that Mininet gives them."""
    from mininet.link import TCIntf, TCLink
    from mininet.util import ipAdd, netParse

    topo = custom.topo
    base, length = netParse(custom.ip_base)
    first = (0xFFFFFFFF >> length) & base or 1
    nodes, default_ip = [], {}
    for number, name in enumerate(topo.hosts(), first):
        info = topo.nodeInfo(name)
        given = f"{ipAdd(number, prefixLen=length, ipBaseNum=base)}/{length}"
        default_ip[name] = info.get("ip", given)
        nodes.append({"name": name, "role": "host", "class": _name(info.get("cls", custom.host))})
    for name in topo.switches():
        info = topo.nodeInfo(name)
        nodes.append(
            {"name": name, "role": "switch", "class": _name(info.get("cls", custom.switch))}
        )
    lowest: dict[str, int] = {}
    for _, _, info in topo.links(sort=True, withInfo=True):
        for side in ("1", "2"):
            node, port = info[f"node{side}"], info[f"port{side}"]
            lowest[node] = min(lowest.get(node, port), port)

    def end(info: dict[str, Any], number: str, shaped: bool) -> dict[str, Any]:
        node, port = info[f"node{number}"], info[f"port{number}"]
        own = info.get(f"params{number}") or {}
        # A host's address goes to its first interface, after whatever the link gave that one.
        ip = default_ip.get(node) if port == lowest[node] else None
        merged = {**own, **custom.link_options, **info}
        ip = ip or merged.get("ip")
        return {
            "node": node,
            "interface": info.get(f"intfName{number}") or f"{node}-eth{port}",
            "addresses": [ip if "/" in ip else f"{ip}/8"] if ip else [],
            "tc": {key: merged[key] for key in _TC if merged.get(key) is not None}
            if shaped
            else {},
        }

    links = []
    for _, _, info in topo.links(sort=True, withInfo=True):
        cls = info.get("cls", custom.link)
        shaped = _is(cls, TCLink) or _is(info.get("intf"), TCIntf)
        links.append({"ends": [end(info, number, shaped) for number in ("1", "2")]})
    return {"topo": custom.name, "nodes": nodes, "links": links}


def _is(cls: Any, wanted: type) -> bool:
    return isinstance(cls, type) and issubclass(cls, wanted)


def _name(cls: Any) -> str:
    return str(getattr(cls, "__name__", cls))


def _hide() -> None:
    """What somebody's file writes, it writes to memory."""
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    libc.mount("tmpfs", "/run", "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, "mode=755")
    folder = Path("/run/testbed-drawing")
    folder.mkdir()
    mounts.private_lab_view(folder)
    mounts.node_view("mininet", folder, {})


def _words(file: str, topo: str, options: Sequence[str]) -> dict[str, Any]:
    try:
        from testbed.backends.mininet_side.custom import load
        from testbed.backends.mininet_side.quiet import settle_in
    except ImportError as error:
        return {"error": error_to_json(no_mininet(error))}
    settle_in()
    try:
        return words_of(load(file, topo, options))
    except TestbedError as error:
        return {"error": error_to_json(error)}


def main() -> None:
    """Print it."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what somebody's file prints is not ours
    _hide()
    file, topo, *options = sys.argv[1:]
    json.dump(_words(file, topo, options), out)
    out.close()
    os._exit(0)  # whatever the file left running ends with the namespace


if __name__ == "__main__":
    main()
