"""Somebody's own Mininet file: its Topo class, and the options of ``mn`` that go with it."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mininet import topo as mininet_topo
from mininet import topolib
from mininet.link import Link, OVSLink, TCLink, TCULink
from mininet.node import (
    NOX,
    DefaultController,
    Host,
    IVSSwitch,
    NullController,
    OVSBridge,
    OVSController,
    OVSSwitch,
    RemoteController,
    Ryu,
    UserSwitch,
)
from mininet.node import Controller as ReferenceController
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo
from mininet.util import customClass, splitArgs

from testbed.backends.mininet_side.quiet import explained
from testbed.errors import LabError, TestbedError

_SWITCHES: dict[str, Any] = {
    "default": LinuxBridge,
    "lxbr": LinuxBridge,
    "ovs": OVSSwitch,
    "ovsk": OVSSwitch,
    "ovsbr": OVSBridge,
    "user": UserSwitch,
    "ivs": IVSSwitch,
}
_HOSTS: dict[str, Any] = {"default": Host, "proc": Host}
_LINKS: dict[str, Any] = {
    "default": Link,
    "tc": TCLink,
    "tcu": TCULink,
    "ovs": OVSLink,
}
_CONTROLLERS: dict[str, Any] = {
    "none": NullController,
    "default": DefaultController,
    "ovsc": OVSController,
    "ref": ReferenceController,
    "remote": RemoteController,
    "nox": NOX,
    "ryu": Ryu,
}

SHAPING = ("bw", "delay", "jitter", "loss", "max_queue_size")
"""The parameters by which a link is made worse; a plain Link ignores them."""


@dataclass(frozen=True)
class Custom:
    """A file's topology object and the classes that Mininet is to build it from.

    ``name`` is the topology's, with its arguments; ``link_options`` are what ``--link`` says behind
    its commas, which ``link`` has in itself.
    """

    name: str
    topo: Any
    switch: Any
    host: Any
    link: Any
    link_options: Mapping[str, Any]
    controllers: tuple[Any, ...]
    notes: tuple[str, ...]
    static_arp: bool
    own_macs: bool
    ip_base: str


def load(file: str, topo: str, options: Sequence[str]) -> Custom:
    """Run somebody's file and make its topology; nothing is built.

    Raises:
        LabError: there is no such file or class, its code raised, or an option is wrong.
    """
    names = _run_file(file)
    chosen = _options(options)
    chosen_name = topo or _only_one(file, names)
    with own_code(file, f"making {chosen_name}"):
        made = _make(file, names, chosen_name)
    if not isinstance(made, Topo):
        raise LabError(
            f"{chosen_name!r} is a {type(made).__name__} and not a Topo of Mininet", where=file
        )
    shaped = _asked_for(SHAPING, [info for _, _, info in made.links(withInfo=True)])
    limited = _asked_for(("cpu", "cores"), [made.nodeInfo(name) for name in made.hosts()])
    link = chosen.link or ("tc" if shaped else "default")
    notes = []
    if shaped and not chosen.link:
        notes.append(f"links are TCLinks, since the class gives them {shaped}; mn wants --link tc")
    if limited:
        notes.append(f"no host's CPU is limited, although the class gives some of them {limited}")
    controllers = [
        _class(file, names, "controllers", _CONTROLLERS, text)
        for text in chosen.controller
        if text != "none"
    ]
    return Custom(
        name=chosen_name,
        topo=made,
        switch=_class(file, names, "switches", _SWITCHES, chosen.switch),
        host=_class(file, names, "hosts", _HOSTS, chosen.host),
        link=_class(file, names, "links", _LINKS, link),
        link_options=splitArgs(link)[2],
        controllers=tuple(controllers),
        notes=tuple(notes),
        static_arp=chosen.arp,
        own_macs=chosen.mac,
        ip_base=chosen.ipbase,
    )


def _asked_for(names: Sequence[str], items: Sequence[Mapping[str, Any]]) -> str:
    """Those of the parameters that some item has and its own class, or none, is to deal with."""
    found = {
        name
        for item in items
        if item.get("cls") is None
        for name in names
        for part in (item, item.get("params1") or {}, item.get("params2") or {})
        if part.get(name) is not None
    }
    return ", ".join(name for name in names if name in found)


def _run_file(file: str) -> Mapping[str, Any]:
    path = Path(file)
    if not path.is_file():
        what = "it is no file" if path.exists() else "there is no such file"
        raise LabError(what, where=file, hint="write --mininet-topo FILE.py:CLASS")
    sys.path.insert(0, str(path.parent))  # what lies beside it can be imported, as with python3
    sys.argv = [file]
    with own_code(file, "running it"):
        # Not __main__: what the file does when it is a program is not wanted.
        return runpy.run_path(file, run_name="testbed_mininet_topology")


@contextmanager
def own_code(file: str, doing: str) -> Iterator[None]:
    """Whatever goes wrong in somebody's code is told with its line there.

    Raises:
        LabError: it raised, or ended the process.
    """
    try:
        with explained(doing):
            yield
    except TestbedError:
        raise
    except Exception as error:
        traceback.print_exception(error)
        raise _as_their_error(error, file, doing) from error


def _as_their_error(error: Exception, file: str, doing: str) -> LabError:
    """The error for code of the file that raised, with the last line of the file that had to do."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    where = f"{file}:{lines[-1]}" if lines and lines[-1] else file
    said = str(error).strip().replace("\n", " ")
    return LabError(
        f"{doing}: {type(error).__name__}: {said}",
        where=where,
        hint="the whole traceback is in logs/mininet.log of the run folder",
    )


