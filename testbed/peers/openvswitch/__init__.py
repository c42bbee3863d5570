"""Open vSwitch as the inside of one switch node: its own database and daemon, its own ``/run``."""
