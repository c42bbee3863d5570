"""What a lab is: frozen data, a builder, validation and file formats.  No I/O on the network."""

from testbed.model.builder import Builder
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Ready, Service
from testbed.model.topology import Interface, Link, Node, Route, Topology

__all__ = [
    "Builder",
    "Fault",
    "Impairment",
    "Interface",
    "Link",
    "Node",
    "Ready",
    "Route",
    "Service",
    "Topology",
]
