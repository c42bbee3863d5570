"""containerlab's format: topologies are read from it and written to it."""
