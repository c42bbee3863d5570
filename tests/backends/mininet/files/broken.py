"""Classes that go wrong, each in its own way."""

import sys

from mininet.node import CPULimitedHost, Host
from mininet.topo import Topo


class Raises(Topo):
    def build(self):
        self.addHost("h1")
        raise ValueError("no more hosts")


class Exits(Topo):
    def build(self):
        sys.exit(3)


class Grumpy(Host):
    def config(self, **params):
        super().config(**params)
        return params["no such thing"]


class RaisesLater(Topo):
    def build(self):
        self.addLink(self.addHost("h1", cls=Grumpy), self.addHost("h2"))


class LongNames(Topo):
    def build(self):
        self.addLink(self.addHost("a-very-long-name"), self.addHost("h2"))


class Limited(Topo):
    def build(self):
        self.addLink(self.addHost("h1", cls=CPULimitedHost, cpu=0.1), self.addHost("h2"))


class NoNumber(Topo):
    def build(self):
        self.addLink(self.addHost("h1"), self.addSwitch("core"))
