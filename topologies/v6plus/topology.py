"""v6plus: two homes behind two MAP-E CEs that share one IPv4 address.

                       NGN (IPv6 only)         VNE                     internet
    pc-a1 --+                                                       +-- www    203.0.113.80
            +-- ce-a --+                  +-- br (MAP-E) --+        +-- dns    203.0.113.53
    pc-a2 --+          |                  |                |        +-- iperf  203.0.113.201
                       +-- ngn ---- vne --+                +- inet -+
    pc-b1 --+          |                  |                |
            +-- ce-b --+                  +-- (native v6) -+------------ www6 (behind a 1400-byte
    pc-b2 --+                                                                  link)

Home A was delegated 240b:10:1234:4700::/56, home B 240b:10:1234:b200::/56.  By the v6plus rule
240b:10::/32 -> 106.72.0.0/16 (EA 24 bits, PSID offset 4) both have the IPv4 address 106.72.18.52;
home A has PSID 71 and with it ports 5232-5247 among others, as in the notes of the blog that began
this (electric sheep farm, "why L2TP/IPsec does not work with v6plus"); home B has PSID 178.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from testbed.model import Builder, Ready, Service, Topology

SHARED_IPV4 = "106.72.18.52"
BR_ADDRESS = "2404:9200:225:100::64"
WWW = "203.0.113.80"
WWW_V6 = "2001:db8:80::80"
WWW6 = "2001:db8:6::80"
DNS = "203.0.113.53"
IPERF = "203.0.113.201"

# What comes out of the tunnel may go back into it: that is no reason for an ICMP redirect.
_NO_REDIRECTS = {"net.ipv4.conf.all.send_redirects": 0}

HOMES = {"a": "240b:10:1234:47", "b": "240b:10:1234:b2"}
"""The delegated /56 of each home, without its last eight bits."""

_NGINX = """\
user root;
worker_processes 1;
daemon off;
pid {run}/nginx.pid;
error_log {run}/error.log;
events { worker_connections 2048; }
http {
    log_format who '$remote_addr $remote_port "$request" $status $body_bytes_sent';
    access_log {run}/access.log who;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    keepalive_timeout 65;
    server {
        listen 80 backlog=1024;
        listen [::]:80 backlog=1024;
        root {run};
        location = / { default_type text/plain; return 200 "$remote_addr $remote_port\\n"; }
        location = /10mb { default_type application/octet-stream; alias /var/tmp/10mb; }
    }
}
"""

_UNBOUND = """\
server:
    interface: 203.0.113.53
    interface: 2001:db8:80::53
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    username: ""
    chroot: ""
    directory: "{run}"
    pidfile: "{run}/unbound.pid"
    use-syslog: no
    logfile: ""
    log-queries: yes
    num-threads: 1
    do-daemonize: no
    module-config: "iterator"
    local-zone: "example.net." static
    local-data: "www.example.net. 300 IN A 203.0.113.80"
    local-data: "www.example.net. 300 IN AAAA 2001:db8:80::80"
    local-data: "www6.example.net. 300 IN AAAA 2001:db8:6::80"
    local-data: "iperf.example.net. 300 IN A 203.0.113.201"
