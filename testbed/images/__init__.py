"""Container images for nodes: what they are called, how they are built, the engine that has them.

The images are described in ``images/`` of the checkout, one folder each.  Importing this package
costs nothing: the Docker SDK is loaded when an engine is first spoken to.
"""

from __future__ import annotations

REPOSITORY = "testbed"
"""The first part of our images' names."""


def reference(name: str) -> str:
    """The image that a node means by ``image="..."``, as an engine knows it.

    >>> reference("strongswan")
    'testbed/strongswan:latest'
    >>> reference("debian:bookworm-slim")
    'debian:bookworm-slim'

    Args:
        name: one of ours, or any image: a name with ``/``, ``:`` or ``@`` is taken as it is.
    """
    return name if any(mark in name for mark in "/:@") else f"{REPOSITORY}/{name}:latest"
