"""Services: what is run, how readiness is seen, and the order."""

from __future__ import annotations

import math
import posixpath
import re
import signal
from collections.abc import Iterator

from testbed.errors import Place, Problem
from testbed.model.capabilities import CAPABILITIES
from testbed.model.checks.index import Index
from testbed.model.checks.suggest import did_you_mean
from testbed.model.service import (
    COMMAND,
    FILE,
    HEALTHY,
    LISTEN_TCP,
    LISTEN_UDP,
    LOG,
    NOTIFY,
    READY_KINDS,
    STARTED,
    Ready,
    Service,
)
from testbed.model.topology import Topology

_SIGNALS = tuple(item.name.removeprefix("SIG") for item in signal.Signals)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEVICE = re.compile(r"/dev(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_NEED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MEANING = {
    LISTEN_TCP: 'a port: "tcp 80"',
    LISTEN_UDP: 'a port: "udp 53"',
    LOG: 'a pattern: "log listening on"',
    FILE: 'a path: "file {run}/socket"',
    COMMAND: 'a shell command: "command test -e /run/x"',
}


def check_values(topology: Topology) -> Iterator[Problem]:
    """Everything about a service that does not depend on others."""
    for node in topology.nodes:
        for service in node.services:
            path = f"nodes.{node.name}.services.{service.name}"
            name = f"{node.name}/{service.name}"
            place = service.place or node.place
            yield from _check_command(service, name, path, place)
            yield from _check_ready(service.ready, name, f"{path}.ready", place)
            yield from _check_files(service, name, path, place)
            yield from _check_env(service, name, path, place)
            yield from _check_stop(service, name, path, place)
            yield from _check_secrets(service, name, path, place)
            for need in service.needs:
                if not _NEED.fullmatch(need):
                    what = f"{name} needs {need!r}, which is not the name of a kernel feature"
                    yield Problem("bad-need", what, f"{path}.needs", place)
            yield from _check_rights(service, name, path, place)


def _check_rights(service: Service, name: str, path: str, place: Place | None) -> Iterator[Problem]:
    for capability in service.capabilities:
        if capability not in CAPABILITIES:
            what = f"{name} asks for {capability!r}, which is no capability"
            hint = did_you_mean(capability, CAPABILITIES, "capabilities")
            yield Problem("unknown-capability", what, f"{path}.capabilities", place, hint)
    for device in service.devices:
        if not _DEVICE.fullmatch(device):
            what = f"{name} asks for {device!r}, which is not the path of a device"
            yield Problem(
                "bad-device", what, f"{path}.devices", place, 'for example "/dev/net/tun"'
            )


def _check_command(
    service: Service, name: str, path: str, place: Place | None
) -> Iterator[Problem]:
    below = f"{path}.command"
    if not service.command or not service.command[0].strip():
        hint = 'write the program and its arguments: ["python3", "-m", "http.server"]'
        yield Problem("empty-command", f"{name} has no program to run", below, place, hint)
    elif any("\0" in word for word in service.command):
        what = f"an argument of {name} holds a NUL character, which no program can be given"
        yield Problem("bad-argument", what, below, place)


def _check_ready(ready: Ready, name: str, path: str, place: Place | None) -> Iterator[Problem]:
    if not (math.isfinite(ready.timeout) and ready.timeout > 0):
        what = f"{name} cannot wait {ready.timeout:g} s to become ready"
        yield Problem("bad-timeout", what, f"{path}.timeout", place, "take more than 0 seconds")
    if ready.kind not in READY_KINDS:
        what = f"{ready.kind!r} is not a kind of readiness ({name})"
        hint = did_you_mean(ready.kind, READY_KINDS, "kinds")
        yield Problem("unknown-readiness", what, path, place, hint)
        return
    fault: tuple[str, str] | None = None
    if ready.kind in (STARTED, NOTIFY, HEALTHY):
        if ready.value:
            fault = ("unused-value", f"readiness {ready.kind!r} of {name} takes no value")
    elif not ready.value.strip():
        fault = (
            "missing-value",
            f"readiness {ready.kind!r} of {name} needs {_MEANING[ready.kind]}",
        )
    elif ready.kind in (LISTEN_TCP, LISTEN_UDP) and not _is_port(ready.value):
        fault = ("bad-port", f"{ready.value!r} is not a port ({name} is to listen on it)")
    elif ready.kind == LOG and (error := _bad_pattern(ready.value)) is not None:
        fault = ("bad-pattern", f"{ready.value!r} is not a regular expression: {error} ({name})")
    elif ready.kind == FILE and not ready.value.startswith(("/", "{run}/")):
        fault = ("bad-path", f"{ready.value!r} is not an absolute path ({name} is to make it)")
    elif "\0" in ready.value:
        fault = ("bad-argument", f"readiness {ready.kind!r} of {name} holds a NUL character")
    if fault is not None:
        hints = {"bad-port": "1 to 65535", "bad-path": 'begin with "/" or "{run}/"'}
        yield Problem(fault[0], fault[1], path, place, hints.get(fault[0]))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


