"""Bringing a lab up in a guest that stays: fork the keeper, and wait until the lab is up."""

from __future__ import annotations

import gc
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from testbed.guest.boot import CONTROL_FOLDER
from testbed.guest.interactive import keeper
from testbed.guest.interactive.keeper import KeeperSpec
from testbed.guest.kernel_build import ensure_kernel
from testbed.guest.launch import clear_control_folder
from testbed.guest.machine import Machine
from testbed.kernel import libc
from testbed.kernel.channel import Channel
from testbed.kernel.faces import report_failure
from testbed.lab import Lab
from testbed.lab_talk import Progress, await_up, name_for
from testbed.model.codec import to_dict
from testbed.model.record import as_built
from testbed.model.topology import NETNS, Topology
from testbed.runs import new_run_folder
from testbed.supervisor import channel as channels
from testbed.supervisor.boot import detach


def up_in_guest(
    topology: Topology,
    machine: Machine,
    *,
    name: str | None = None,
    run_folder: Path | None = None,
    attached: bool = True,
    backend: str = NETNS,
    progress: Progress = lambda _text: None,
) -> Lab:
    """Bring a topology up in a guest of its own; the arguments are those of :meth:`Lab.up`.

    With a virtual clock, time is held when this returns.

    Raises:
        TopologyError: the topology is not valid.
        LabExistsError: a lab of that name is up.
        GuestError: the guest kernel cannot be built or booted.
        LabError: the lab could not be brought up; nothing of it is left.
    """
    chosen = name_for(topology, name)
    kernel = ensure_kernel(progress)
    folder = (run_folder or new_run_folder(chosen)).resolve()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    spec = KeeperSpec(chosen, to_dict(topology), kernel, machine, folder, attached, backend)
    channel = _start(spec)
    try:
        await_up(channel, progress, who="keeper")
    except BaseException:
        channel.close()
        raise
    if not attached:
        channel.close()
    built = as_built(folder, topology)
    return Lab(chosen, built, folder, channel if attached else None)


def _start(spec: KeeperSpec) -> Channel:
    ours, theirs = Channel.pair()
    owner = os.pidfd_open(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                _be_parent(spec, theirs, owner)
            os._exit(0)
        os.waitpid(pid, 0)  # the other child is nobody's, so that nobody has to bury it
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(owner)
        theirs.close()
    return ours


def _be_parent(spec: KeeperSpec, boot: Channel, owner: int) -> NoReturn:
    """In the keeper's parent, which tidies up after it, also when it is killed.  Never returns."""
    try:
        gc.freeze()
        os.setsid()
        listener: socket.socket = channels.listen(spec.name)
        detach(spec.run_folder, keep={boot.fileno(), owner, listener.fileno()})
        pid = os.fork()
        if pid == 0:
            libc.set_process_name("testbed-keeper")
            keeper.run(spec, boot, listener, owner)
        libc.set_process_name("testbed-tidy")
        listener.close()
        boot.close()
        os.close(owner)
        os.waitpid(pid, 0)
        clear_control_folder(spec.run_folder / CONTROL_FOLDER)
    except BaseException as error:  # noqa: BLE001  # told to the owner; a child must never return
        report_failure(boot, error)
    finally:
        os._exit(0)
