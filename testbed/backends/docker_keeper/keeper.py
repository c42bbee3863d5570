"""The keeper of one lab's containers: makes them, holds on, removes them.

What is said over the channel, in this order:

1. The owner: ``{"lab", "id", "run_folder", "orders"}``; the keeper looks at everything that could
   be wrong before anything is made, and answers ``{"ready": true}`` or ``{"error"}``.
2. The lab: ``{"do": "make"}``; for each container ``{"made"}`` with two descriptors (network and
   mount namespace), then ``{"done"}``; or ``{"error"}``, and nothing is left.
3. The lab: ``{"do": "end"}``; all containers are removed, ``{"ended": true}``, and the keeper ends.

It does the same, without an answer, when the channel closes.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import testbed
from testbed.backends.agent.build import ensure_agent
from testbed.backends.docker_keeper import leftovers
from testbed.backends.docker_keeper.container import Made, Order, Shared, check_orders, make
from testbed.backends.docker_keeper.engine import open_engine
from testbed.backends.docker_keeper.guard import guarded
from testbed.backends.docker_keeper.labels import LabLabels, Stamp
from testbed.errors import LabError, TestbedError
from testbed.kernel import libc
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json

if TYPE_CHECKING:
    from docker import DockerClient

PROCESS_NAME = "testbed-keeper"


def _order_from_json(data: dict[str, Any]) -> Order:
    return Order(
        str(data["node"]),
        data["image"],
        tuple(str(name) for name in data["capabilities"]),
        tuple(str(path) for path in data["devices"]),
    )


class Keeper:
    """The containers of one lab."""

    def __init__(self, client: DockerClient, request: dict[str, Any]) -> None:
        """Look at everything that could be wrong.

        Raises:
            TestbedError: these containers cannot be made.
        """
        self._client = client
        self._orders = [_order_from_json(order) for order in request["orders"]]
        self.labels = LabLabels(
            str(request["lab"]),
            str(request["id"]),
            str(request["run_folder"]),
            Stamp.of_this_process(),
        )
        check_orders(client, self._orders)
        package = Path(testbed.__file__).parent
        self._shared = Shared(ensure_agent(), package, Path(self.labels.run_folder))
        with suppress(LabError):  # what others left is no reason not to make this one
            leftovers.remove_dead(client)

    def make(self) -> list[Made]:
        """Make all containers, several at once.

        Raises:
            TestbedError: one could not be made; those that were are let go of.
        """
        with ThreadPoolExecutor(leftovers.AT_ONCE) as pool:
            futures = [
                pool.submit(make, self._client, order, self.labels, self._shared)
                for order in self._orders
            ]
        troubles = [future.exception() for future in futures if future.exception() is not None]
        if troubles:
            for made in _those_made(futures):
                made.close()
            assert troubles[0] is not None
            raise troubles[0]
        return _those_made(futures)

    def remove(self) -> None:
        """Remove everything of this lab.

        Raises:
            LabError: the engine could not.
        """
        leftovers.remove(self._client, leftovers.find(self._client, self.labels.identity))


def _those_made(futures: Sequence[Future[Made]]) -> list[Made]:
    return [future.result() for future in futures if future.exception() is None]


def keep(channel: Channel) -> None:
    """Be the keeper until the lab ends."""
    try:
        request, _ = channel.receive()
        keeper: Keeper | None = _attempt(channel, lambda: Keeper(open_engine(), request))
        if keeper is None:
            return
        with guarded(keeper.labels.identity, channel):
            try:
                channel.send({"ready": True})
                _serve(channel, keeper)
            finally:
                keeper.remove()
    except ChannelClosedError:
        return


def _attempt(channel: Channel, work: Any) -> Any:
    """The result of ``work()``; None, and the lab is told, when it fails on purpose."""
    try:
        return work()
    except TestbedError as error:
        channel.send({"error": error_to_json(error)})
    except Exception as error:  # noqa: BLE001  # whatever it is, the lab must hear of it
        traceback.print_exception(error)
        failure = LabError(
            f"the keeper of the lab's containers failed: {type(error).__name__}: {error}",
            hint="this is a defect of testbed; see logs/docker.log of the run folder",
        )
        channel.send({"error": error_to_json(failure)})
    return None


def _serve(channel: Channel, keeper: Keeper) -> None:
    while True:
        request, _ = channel.receive()
        if request.get("do") == "make":
            all_made: list[Made] | None = _attempt(channel, keeper.make)
            if all_made is None:
                return
            for made in all_made:
                channel.send(made.to_json(), (made.network, made.mounts))
                made.close()
            channel.send({"done": True})
        else:
            _attempt(channel, keeper.remove)
            channel.send({"ended": True})
            return


def main() -> NoReturn:
    """``python -m testbed.backends.docker_keeper DESCRIPTOR``: the keeper of a lab.

    The process that was started ends at once, so that whoever started it has no child to wait for.
    """
    if os.fork() != 0:
        os._exit(0)
    libc.set_process_name(PROCESS_NAME)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, and its end is ours
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _asked_to_end)
    keep(Channel(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(0)


def _asked_to_end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    sys.exit(0)  # by way of every `finally`
