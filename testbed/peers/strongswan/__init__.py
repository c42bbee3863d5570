"""strongSwan's charon as an IKE peer: its configuration, its control connection, its events."""
