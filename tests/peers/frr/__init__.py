"""FRR as a router: configuration, log lines, routes, answers."""
