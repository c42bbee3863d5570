"""Where the nodes of a lab live: each backend gives a node a network namespace and runs programs.

Everything else (links, addresses, routes, impairments, captures, services, faults) is the engine's
and the same on every backend.
"""
