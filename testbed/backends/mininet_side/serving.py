"""What the lab's first process may ask of the Mininet side, one message after another."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from typing import Any

from testbed.backends.mininet_side import building, network
from testbed.backends.mininet_side.prompt import open_prompt
from testbed.backends.mininet_side.quiet import explained, settle_in
from testbed.errors import LabError, TestbedError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json


class Serving:
    """Answers until the channel closes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._net: Any = None
        self._prompt: tuple[int, int] | None = None
        """The prompt that is open: its process, and a descriptor of that."""
        self._untidy = False

    def run(self) -> None:
        """Serve; returns when the lab wants no more of us."""
        # Nobody interrupts us; but not SIG_IGN, which the nodes' programs would inherit.
        signal.signal(signal.SIGINT, _pass_over)
        settle_in()
        while True:
            poll = select.poll()
            poll.register(self._channel, select.POLLIN)
            if self._prompt is not None:
                poll.register(self._prompt[1], select.POLLIN)
            ready = {number for number, _ in poll.poll()}
            if self._prompt is not None and self._prompt[1] in ready:
                self._forget_prompt()
            if self._channel.fileno() in ready:
                try:
                    message, descriptors = self._channel.receive()
                except ChannelClosedError:
                    return
                self._answer(message, descriptors)

    def _answer(self, message: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        try:
            answer = self._do(message, descriptors)
        except TestbedError as error:
            answer = {"error": error_to_json(error)}
        except Exception as error:  # noqa: BLE001  # told to the lab, with the traceback in our log
            traceback.print_exc()
            answer = {"error": error_to_json(_as_lab_error(error))}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            sys.stderr.flush()
        self._channel.send(answer)

    def _do(self, message: dict[str, Any], descriptors: tuple[int, ...]) -> dict[str, Any]:
        match message["do"]:
            case "make":
                with explained("making the nodes"):
                    self._net = network.build(message["nodes"], message["links"])
                return {"pids": network.pids(self._net)}
            case "build":
                self._net = building.build(
                    message["file"], message["topo"], message["options"], message["seed"]
                )
                return building.words_of(self._net)
            case "prompt":
                return {"pid": self._open_prompt(message, descriptors)}
            case other:
                raise LabError(f"the Mininet side does not know the request {other!r}")

    def _open_prompt(self, message: dict[str, Any], descriptors: tuple[int, ...]) -> int:
        if self._net is None:
            raise LabError("there is no Mininet network to talk to yet")
        if self._prompt is not None:
            raise LabError(
                f"the mininet> prompt of this lab is in use (process {self._prompt[0]} there)",
                hint="leave the other one first; testbed shell LAB NODE works beside it",
            )
        pid = open_prompt(
            self._net,
            message["lines"],
            descriptors,
            environment=message["environment"],
            folder=message["folder"],
            terminal=message["terminal"],
            untidy=self._untidy,
        )
        self._prompt = (pid, os.pidfd_open(pid))
        return pid

    def _forget_prompt(self) -> None:
        assert self._prompt is not None
        pid, descriptor = self._prompt
        self._prompt = None
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._untidy = code != 0
        self._channel.send({"ended": pid, "status": code})


def _as_lab_error(error: Exception) -> LabError:
    return LabError(
        f"Mininet failed: {type(error).__name__}: {error}",
        hint="its own words and the traceback are in logs/mininet.log of the run folder",
    )


def _pass_over(number: int, frame: object) -> None:
    """A signal that means nothing to us."""
    del number, frame
