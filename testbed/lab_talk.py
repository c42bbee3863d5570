"""Asking a lab that is up."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from testbed.supervisor import channel as channels
from testbed.supervisor.faces import error_from_json


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
