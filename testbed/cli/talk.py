"""Asking labs that are up, without loading anything that a question does not need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import LabNotFoundError, TestbedError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.supervisor import channel as channels

_GLANCE = 2.0
"""Seconds that an overview waits for one lab; a lab that is coming up answers when it is up."""

LONGEST_SILENCE = 60.0
"""Seconds after which a lab that does not answer a plain question is said to hang."""


@contextmanager
def conversation(lab: str) -> Iterator[Channel]:
    """A connection to a lab; LabNotFoundError when there is none."""
    channel = channels.connect(lab)
    try:
        yield channel
    finally:
        channel.close()


def answer(channel: Channel, lab: str | None = None, limit: float | None = None) -> dict[str, Any]:
    """The next answer; an error answer is raised, and so is that the lab named cannot answer.

    Raises:
        NoAnswerError: its supervisor is stopped, or ``limit`` seconds are over.
    """
    message, _ = channel.receive() if lab is None else channel.answer(lab, limit)
    if "error" in message:
        raise error_from_json(message["error"])
    return message


def ask(lab: str, message: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """One question and its answer.

    Raises:
        LabNotFoundError: there is no such lab.
        TimeoutError: it did not answer in ``timeout`` seconds.
        NoAnswerError: its supervisor is stopped or, where no ``timeout`` is given, hangs.
    """
    with conversation(lab) as channel:
        channel.set_timeout(timeout)
        channel.send(message)
        return answer(channel, lab, LONGEST_SILENCE)


def status(lab: str, timeout: float | None = None) -> dict[str, Any]:
    """The lab's state (see ``status`` in :mod:`testbed.supervisor.requests`)."""
    state = ask(lab, {"do": "status"}, timeout)["status"]
    assert isinstance(state, dict)
    return state


def glance(lab: str) -> dict[str, Any] | None:
    """The lab's state, or None when it does not answer soon (it may be coming up) or has gone."""
    seen = look(lab)
    return None if isinstance(seen, TestbedError) else seen


def look(lab: str) -> dict[str, Any] | TestbedError | None:
    """As :func:`glance`, but gives the reason if the lab has ended and somebody is to hear why."""
    try:
        state = ask(lab, {"do": "status", "glance": True}, _GLANCE)["status"]
        assert isinstance(state, dict)
        return state
    except (LabNotFoundError, ChannelClosedError, TimeoutError):
        return None
    except TestbedError as error:
        return error


def running() -> list[str]:
    """The names of this user's labs."""
    return channels.running_labs()


def chosen(lab: str | None, command: str) -> str:
    """The lab that was named, or the one that is up.

    Raises:
        LabNotFoundError: none was named and none, or more than one, is up.
    """
    if lab is not None:
        return lab
    labs = running()
    if not labs:
        raise LabNotFoundError("no lab is up", hint="bring one up with: testbed up TOPOLOGY")
    if len(labs) > 1:
        listing = ", ".join(labs)
        raise LabNotFoundError(
            f"{len(labs)} labs are up: {listing}",
            hint=f"say which one you mean: testbed {command} {labs[0]}",
        )
    return labs[0]


@dataclass(frozen=True, slots=True)
class End:
    """An interface of a lab, as the lab's own record of its topology has it."""

    node: str
    interface: str
    link: str
    addresses: tuple[str, ...]

    @property
    def label(self) -> str:
        """``node:interface``."""
        return f"{self.node}:{self.interface}"


def _topology(run_folder: str | Path) -> dict[str, Any]:
    """The ``topology.json`` of a run folder.

    It is read as plain JSON: loading and checking the topology again would cost more than the
    question that is asked.
    """
    path = Path(run_folder) / "topology.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def services(run_folder: str | Path) -> list[str]:
    """The services of a lab, ``node/service``, by the record of its topology."""
    nodes = _topology(run_folder).get("nodes", {})
    return [
        f"{node}/{name}" for node, has in nodes.items() for name in (has or {}).get("services", ())
    ]


def ends(run_folder: str | Path) -> list[End]:
    """The interfaces of a lab, by the record of its topology."""
    data = _topology(run_folder)
    found = []
    for name, link in data.get("links", {}).items():
        for end in link["ends"]:
            if isinstance(end, str):
                head, *addresses = end.split()
                node, _, interface = head.partition(":")
            else:
                node, interface = end["node"], end["interface"]
                addresses = end.get("addresses", [])
            found.append(End(node, interface, name, tuple(addresses)))
    return found
