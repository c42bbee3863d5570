"""The testbed's own network functions; each is a package that a node can run as a service."""
