"""Daemons of other people that talk to ours: a common description, and one package for each."""
