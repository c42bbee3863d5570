"""charon as a child process: started with settings of its own, ended with us."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import TestbedError
from testbed.peers.ike import IkePeer
from testbed.peers.strongswan import config
from testbed.peers.strongswan.control import Control

CHARON = "/usr/sbin/charon-systemd"
_PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.01


class CharonError(TestbedError):
    """charon cannot be started, or ended by itself."""


@contextmanager
def charon(peer: IkePeer, home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A charon with its settings and its control socket in ``home``, which logs to ``log``.

    Raises:
        CharonError: it is not installed.
    """
    settings = home / "strongswan.conf"
    settings.write_text(
        config.strongswan_text(peer, vici=str(home / "vici"), log=str(log)), encoding="utf-8"
    )
    environment = {"PATH": os.environ.get("PATH", ""), "STRONGSWAN_CONF": str(settings)}
    try:
        process = subprocess.Popen([CHARON], env=environment, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise CharonError(
            f"cannot start charon: {error.strerror}",
            where=CHARON,
            hint="it comes with Debian's package charon-systemd",
        ) from error
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def connect(process: subprocess.Popen[bytes], home: Path) -> Control:
    """Wait until that charon listens.

    Raises:
        CharonError: it ended at once, or does not.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Control(home / "vici")
        except OSError as error:
            if process.poll() is not None:
                raise CharonError(f"charon ended at once (status {process.returncode})") from error
            if time.monotonic() > deadline:
                raise CharonError(f"charon does not listen: {error.strerror}") from error
            time.sleep(_LOOK_EVERY_S)