def _bad_pattern(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error) or type(error).__name__
    return None


def _check_files(service: Service, name: str, path: str, place: Place | None) -> Iterator[Problem]:
    seen: set[str] = set()
    for file, _ in service.files:
        below = f"{path}.files.{file}"
        inside = file and not file.startswith("/") and "\0" not in file
        normal = posixpath.normpath(file) == file and file.split("/")[0] not in (".", "..")
        if not (inside and normal):
            what = f"{file!r} is not a path in the folder of {name}"
            hint = "write a relative path; files of the node itself go to its own files"
            yield Problem("bad-path", what, below, place, hint)
        elif file in seen:
            yield Problem("bad-path", f"{name} has the file {file!r} twice", below, place)
        seen.add(file)


def _check_env(service: Service, name: str, path: str, place: Place | None) -> Iterator[Problem]:
    seen: set[str] = set()
    for key, value in service.env:
        below = f"{path}.env.{key}"
        if not _ENV_NAME.fullmatch(key):
            what = f"{key!r} cannot be the name of an environment variable ({name})"
            hint = "letters, digits and '_', not a digit first"
            yield Problem("bad-env", what, below, place, hint)
        elif key in seen:
            yield Problem("bad-env", f"{name} sets {key} twice", below, place, "keep one")
        elif "\0" in value:
            yield Problem("bad-env", f"{key} of {name} holds a NUL character", below, place)
        seen.add(key)


def _check_stop(service: Service, name: str, path: str, place: Place | None) -> Iterator[Problem]:
    if service.stop_signal not in _SIGNALS:
        what = f"{service.stop_signal!r} is not a signal ({name})"
        short = service.stop_signal.upper().removeprefix("SIG")
        hint = f'write "{short}"' if short in _SIGNALS else did_you_mean(short, _SIGNALS, "signals")
        yield Problem("unknown-signal", what, f"{path}.stop_signal", place, hint)
    if not (math.isfinite(service.stop_timeout) and service.stop_timeout > 0):
        what = f"{name} cannot be given {service.stop_timeout:g} s to end"
        yield Problem(
            "bad-timeout", what, f"{path}.stop_timeout", place, "take more than 0 seconds"
        )


def _check_secrets(
    service: Service, name: str, path: str, place: Place | None
) -> Iterator[Problem]:
    """Secrets where everyone on the machine can read them; no message shows their value."""
    for secret in service.secrets:
        if not secret.strip():
            what = f"{name} has an empty secret, which would be found everywhere"
            yield Problem("empty-secret", what, f"{path}.secrets", place, "remove it")
            continue
        hint = "put it into a file of the service or its environment: ps shows arguments to all"
        for number, word in enumerate(service.command):
            if secret in word:
                what = f"argument {number} of the command of {name} holds a secret"
                yield Problem("secret-in-command", what, f"{path}.command", place, hint)
        if service.ready.kind == COMMAND and secret in service.ready.value:
            what = f"the readiness command of {name} holds a secret"
            yield Problem("secret-in-command", what, f"{path}.ready", place, hint)


def check_order(index: Index) -> Iterator[Problem]:
    """Services to come after that are not there, and circles of them."""
    graph: dict[str, tuple[str, ...]] = {}
    origin: dict[str, tuple[str, Place | None]] = {}
    for node in index.topology.nodes:
        for service in node.services:
            name = f"{node.name}/{service.name}"
            graph.setdefault(name, service.after)
            path = f"nodes.{node.name}.services.{service.name}.after"
            origin.setdefault(name, (path, service.place or node.place))
    for name, after in graph.items():
        path, place = origin[name]
        for position, wanted in enumerate(after):
            if wanted not in graph and not index.may_have_service(wanted):
                what = f"{name} is to come after {wanted!r}, which is not a service"
                sibling = f"{name.split('/', maxsplit=1)[0]}/{wanted}"
                hint = did_you_mean(wanted, graph, "services")
                hint = f'write "{sibling}"' if sibling in graph else hint
                yield Problem("unknown-service", what, f"{path}[{position}]", place, hint)
    for circle in _circles(graph):
        path, place = origin[circle[0]]
        way = " after ".join([*circle, circle[0]])
        what = f"services wait for each other: {way}"
        yield Problem("service-circle", what, path, place, "take one of the two waits away")


def _circles(graph: dict[str, tuple[str, ...]]) -> Iterator[list[str]]:
    """One circle of each knot of services, from the first of them in the author's order."""
    finished: set[str] = set()
    for start in graph:
        way: list[str] = []
        rest = [iter([start])]
        while rest:
            name = next(rest[-1], None)
            if name is None:
                rest.pop()
                if way:
                    finished.add(way.pop())
            elif name in way:
                yield way[way.index(name) :]
            elif name in graph and name not in finished:
                way.append(name)
                rest.append(iter(graph[name]))
