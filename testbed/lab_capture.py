"""Captures, from the caller's side."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.errors import LabError
from testbed.kernel.faces import error_from_json
from testbed.supervisor import channel as channels


def _ask(lab: str, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
    channel = channels.connect(lab)
    try:
        channel.send({"do": "capture", **message}, descriptors)
        answer, _ = channel.answer(lab)
    finally:
        channel.close()
    if "error" in answer:
        raise error_from_json(answer["error"])
    return answer


class Capture:
    """A capture that runs; as a context manager it stops at the end of the block."""

    def __init__(self, lab: str, number: int, path: Path) -> None:
        self._lab, self._number = lab, number
        self.path = path
        self.packets: int | None = None
        self.lost: int | None = None

    @classmethod
    def begin(
        cls,
        lab: str,
        run_folder: Path,
        interfaces: tuple[str, ...],
        file: str | None,
        expression: str,
    ) -> Capture:
        """Start capturing; when this returns, every further packet is seen."""
        message: dict[str, Any] = {"action": "start", "interfaces": list(interfaces)}
        if file is not None:
            if "/" in file:
                raise LabError("a capture's file name has no folders", where=file)
            message["file"] = file
        if expression:
            message["filter"] = expression
        number = int(_ask(lab, message)["number"])
        name = file or f"capture-{number}.pcapng"
        return cls(lab, number, run_folder / "captures" / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def sync(self) -> None:
        """Have everything seen so far in the file, which then can be read."""
        _ask(self._lab, {"action": "sync", "number": self._number})

    def stop(self) -> None:
        """End it: everything seen so far is in the file when this returns.

        Raises:
            LabError: the file could not be written to the end (a full disk, say).
        """
        if self.packets is not None:
            return
        answer = _ask(self._lab, {"action": "stop", "number": self._number})["capture"]
        self.packets, self.lost = int(answer["packets"]), int(answer["lost"])
        if answer["trouble"]:
            raise LabError(f"the capture is incomplete: {answer['trouble']}", where=str(self.path))


def stream(lab: str, interfaces: tuple[str, ...], output: int, expression: str = "") -> int:
    """Have the lab write a capture to a descriptor as it goes; returns the capture's number."""
    message: dict[str, Any] = {"action": "start", "interfaces": list(interfaces)}
    if expression:
        message["filter"] = expression
    return int(_ask(lab, message, (output,))["number"])


def stop_stream(lab: str, number: int) -> dict[str, Any]:
    """End a capture that was started by :func:`stream`; says packets and losses."""
    capture = _ask(lab, {"action": "stop", "number": number})["capture"]
    assert isinstance(capture, dict)
    return capture
