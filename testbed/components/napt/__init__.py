"""NAPT44 (RFC 4787, 5382, 5508, 7857), sans-IO: packets and a time in, packets and events out.

:class:`~testbed.components.napt.engine.Napt` is the engine.  What differs between a home router, a
MAP-E CE and a carrier's NAT is data and small classes given to it: port pools and strategies
(``ports``), timeouts, filtering and quotas (``policy``), identifications (``identification``).
"""
