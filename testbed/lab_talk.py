"""Talking with a lab: while it comes up, and when it is up."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from testbed.errors import LabError, TopologyError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.model.topology import Topology
from testbed.model.validate import validate
from testbed.supervisor import channel as channels

Progress = Callable[[str], None]


def name_for(topology: Topology, wanted: str | None) -> str:
    """The name that a new lab gets: the one wanted, else its topology's.

    Raises:
        TopologyError: the topology is not valid.
        LabExistsError: a lab of that name is up.
        LabError: it can be nobody's name.
    """
    problems = validate(topology)
    if problems:
        raise TopologyError(topology.name, problems)
    name = wanted or topology.name
    channels.check_name(name)
    if name in channels.running_labs():
        raise channels.exists_already(name)
    return name


def await_up(channel: Channel, progress: Progress | None, *, who: str) -> None:
    """Wait until the lab that is made at the other end is up.

    Args:
        channel: to the process that makes it.
        progress: called with a line of text as the work goes on.
        who: what that process is to the lab, for the error that tells of its end.

    Raises:
        LabError: it could not be brought up.
    """
    while True:
        try:
            message, _ = channel.receive()
        except ChannelClosedError as error:
            raise LabError(
                f"the lab's {who} ended before the lab was up",
                hint="was it killed? the machine may be out of memory; see logs/lab.log",
            ) from error
        if "error" in message:
            raise error_from_json(message["error"])
        if "up" in message:
            return
        if progress is not None:
            progress(str(message.get("progress")))


class Conversation:
    """A connection to a lab for one or a few requests."""

    def __init__(self, lab: str) -> None:
        self._lab = lab
        self.channel = channels.connect(lab)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.channel.close()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; an error answer is raised."""
        self.channel.send(message)
        return self.answer()[0]

    def answer(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        """The next answer."""
        message, descriptors = self.channel.answer(self._lab)
        if "error" in message:
            raise error_from_json(message["error"])
        return message, descriptors
