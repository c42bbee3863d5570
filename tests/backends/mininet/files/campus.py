"""Topologies as people write them for Mininet: with classes of their own, and arguments."""

from mininet.link import TCLink
from mininet.node import Node, OVSSwitch
from mininet.topo import Topo


class LinuxRouter(Node):
    """A node that forwards, as in Mininet's own examples."""

    def config(self, **params):
        super().config(**params)
        self.cmd("sysctl net.ipv4.ip_forward=1")
        self.cmd("ip route add 203.0.113.0/24 via 192.168.1.100")
        self.cmd("echo written by the class > /tmp/from-the-class")


class MultiSwitch(OVSSwitch):
    """A switch whose start is its own."""

    def start(self, controllers):
        super().start(controllers)
        self.vsctl("-- set bridge", self, "other-config:hwaddr=02:00:00:00:00:99")


class Campus(Topo):
    """Departments of hosts around a router."""

    def build(self, departments=2, **_opts):
        router = self.addNode("r0", cls=LinuxRouter, ip="192.168.1.1/24")
        for number in range(1, departments + 1):
            switch = self.addSwitch(f"s{number}")
            gateway = f"192.168.{number}.1"
            self.addLink(
                switch, router, intfName2=f"r0-eth{number}", params2={"ip": f"{gateway}/24"}
            )
            host = self.addHost(
                f"h{number}", ip=f"192.168.{number}.100/24", defaultRoute=f"via {gateway}"
            )
            self.addLink(host, switch)


class Shaped(Topo):
    """Two hosts behind slow lines."""

    def build(self, delay="20ms", bw=None):
        switch = self.addSwitch("s1")
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), switch, cls=TCLink, delay=delay, bw=bw)


class TooFast(Shaped):
    """Faster than Mininet's links can be."""

    def build(self):
        super().build(delay=None, bw=5000)


class Plain(Topo):
    """Slow lines of no class: whoever made the network would have said TCLink."""

    def build(self):
        self.addLink(self.addHost("h1", cpu=0.5), self.addHost("h2"), delay="20ms")


class Twice(Topo):
    """Two links between the same two nodes."""

    def build(self):
        left, right = self.addHost("host_1"), self.addHost("h2")
        self.addLink(left, right)
        self.addLink(left, right, params1={"ip": "10.9.0.1/24"}, params2={"ip": "10.9.0.2/24"})


topos = {"campus": Campus, "three": lambda: Campus(3), "shaped": Shaped}
switches = {"multi": MultiSwitch}
