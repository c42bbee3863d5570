"""Nodes as containers of Docker: any image, confined as Docker does, on our own links.

Three processes take part.  The *keeper* stays outside the lab, makes the containers and removes
them (:mod:`testbed.backends.docker_keeper`).  The *agent* is the first process of each container
(:mod:`testbed.backends.agent`).  The lab's first process, here, holds the containers' namespaces
and has the agents start programs; a container ends when it lets go.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.backends.docker_place import DockerPlace, like_new
from testbed.backends.netns import PACKAGE_PARENT
from testbed.backends.surroundings import Surroundings
from testbed.errors import LabError, TestbedError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.plan.operations import MakeNode, Plan

_LOG = "logs/docker.log"
_LOST = "the keeper of its containers (process testbed-keeper) was killed"


def why_no_docker() -> str | None:
    """Why this machine has no Docker engine for us; None if it has."""
    from testbed.backends.docker_keeper.engine import open_engine

    try:
        open_engine().close()
    except TestbedError as error:
        return error.what
    return None


def start_keeper(lab: str, plan: Plan, run_folder: Path) -> Channel:
    """Start the keeper of a lab's containers, in the host's namespaces.

    Returns:
        the lab's end of the channel to it; when its last copy closes, the keeper ends.

    Raises:
        TestbedError: these containers cannot be made here; nothing was.
    """
    ours, theirs = Channel.pair()
    try:
        try:
            _launch(theirs, run_folder)
        finally:
            theirs.close()
        orders = [op for op in plan.operations if isinstance(op, MakeNode)]
        ours.send(
            {
                "lab": lab,
                "id": secrets.token_hex(8),
                "run_folder": str(run_folder),
                "orders": [_order(order) for order in orders if order.backend == "docker"],
            }
        )
        answer, _ = ours.receive()
        if "error" in answer:
            raise error_from_json(answer["error"])
    except ChannelClosedError as error:
        ours.close()
        raise LabError(
            "the keeper of the lab's containers did not start",
            where=str(run_folder / _LOG),
            hint="its log tells why",
        ) from error
    except BaseException:
        ours.close()
        raise
    return ours


def _order(order: MakeNode) -> dict[str, Any]:
    return {
        "node": order.node,
        "image": order.image,
        "capabilities": list(order.capabilities),
        "devices": list(order.devices),
    }


def _launch(channel: Channel, run_folder: Path) -> None:
    command = (sys.executable, "-P", "-m", "testbed.backends.docker_keeper", str(channel.fileno()))
    path = os.pathsep.join(filter(None, (PACKAGE_PARENT, os.environ.get("PYTHONPATH"))))
    with (run_folder / _LOG).open("ab") as log:
        # This ends at once: it leaves the keeper behind, which may outlive us.
        subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=(channel.fileno(),),
            start_new_session=True,
        )


class DockerBackend:
    """Nodes out of containers."""

    def __init__(self, given: Surroundings) -> None:
        assert given.outside is not None, "the keeper was started before the lab"
        self._given, self._keeper = given, given.outside
        self._places: dict[str, DockerPlace] = {}
        self._ending = False

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, DockerPlace]:
        """All containers at once; returns when the first process of each listens."""
        del orders  # the keeper has them, and has looked at them
        given, loop = self._given, asyncio.get_running_loop()
        try:
            self._keeper.send({"do": "make"})
            while True:
                answer, descriptors = await _receive(self._keeper)
                if "error" in answer:
                    raise error_from_json(answer["error"])
                if "done" in answer:
                    break
                place = DockerPlace(answer, *descriptors, home=given.home, note=given.note)
                self._places[place.node] = place
        except ChannelClosedError as error:
            raise LabError(f"the lab's containers were not made: {_LOST}") from error
        loop.add_reader(self._keeper, self._keeper_gone)
        await asyncio.gather(*(place.hold() for place in self._places.values()))
        like_new([place.network for place in self._places.values()], given.home)
        return self._places

    def _keeper_gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._keeper)
        if not self._ending:
            self._given.lose(_LOST)

    async def end(self) -> None:
        """Have the keeper remove the containers; they end anyway when they are let go of."""
        if self._ending:
            return
        self._ending = True
        asyncio.get_running_loop().remove_reader(self._keeper)
        for place in self._places.values():
            place.expect_end()
        try:
            self._keeper.send({"do": "end"})
            while "ended" not in (answer := (await _receive(self._keeper))[0]):
                if "error" in answer:
                    self._given.note(str(error_from_json(answer["error"])))
        except ChannelClosedError:
            pass  # it has removed them already, or was killed
        for place in self._places.values():
            place.let_go()


async def _receive(channel: Channel) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The next message, while everything else goes on."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(channel, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(channel)
    return channel.receive()
