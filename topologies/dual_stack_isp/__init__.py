"""A dual-stack ISP of FRR routers: topology and scenarios."""