def _only_one(file: str, names: Mapping[str, Any]) -> str:
    known = _topologies(file, names)
    own = _table(file, names, "topos") or known
    if len(own) == 1:
        return next(iter(own))
    raise LabError(
        f"which of its topologies? it has: {', '.join(own) or 'none'}",
        where=file,
        hint="name one: FILE.py:CLASS",
    )


def _make(file: str, names: Mapping[str, Any], text: str) -> Any:
    known = _topologies(file, names)
    name, arguments, keywords = splitArgs(text)
    found = known.get(name, names.get(name))
    if found is None:
        listing = ", ".join(known) or "none"
        raise LabError(f"it has no topology {name!r}; it has: {listing}", where=file)
    return found(*arguments, **keywords) if callable(found) else found


def _topologies(file: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """The Topo classes that the file itself defines, and the entries of its ``topos``."""
    stock = {
        value
        for module in (mininet_topo, topolib)
        for value in vars(module).values()
        if callable(value)
    }
    classes = {
        name: value
        for name, value in names.items()
        if isinstance(value, type) and issubclass(value, Topo) and value not in stock
    }
    return {**classes, **dict(_table(file, names, "topos"))}


def _table(file: str, names: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = names.get(table, {})
    if not isinstance(found, Mapping):
        raise LabError(f"its {table} is a {type(found).__name__} and not a dict", where=file)
    return found


def _class(
    file: str, names: Mapping[str, Any], table: str, known: dict[str, Any], text: str
) -> Any:
    """A class by the name that ``mn`` knows it by, or that the file gives it."""
    all_of_them = {**known, **_table(file, names, table)}
    name = text.partition(",")[0]
    own = names.get(name)
    if name not in all_of_them and isinstance(own, type):
        all_of_them[name] = own
    if name not in all_of_them:
        listing = ", ".join(all_of_them)
        raise LabError(
            f"nothing is called {name!r} among its {table}", where=file, hint=f"known: {listing}"
        )
    return customClass(all_of_them, text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LabError(
            f"the options for Mininet: {message}",
            hint="known: --switch, --host, --link, --controller, --mac, --arp, --ipbase, as in mn",
        )


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="mn", add_help=False, allow_abbrev=False)
    parser.add_argument("--switch", default="default")
    parser.add_argument("--host", default="default")
    parser.add_argument("--link")
    parser.add_argument("--controller", action="append", default=[])
    parser.add_argument("--mac", action="store_true")
    parser.add_argument("--arp", action="store_true")
    parser.add_argument("--ipbase", default="10.0.0.0/8")
    return parser.parse_args(list(words))
