"""Telling whoever started a service that it is ready: the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> bool:
    """Send a state such as ``READY=1`` to ``$NOTIFY_SOCKET``; False when nobody asked for it.

    Raises:
        OSError: the socket named there does not take it.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)
    return True
