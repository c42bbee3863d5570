"""A service: a process that a node runs, and how one knows that it is ready."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.errors import Place

LISTEN_TCP = "tcp"
LISTEN_UDP = "udp"
NOTIFY = "notify"
LOG = "log"
FILE = "file"
COMMAND = "command"
HEALTHY = "healthy"
STARTED = "started"
READY_KINDS = (LISTEN_TCP, LISTEN_UDP, NOTIFY, LOG, FILE, COMMAND, HEALTHY, STARTED)


@dataclass(frozen=True, slots=True)
class Ready:
    """A readiness condition.

    ``kind`` and ``value``: ``tcp``/``udp`` a port listened on by the service's node; ``notify`` a
    ``READY=1`` message on ``$NOTIFY_SOCKET`` (sd_notify(3)); ``log`` a regular expression in its
    output; ``file`` a path that exists in the node; ``command`` a shell command that exits 0;
    ``healthy`` the health check of the image that its node is made from; ``started`` as soon as
    the program was executed.  ``timeout`` in seconds.
    """

    kind: str = STARTED
    value: str = ""
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """A process a node runs for as long as the lab is up.

    ``command`` is an argument vector; ``{run}`` in an argument is the service's own writable
    folder, kept with the run; ``{python}`` is the interpreter that runs the testbed.  ``files``
    are written into that folder before the start.  ``after`` names services (``node/service``) that
    must be ready first.  ``secrets`` are values that must never appear in logs or reports.
    ``needs`` are kernel features as ``testbed doctor`` names them (``tun``, ``esp``...).
    ``capabilities`` (``NET_ADMIN``; capabilities(7)) and ``devices`` (``/dev/net/tun``) are what
    its node's container must allow it; a node that is no container is not confined.
    """

    name: str
    command: tuple[str, ...]
    ready: Ready = Ready()
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # may hold secrets
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    after: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    stop_signal: str = "TERM"
    stop_timeout: float = 5.0
    needs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False, repr=False)
