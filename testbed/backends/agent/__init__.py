"""The first process of a container: its source, how it is built, and how the lab talks to it."""
