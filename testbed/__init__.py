"""testbed: a network lab that tells the truth about VPNs, address sharing and IPv6 transition."""

__version__ = "0.1.0"