"""


def _web_server() -> Service:
    # The 10 MB file is made before the server starts, so that "listens" means "has it"; it lies in
    # the node's own /var, which is memory, and not in the run folder that is kept.
    make = 'head -c 10000000 /dev/zero | tr "\\0" x > /var/tmp/10mb'
    start = f'{make} && exec nginx -c "$0/nginx.conf"'
    return Service(
        name="nginx",
        command=("sh", "-c", start, "{run}"),
        files=(("nginx.conf", _NGINX),),
        ready=Ready("tcp", "80"),
        stop_signal="QUIT",
    )


def _map_ce(home: str, options: Mapping[str, Any]) -> Service:
    config = {
        "delegated_prefix": f"{HOMES[home]}00::/56",
        "rules": "v6plus",
        "br": BR_ADDRESS,
        "lan_address": "192.168.1.1",
        "lan_prefixes": ["192.168.1.0/24"],
        **options,
    }
    return Service(
        name="map-ce",
        command=("{python}", "-m", "testbed.components.mape", "ce", "--config", "{run}/ce.json"),
        files=(("ce.json", json.dumps(config, indent=2)),),
        ready=Ready("notify"),
        needs=("tun",),
        devices=("/dev/net/tun",),
    )


def _map_br(options: Mapping[str, Any]) -> Service:
    config = {
        "address": BR_ADDRESS,
        "ipv4_address": "198.51.100.1",
        "rules": "v6plus",
        **options,
    }
    return Service(
        name="map-br",
        command=("{python}", "-m", "testbed.components.mape", "br", "--config", "{run}/br.json"),
        files=(("br.json", json.dumps(config, indent=2)),),
        ready=Ready("notify"),
        needs=("tun",),
        devices=("/dev/net/tun",),
    )


def topology(
    *,
    ce_a: Mapping[str, Any] | None = None,
    ce_b: Mapping[str, Any] | None = None,
    br: Mapping[str, Any] | None = None,
) -> Topology:
    """The v6plus access network; the arguments are further options of its CEs and its BR."""
    lab = Builder("v6plus", "v6plus: two homes share one IPv4 address by MAP-E")
    for home, options in (("a", ce_a), ("b", ce_b)):
        _home(lab, home, options or {})

    lab.router(
        "ngn",
        note="NGN access router",
        routes=[
            *(f"{HOMES[home]}00::/56 via 2001:db8:{home}::2" for home in HOMES),
            "240b:10::/32 unreachable",  # lines that nobody has
            "default via 2001:db8:100::1",
        ],
    )
    lab.router(
        "vne",
        note="VNE core router",
        routes=[
            "240b:10::/32 via 2001:db8:100::2",
            "2001:db8:a::/48 via 2001:db8:100::2",
            "2001:db8:b::/48 via 2001:db8:100::2",
            f"{BR_ADDRESS}/128 via 2001:db8:101::2",
            "default via 2001:db8:102::2",
        ],
    )
    lab.router(
        "br",
        note=f"MAP-E border relay {BR_ADDRESS}",
        routes=["default via 2001:db8:101::1", "default via 198.51.100.2"],
        services=[_map_br(br or {})],
        sysctls=_NO_REDIRECTS,
    )
    lab.router(
        "inet",
        note="IPv4 and IPv6 internet",
        routes=[
            "106.72.0.0/16 via 198.51.100.1",
            "240b:10::/32 via 2001:db8:102::1",
            "2001:db8:a::/48 via 2001:db8:102::1",
            "2001:db8:b::/48 via 2001:db8:102::1",
            "2404:9200:225:100::/64 via 2001:db8:102::1",
        ],
    )
    _servers(lab)

    lab.link("line-a", "ce-a:wan 2001:db8:a::2/64", "ngn:line-a 2001:db8:a::1/64")
    lab.link("line-b", "ce-b:wan 2001:db8:b::2/64", "ngn:line-b 2001:db8:b::1/64")
    lab.link("gateway", "vne:ngn 2001:db8:100::1/64", "ngn:vne 2001:db8:100::2/64")
    lab.link("tunnels", "vne:br 2001:db8:101::1/64", "br:vne 2001:db8:101::2/64")
    lab.link("native-v6", "vne:inet 2001:db8:102::1/64", "inet:vne 2001:db8:102::2/64")
    lab.link("public-v4", "br:inet 198.51.100.1/30", "inet:br 198.51.100.2/30")
    lab.link(
        "servers",
        "inet:servers 203.0.113.1/24 2001:db8:80::1/64",
        f"www:eth0 {WWW}/24 {WWW_V6}/64",
        f"dns:eth0 {DNS}/24 2001:db8:80::53/64",
        f"iperf:eth0 {IPERF}/24",
    )
    lab.link(
        "narrow",
        "inet:narrow 2001:db8:6::1/64",
        f"www6:eth0 {WWW6}/64",
        mtu=1400,
        note="an IPv6 path with a smaller MTU",
    )

    lab.group("Home A (PSID 71)", "pc-a1", "pc-a2", "ce-a")
    lab.group("Home B (PSID 178)", "pc-b1", "pc-b2", "ce-b")
    lab.group("NGN", "ngn")
    lab.group("VNE (v6plus)", "vne", "br")
    lab.group("Internet", "inet", "www", "dns", "iperf", "www6")
    return lab.build()


def _home(lab: Builder, home: str, options: Mapping[str, Any]) -> None:
    prefix = HOMES[home]
    resolver = {"/etc/resolv.conf": f"nameserver {DNS}\n"}
    for number in (1, 2):
        lab.host(
            f"pc-{home}{number}",
            routes=["default via 192.168.1.1", f"default via {prefix}01::1"],
            files=resolver,
        )
    lab.router(
        f"ce-{home}",
        note=f"MAP-E CE, {prefix}00::/56",
        routes=[f"default via 2001:db8:{home}::1", f"{prefix}00::/56 unreachable"],
        services=[_map_ce(home, options)],
        sysctls=_NO_REDIRECTS,
    )
    lab.link(
        f"lan-{home}",
        f"ce-{home}:lan 192.168.1.1/24 {prefix}01::1/64",
        f"pc-{home}1:eth0 192.168.1.11/24 {prefix}01::11/64",
        f"pc-{home}2:eth0 192.168.1.12/24 {prefix}01::12/64",
    )


def _servers(lab: Builder) -> None:
    out = ["default via 203.0.113.1", "default via 2001:db8:80::1"]
    lab.host("www", routes=out, services=[_web_server()], note="web server, IPv4 and IPv6")
    lab.host(
        "dns",
        routes=out,
        services=[
            Service(
                name="unbound",
                command=("unbound", "-d", "-c", "{run}/unbound.conf"),
                files=(("unbound.conf", _UNBOUND),),
                ready=Ready("udp", "53"),
            )
        ],
    )
    lab.host(
        "iperf",
        routes=["default via 203.0.113.1"],
        services=[
            Service(name="iperf3", command=("iperf3", "-s"), ready=Ready("tcp", "5201")),
        ],
    )
    lab.host(
        "www6",
        routes=["default via 2001:db8:6::1"],
        services=[_web_server()],
        note="web server, IPv6 only",
    )
