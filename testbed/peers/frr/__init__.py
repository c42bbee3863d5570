"""FRRouting's daemons as a router: its configuration, its events, what it answers when asked."""
