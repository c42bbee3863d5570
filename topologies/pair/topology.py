"""The smallest useful lab, and the one that the README explains."""

from testbed.model import Builder, Ready, Service, Topology


def topology() -> Topology:
    """A client and a web server behind a router."""
    lab = Builder("pair", "A client and a web server behind a router")
    lab.host("client", routes=["default via 192.0.2.1"])
    lab.router("router")
    lab.host(
        "server",
        routes=["default via 198.51.100.1"],
        services=[Service("web", ("python3", "-m", "http.server", "80"), ready=Ready("tcp", "80"))],
    )
    lab.link("inside", "client:eth0 192.0.2.10/24", "router:in 192.0.2.1/24")
    lab.link("outside", "server:eth0 198.51.100.80/24", "router:out 198.51.100.1/24")
    return lab.build()
